"""What must hold when all that was done to a fleet is over: nothing late, nothing left."""

from __future__ import annotations

import asyncio
import fcntl
import time
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from tests.faults.fleet import Fleet
from tests.faults.results import Violation, ViolationKind
from tests.faults.rows import FINAL, Row
from tests.faults.thread_check import all_cards, check_thread, thread_of

# Longer than a job stays in the hands of a worker that died.
_QUIET_SECONDS = 100.0
# Who is cut off in the middle acknowledges late; everything else is a mistake of the bot's.
_EXPECTED_PROBLEMS = frozenset({"late_ack", "operation_timeout"})


async def check_fleet(fleet: Fleet) -> list[Violation]:
    """Wait until the fleet is quiet, and look at all of it once more."""
    deadline = time.monotonic() + _QUIET_SECONDS
    while True:
        found = await _find_violations(fleet)
        if not found or time.monotonic() > deadline:
            return found
        await asyncio.sleep(1)


async def _find_violations(fleet: Fleet) -> list[Violation]:
    runs = await fleet.rows.fetch("SELECT * FROM workflow_runs ORDER BY thread_key, created_at")
    found = list(_rows(runs))
    found += [
        Violation(ViolationKind.SURVIVOR, one.run_id, str(one))
        for one in await fleet.watch.all_processes()
    ]
    found += _threads(fleet, runs)
    found += await asyncio.to_thread(lambda: list(_leftovers(fleet)))
    jobs = await fleet.rows.fetch(
        "SELECT id FROM procrastinate.procrastinate_jobs WHERE status IN ('todo', 'doing')"
        " AND task_name = 'signalbox.run'"
    )
    if jobs:
        ids = [job["id"] for job in jobs]
        found.append(Violation(ViolationKind.LEFTOVER, "the engine", f"jobs {ids} are not over"))
    complaints = Counter(
        f"{one.kind} ({one.name}): {one.what[:200]}"
        for one in fleet.sandbox.problems
        if one.kind not in _EXPECTED_PROBLEMS
    )
    return found + [
        Violation(ViolationKind.SLACK, "the bots", f"{times} times {what}")
        for what, times in complaints.items()
    ]


def _rows(runs: list[Row]) -> Iterator[Violation]:
    for run in runs:
        if run["status"] not in FINAL:
            yield Violation(ViolationKind.LOST, str(run["run_id"]), f"is still {run['status']}")


def _threads(fleet: Fleet, runs: list[Row]) -> Iterator[Violation]:
    for _, legs in groupby(runs, key=lambda run: run["thread_key"]):
        yield from check_thread(fleet.sandbox, list(legs))
    known = {str(run["thread_key"]) for run in runs}
    for card in all_cards(fleet.sandbox):
        if thread_of(card) not in known:
            text = fleet.sandbox.human.text(card)[:120]
            yield Violation(
                ViolationKind.WRONG_THREAD, str(card["ts"]), f"a card of no run: {text!r}"
            )


def _leftovers(fleet: Fleet) -> Iterator[Violation]:
    for home in fleet.homes:
        if left := leftover_paths(home):
            yield Violation(
                ViolationKind.LEFTOVER, home.name, f"{len(left)} things stay: {', '.join(left[:5])}"
            )


def leftover_paths(home: Path) -> list[str]:
    """What stays in a worker's home though no run is live any more, by path within it.

    That is what agents had, temporary files of whatever process, and workspaces that were being
    made: all but the place that a living worker holds the lock of, while it is empty.
    """
    temp_dir = home / "tmp"
    live_owners = {lock.stem for lock in temp_dir.glob("*.lock") if _is_held(lock)}
    expected = {name for owner in live_owners for name in (owner, f"{owner}.lock")}
    left = [
        *(home / "agents").glob("*"),
        *(path for path in temp_dir.glob("*") if path.name not in expected),
    ]
    left += [path for owner in live_owners for path in (temp_dir / owner).glob("*")]
    left += [
        path
        for path in (home / "workspaces").glob(".ws_*")
        if not any(owner in path.name for owner in live_owners)
    ]
    return sorted(str(path.relative_to(home)) for path in left)


def _is_held(lock: Path) -> bool:
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False  # Its owner ended just now.
    return False
