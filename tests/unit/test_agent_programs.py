"""Looks at real processes: whose life counts, and what is seen of it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from core.agent.process.process_tree import ProcessTree
from core.agent.process.programs import look_at_commands, look_at_tools
from core.domain.runs.activity.life import Signs, signs_between
from tests.limits import limit
from tests.unit.process_trees import StartedTree, linux_only, start_tree

pytestmark = linux_only

# Long enough that two looks differ by more than the clock's hundredth of a second.
SHORT = timedelta(seconds=0.3)
SLEEPING = "sleep 60 & echo ready; wait"
SPINNING = "sleep 60 & echo ready; while :; do :; done"
SPINNING_CHILD = "(while :; do :; done) & echo ready; wait"
WRITING = "(while :; do echo line; sleep 0.02; done) > /dev/null & echo ready; wait"
COMING = "(while :; do sleep 0.05; done) & echo ready; wait"


def known(tree: StartedTree) -> ProcessTree:
    return ProcessTree(tree.run_marker, tree.root)


async def signs_of(tree: StartedTree, *, begun_within: timedelta | None = None) -> Signs:
    """What two looks find; the first process of the tree is the agent program."""
    seen = known(tree)
    before = await look_at_tools(seen, begun_within=begun_within)
    await asyncio.sleep(SHORT.total_seconds())
    after = await look_at_tools(seen, begun_within=begun_within)
    return signs_between(before, after, SHORT)


async def test_programs_that_sleep_show_no_life() -> None:
    with start_tree("bash", "-c", SLEEPING) as tree:
        assert len(await look_at_tools(known(tree))) == 1
        assert await signs_of(tree) == Signs()


async def test_the_agent_program_itself_is_left_out() -> None:
    with start_tree("bash", "-c", SPINNING) as tree:
        assert await signs_of(tree) == Signs()


async def test_a_program_that_computes_has_worked() -> None:
    with start_tree("bash", "-c", SPINNING_CHILD) as tree:
        assert await signs_of(tree) == Signs(has_worked=True)


async def test_a_program_that_writes_has_written() -> None:
    with start_tree("bash", "-c", WRITING) as tree:
        assert (await signs_of(tree)).has_written


async def test_programs_that_come_and_go_are_life() -> None:
    with start_tree("bash", "-c", COMING) as tree:
        assert (await signs_of(tree)).has_worked


async def test_a_stopped_program_shows_no_life() -> None:
    with start_tree("bash", "-c", SPINNING_CHILD) as tree:
        [(pid, _)] = await look_at_tools(known(tree))
        os.kill(pid, signal.SIGSTOP)

        async with limit(10):
            # What it did before the signal reached it may still be counted.
            while (await signs_of(tree)) != Signs():
                pass
        assert await signs_of(tree) == Signs()


async def test_programs_from_before_the_call_do_not_count() -> None:
    with start_tree("bash", "-c", SPINNING_CHILD) as tree:
        # The margin reaches back to the start of this tree.
        recent = await look_at_tools(known(tree), begun_within=timedelta(seconds=1))
        before_all = timedelta(seconds=-60)

        assert len(recent) == 1
        assert await look_at_tools(known(tree), begun_within=before_all) == {}
        assert await signs_of(tree, begun_within=before_all) == Signs()


@contextmanager
def command(*arguments: str, cwd: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A command in a process group of its own, which has printed "ready"."""
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, cwd=cwd, start_new_session=True
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)


async def test_a_command_counts_with_all_that_it_started() -> None:
    with command("bash", "-c", SLEEPING) as process:
        look = await look_at_commands({process.pid})
        nothing = await look_at_commands(frozenset())

    assert len(look) == 2
    assert process.pid in {pid for pid, _ in look}
    assert nothing == {}


async def test_commands_of_others_count_that_work_in_the_awaited_folder(tmp_path: Path) -> None:
    mirror = tmp_path / "mirror.git"
    (mirror / "objects").mkdir(parents=True)
    source = "print('ready', flush=True); import time; time.sleep(60)"
    with command(sys.executable, "-c", source, cwd=mirror / "objects") as process:
        inside = await look_at_commands(frozenset(), mirror)
        beside = await look_at_commands(frozenset(), tmp_path / "other.git")

    assert {pid for pid, _ in inside} == {process.pid}
    assert beside == {}
