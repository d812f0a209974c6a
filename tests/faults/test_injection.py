"""An injection without a victim does not count as made."""

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
    # These tests do not use the fleet.
    return Injection(cast("Fleet", None), plan, list, lambda: is_over)


async def test_a_victim_that_does_not_appear_in_time_is_reported() -> None:
    with pytest.raises(InjectionSkipped, match="it did not appear"):
        await injection().wait_until(lambda: False, reason="it did not appear", within=0)


async def test_the_injection_waits_for_a_late_victim() -> None:
    there = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, there.set)

    await injection().wait_until(there.is_set, reason="it did not appear")

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
                description="the description",
                runs=1,
                seconds=1,
                skipped="it was down" if number in skipped else "",
            )
        )
    return progress


def test_a_further_number_replaces_each_skipped_injection(tmp_path: Path) -> None:
    assert progress_with(tmp_path / "0", up_to=0).selected_numbers(4) == [0, 1, 2, 3]
    assert progress_with(tmp_path / "1", 1, up_to=2).selected_numbers(4) == [0, 1, 2, 3, 4]
    assert progress_with(tmp_path / "2", 1, 4, up_to=6).selected_numbers(4) == [0, 1, 2, 3, 4, 5]
    # Further injections of an earlier call are not selected.
    assert progress_with(tmp_path / "3", 1, up_to=9).selected_numbers(4) == [0, 1, 2, 3, 4]


def test_the_numbers_are_bounded_if_every_injection_is_skipped(tmp_path: Path) -> None:
    progress = progress_with(tmp_path / "progress", *range(40), up_to=40)

    assert progress.selected_numbers(4) == list(range(12))


@pytest.mark.parametrize(
    ("since", "until", "was"),
    [(5, 9, False), (5, 10, True), (12, 13, True), (20, 30, True), (21, 30, False)],
)
def test_a_hit_program_is_recognized_by_name_and_time(
    since: float, until: float, *, was: bool
) -> None:
    journal = [Event(10, 20, 1, "SIGKILL to bot-a [7], down 10.0 s")]

    assert was_hit(journal, ["bot-a", "bot-b"], since=since, until=until) is was
    assert not was_hit(journal, ["worker-a"], since=since, until=until)
