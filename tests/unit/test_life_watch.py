"""The worker looks at the programs of a silent attempt, and only then."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from core.agent.process.process_tree import ProcessTree
from core.agent.process.programs import look_at_tools
from core.domain.runs.activity.awaited import Awaited, AwaitedKind
from core.domain.runs.event import (
    AgentEvent,
    AgentStarted,
    ApiRetry,
    ToolFinished,
    ToolStarted,
)
from core.domain.workflow import WorkflowDefinition
from core.runner.execution.attempt import Attempt, Opened
from core.runner.execution.life_watch import LifeWatch, LookTimes, hear_resumed
from core.runner.execution.progress import Progress
from tests.database import NOW
from tests.limits import limit
from tests.unit.process_trees import StartedTree, linux_only, start_tree

pytestmark = linux_only

MAKE = ToolStarted(tool_use_id="1", name="Bash", summary="make test")
STARTED = AgentStarted(session_id="s", model="sonnet")
HELPER = ToolStarted(tool_use_id="2", name="Task", summary="Survey the files")
SERVER = ToolStarted(tool_use_id="3", name="mcp__jira__search", summary="")
SLEEPING = "sleep 60 & echo ready; wait"
SPINNING = "(while :; do :; done) & echo ready; wait"


@dataclass
class Watched:
    """An attempt whose agent program is the first process of a tree, and a clock to move."""

    attempt: Attempt
    now: Any = NOW
    watch: LifeWatch = field(init=False)

    def __post_init__(self) -> None:
        self.watch = LifeWatch(self.attempt, lambda: self.now, LookTimes())

    def hear(self, event: AgentEvent) -> None:
        self.attempt.progress.add_event(event, at=self.now)

    async def look(self, *, after: float) -> bool:
        """Look after so many seconds; returns whether there is anything to write."""
        self.now += timedelta(seconds=after)
        self.attempt.has_changes.clear()
        await self.watch.look_if_silent()
        return self.attempt.has_changes.is_set()

    async def let_programs_work(self) -> None:
        """Wait until they have used 0.2 s of a processor."""
        agent = self.attempt.opened.agent
        assert agent is not None
        tree = ProcessTree(agent.tree.run_marker, agent.tree.root)
        [before] = (await look_at_tools(tree)).values()
        async with limit(10):
            while True:
                [now] = (await look_at_tools(tree)).values()
                if now.processor - before.processor >= timedelta(seconds=0.2):
                    return
                await asyncio.sleep(0.05)

    @property
    def awaited(self) -> Awaited:
        found = self.attempt.progress.awaiting.awaited
        assert found is not None
        return found


def attempt_of(tree: StartedTree | None) -> Attempt:
    run: Any = SimpleNamespace(id=uuid4(), run_id="run_1", attempt=1)
    agent: Any = None
    if tree is not None:
        agent = SimpleNamespace(tree=ProcessTree(tree.run_marker, tree.root))
    return Attempt(
        run=run,
        definition=cast("WorkflowDefinition", None),
        progress=Progress(model=None),
        opened=Opened(agent=agent),
    )


@contextmanager
def watched(command: str) -> Iterator[Watched]:
    with start_tree("bash", "-c", command) as tree:
        yield Watched(attempt_of(tree))


async def test_an_agent_that_is_heard_of_or_has_no_open_call_is_not_looked_at() -> None:
    with watched(SPINNING) as one:
        one.hear(STARTED)
        assert not await one.look(after=60)
        one.hear(MAKE)
        assert not await one.look(after=29)
        one.hear(ToolFinished(tool_use_id="1", is_error=False, output=""))
        assert not await one.look(after=60)

        assert one.awaited == Awaited(kind=AwaitedKind.MODEL, since=NOW + timedelta(seconds=89),
            heard_at=NOW + timedelta(seconds=89))  # fmt: skip


async def test_the_first_look_only_begins_and_later_ones_tell_what_was_done() -> None:
    with watched(SPINNING) as one:
        one.hear(MAKE)
        begun = await one.look(after=31)
        first = one.awaited
        await one.let_programs_work()
        working = await one.look(after=20)

        assert begun
        assert (first.watched_since, first.busy_at) == (NOW + timedelta(seconds=31), None)
        assert first.is_output_known
        assert working
        assert one.awaited.busy_at == one.now
        assert one.awaited.heard_at == NOW
        assert one.attempt.progress.has_new_signs


async def test_there_is_nothing_to_write_of_a_program_that_hangs() -> None:
    with watched(SLEEPING) as one:
        one.hear(MAKE)
        await one.look(after=31)

        assert not await one.look(after=20)
        assert (one.awaited.busy_at, one.awaited.output_at) == (None, None)


async def test_a_daemon_from_before_the_call_does_not_hide_that_it_hangs() -> None:
    with watched(SPINNING) as one:
        # On the clock of the machine the call begins only now, an hour after its programs.
        one.now += timedelta(hours=1)
        one.hear(MAKE)
        one.now -= timedelta(hours=1)
        one.attempt.progress.awaiting.resume(at=NOW - timedelta(minutes=1))
        await one.look(after=0)
        await one.let_programs_work()
        await one.look(after=20)

        assert one.awaited.busy_at is None


async def test_the_servers_of_the_agent_count_while_one_of_them_is_called() -> None:
    with watched(SPINNING) as one:
        one.now += timedelta(hours=1)
        one.hear(SERVER)
        one.now -= timedelta(hours=1)
        one.attempt.progress.awaiting.resume(at=NOW - timedelta(minutes=1))
        await one.look(after=0)
        await one.let_programs_work()
        await one.look(after=20)

        assert one.awaited.busy_at == one.now


async def test_new_events_begin_anew() -> None:
    with watched(SPINNING) as one:
        one.hear(MAKE)
        await one.look(after=31)
        await one.look(after=20)
        one.hear(HELPER)

        assert (one.awaited.watched_since, one.awaited.busy_at) == (None, None)
        assert one.awaited.name == "Bash: make test"


@pytest.mark.parametrize(
    ("events", "name"),
    [
        ((HELPER, MAKE), "Bash: make test"),
        ((HELPER,), "Task: Survey the files"),
        ((MAKE, SERVER), "Bash: make test"),
    ],
)
def test_a_call_of_a_helper_is_named_before_the_call_that_started_it(
    events: tuple[AgentEvent, ...], name: str
) -> None:
    one = Watched(attempt_of(None))
    for event in events:
        one.hear(event)

    assert one.awaited.name == name


def test_a_retry_is_expected_when_it_was_announced() -> None:
    one = Watched(attempt_of(None))
    one.hear(ApiRetry(attempt=1, max_attempts=10, delay_ms=90_000, error="overloaded"))

    assert one.awaited.expected_at == NOW + timedelta(seconds=90)


def test_an_agent_that_was_paused_is_heard_of_when_it_works_again() -> None:
    one = Watched(attempt_of(None))
    one.hear(MAKE)
    later = NOW + timedelta(minutes=8)

    hear_resumed(one.attempt, at=later)

    assert (one.awaited.heard_at, one.awaited.since) == (later, NOW)
    assert one.attempt.has_changes.is_set()


async def test_a_clone_counts_as_life_while_git_works() -> None:
    with start_tree("bash", "-c", SPINNING) as tree:
        attempt = attempt_of(None)
        # What `GitWatch` says while a command of git runs.
        git: Any = SimpleNamespace(pids=frozenset({tree.root.pid}), awaited_folder=None)
        attempt.opened.git = git
        attempt.progress.awaiting.wait_for(AwaitedKind.WORKSPACE, at=NOW)
        one = Watched(attempt)

        begun = await one.look(after=31)
        await Watched(attempt_of(tree)).let_programs_work()
        has_worked = await one.look(after=20)

    assert begun
    assert has_worked
    assert one.awaited.kind is AwaitedKind.WORKSPACE
    assert one.awaited.busy_at == one.now


async def test_a_worker_that_waits_without_a_command_shows_no_life() -> None:
    one = Watched(attempt_of(None))
    one.attempt.progress.awaiting.wait_for(AwaitedKind.WORKSPACE, at=NOW)

    await one.look(after=31)

    assert not await one.look(after=20)
    assert one.awaited.busy_at is None
