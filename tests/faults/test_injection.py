"""An injection that finds nothing that it could be done to does not count as done."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import cast

import pytest

from tests.faults.fleet import Event, Fleet, was_hit
from tests.faults.injection import Injection, InjectionSkipped
from tests.faults.plan import Kind, plan_of
from tests.faults.results import InjectionResult, Progress
from tests.faults.supervised import SupervisedProgram


def injection(*, is_over: bool = False) -> Injection:
    plan = plan_of(1, 1, kinds=[Kind.AGENT_KILLED])
    # Nothing of the fleet is asked for in these tests.
    return Injection(cast("Fleet", None), plan, list, lambda: is_over)


async def test_what_is_not_there_in_time_is_said() -> None:
    with pytest.raises(InjectionSkipped, match="nobody came"):
        await injection().wait_until(lambda: False, reason="nobody came", within=0)


async def test_what_comes_a_little_late_is_waited_for() -> None:
    there = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, there.set)

    await injection().wait_until(there.is_set, reason="nobody came")

    assert there.is_set()


async def test_a_process_that_has_ended_cannot_be_frozen() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await process.wait()

    with pytest.raises(InjectionSkipped, match="the agent had just ended"):
        await injection().freeze(process.pid, "the agent")


async def test_without_work_there_is_no_agent_to_wait_for() -> None:
    with pytest.raises(InjectionSkipped, match="no agent of its work"):
        await injection(is_over=True).agent()


async def test_a_program_that_is_up_is_found(tmp_path: Path) -> None:
    program = SupervisedProgram("bot-a", "bot", tmp_path, tmp_path / "log", {})
    program.process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", stdin=-1
    )
    try:
        pid = await injection().wait_for_pid(program)
    finally:
        program.process.kill()
        await program.process.wait()

    assert pid == program.process.pid


def progress_with(path: Path, *skipped: int, up_to: int) -> Progress:
    progress = Progress(path)
    for number in range(up_to):
        progress.add(
            InjectionResult(
                seed=1,
                number=number,
                kind=Kind.BOT_KILLED,
                description="told",
                runs=1,
                seconds=1,
                skipped="it was down" if number in skipped else "",
            )
        )
    return progress


def test_a_further_number_is_taken_for_each_that_was_not_done(tmp_path: Path) -> None:
    assert progress_with(tmp_path / "0", up_to=0).selected_numbers(4) == [0, 1, 2, 3]
    assert progress_with(tmp_path / "1", 1, up_to=2).selected_numbers(4) == [0, 1, 2, 3, 4]
    assert progress_with(tmp_path / "2", 1, 4, up_to=6).selected_numbers(4) == [0, 1, 2, 3, 4, 5]
    # What an earlier call did beyond that is not asked for.
    assert progress_with(tmp_path / "3", 1, up_to=9).selected_numbers(4) == [0, 1, 2, 3, 4]


def test_numbers_come_to_an_end_where_nothing_can_be_done(tmp_path: Path) -> None:
    progress = progress_with(tmp_path / "progress", *range(40), up_to=40)

    assert progress.selected_numbers(4) == list(range(12))


@pytest.mark.parametrize(
    ("since", "until", "was"),
    [(5, 9, False), (5, 10, True), (12, 13, True), (20, 30, True), (21, 30, False)],
)
def test_who_was_hit_in_a_time_is_known(since: float, until: float, *, was: bool) -> None:
    journal = [Event(10, 20, 1, "SIGKILL to bot-a [7], away 10.0 s")]

    assert was_hit(journal, ["bot-a", "bot-b"], since=since, until=until) is was
    assert not was_hit(journal, ["worker-a"], since=since, until=until)
