"""What is kept of a violation: rows, threads, and the ends of the logs."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.faults.fleet import Fleet
from tests.faults.person import Person, all_said
from tests.faults.plan import PEOPLE
from tests.faults.runs_true import Story
from tests.faults.supervised import Exit
from tests.faults.threads_true import as_text
from tests.faults.verdict import Verdict

_LOG_BYTES = 200_000


def save(
    folder: Path,
    fleet: Fleet,
    *,
    verdict: Verdict,
    people: Sequence[Person],
    stories: Sequence[Story],
    began: float,
) -> Path:
    """Write it all into a folder of the injection's own."""
    place = folder / f"seed-{verdict.seed}-injection-{verdict.number}"
    place.mkdir(parents=True, exist_ok=True)
    (place / "verdict.txt").write_text(verdict.line + "\n")
    _write(place / "commands.json", {p.task.tag: all_said(p) for p in people})
    _write(
        place / "journal.json", [asdict(event) for event in fleet.journal if event.ended >= began]
    )
    _write(
        place / "exits.json",
        [asdict(one) for program in fleet.programs for one in program.exits if one.at >= began],
    )
    for story in stories:
        _write(place / f"{story.name}.json", asdict(story))
    for person in people:
        for head in sorted({str(leg["thread_key"]) for leg in person.legs}):
            legs = [leg for leg in person.legs if leg["thread_key"] == head]
            (place / f"{head}.thread.txt").write_text(as_text(fleet.sandbox, legs))
    for program in fleet.programs:
        (place / program.log.name).write_bytes(_end_of(program.log))
    told = [
        message
        for name in PEOPLE
        for message in fleet.sandbox.human.ephemerals(name)
        if float(message["ts"]) >= began
    ]
    (place / "told.txt").write_text(
        "\n".join(f"{m['ts']} {fleet.sandbox.human.text(m)}" for m in told)
    )
    (place / "when.txt").write_text(f"{time.ctime(began)} to {time.ctime()}\n")
    return place


def save_log(folder: Path, fleet: Fleet, end: Exit) -> None:
    """Keep what a program said before it crashed."""
    folder.mkdir(parents=True, exist_ok=True)
    program = next(one for one in fleet.programs if one.name == end.name)
    (folder / f"crash-{end.name}-{end.at:.0f}.log").write_bytes(_end_of(program.log))


def _end_of(path: Path) -> bytes:
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - _LOG_BYTES))
        return log.read()


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, default=_plain) + "\n")


def _plain(value: object) -> object:
    return asdict(value) if hasattr(value, "__dataclass_fields__") else str(value)  # type: ignore[call-overload]
