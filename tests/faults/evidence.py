"""The evidence of a violation: rows, threads, and the ends of the logs."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.faults.fleet import Fleet
from tests.faults.person import Person, all_commands
from tests.faults.plan import PEOPLE
from tests.faults.results import InjectionResult
from tests.faults.run_check import RunRecords
from tests.faults.supervised import Exit
from tests.faults.thread_check import as_text

_LOG_BYTES = 200_000


def save(
    folder: Path,
    fleet: Fleet,
    *,
    result: InjectionResult,
    people: Sequence[Person],
    run_records: Sequence[RunRecords],
    began: float,
) -> Path:
    """Write all evidence to a directory of the injection."""
    result_dir = folder / f"seed-{result.seed}-injection-{result.number}"
    result_dir.mkdir(parents=True, exist_ok=True)
    (result_dir / "result.txt").write_text(result.summary + "\n")
    _write(result_dir / "commands.json", {p.task.tag: all_commands(p) for p in people})
    _write(
        result_dir / "journal.json",
        [asdict(event) for event in fleet.journal if event.ended >= began],
    )
    _write(
        result_dir / "exits.json",
        [asdict(one) for program in fleet.programs for one in program.exits if one.at >= began],
    )
    for story in run_records:
        _write(result_dir / f"{story.name}.json", asdict(story))
    for person in people:
        for thread_key in sorted({str(run["thread_key"]) for run in person.runs}):
            runs = [run for run in person.runs if run["thread_key"] == thread_key]
            (result_dir / f"{thread_key}.thread.txt").write_text(as_text(fleet.sandbox, runs))
    for program in fleet.programs:
        (result_dir / program.log.name).write_bytes(_log_tail(program.log))
    private_messages = [
        message
        for name in PEOPLE
        for message in fleet.sandbox.human.ephemerals(name)
        if float(message["ts"]) >= began
    ]
    (result_dir / "messages.txt").write_text(
        "\n".join(f"{m['ts']} {fleet.sandbox.human.text(m)}" for m in private_messages)
    )
    (result_dir / "when.txt").write_text(f"{time.ctime(began)} to {time.ctime()}\n")
    return result_dir


def save_log(folder: Path, fleet: Fleet, end: Exit) -> None:
    """Save the log of a program that crashed."""
    folder.mkdir(parents=True, exist_ok=True)
    program = next(one for one in fleet.programs if one.name == end.name)
    (folder / f"crash-{end.name}-{end.at:.0f}.log").write_bytes(_log_tail(program.log))


def _log_tail(path: Path) -> bytes:
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - _LOG_BYTES))
        return log.read()


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, default=_json_default) + "\n")


def _json_default(value: object) -> object:
    return asdict(value) if hasattr(value, "__dataclass_fields__") else str(value)  # type: ignore[call-overload]
