"""The final check of a fleet after all faults: nothing is late and nothing is left."""

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

# Longer than a dead worker's job stays assigned to it.
_QUIET_SECONDS = 100.0
# An interrupted bot acknowledges late; every other problem is a defect of the bot.
_EXPECTED_PROBLEMS = frozenset({"late_ack", "operation_timeout"})


async def check_fleet(fleet: Fleet) -> list[Violation]:
    """Wait until the fleet is idle, then check all of it again."""
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
        found.append(Violation(ViolationKind.LEFTOVER, "the engine", f"jobs {ids} have not ended"))
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
    for _, thread_runs in groupby(runs, key=lambda run: run["thread_key"]):
        yield from check_thread(fleet.sandbox, list(thread_runs))
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
                ViolationKind.LEFTOVER, home.name, f"{len(left)} items left: {', '.join(left[:5])}"
            )


def leftover_paths(home: Path) -> list[str]:
    """Paths in a worker's home that should not exist when no run is live.

    These are files of agents, temporary files of any process, and incomplete workspaces.  Only
    the empty temporary directory of a live worker, which holds its lock, may exist.
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
        return False  # Its owner has just ended.
    return False
