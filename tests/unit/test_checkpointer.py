"""When checkpoints are taken beside an agent, and what they join, with files and rows imagined."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from core.agent.conversation_point import ConversationPoint
from core.domain.errors import Unavailable
from core.domain.runs.checkpoint import Checkpoint, CheckpointReason
from core.domain.runs.step import Step, StepStatus
from core.domain.runs.work.checkpoint_policy import CheckpointPolicy
from core.runner.checkpoints.checkpointer import Checkpointer
from core.runner.execution.attempt import Attempt, Cause, Prepared
from core.runner.execution.progress import Progress
from core.workspace.checkpoints.taking import TakenFiles
from core.workspace.folders import Workspace
from tests.limits import limit
from tests.unit.test_conversation_point import UUIDS, answer, result
from tests.unit.view_helpers import make_run

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
WORKSPACE = Workspace(id="ws_1", path=Path("/nowhere"), branch="main", base_commit=None, repo=None)
DONE = Step(step_id=1, name="Write it", status=StepStatus.COMPLETED, completed_at=NOW)


@dataclass
class FakeFiles:
    """The files of a workspace: a number that the agent raises.

    Attributes:
        acts: What happens while the files are read, one after the other, each once.
    """

    content: int = 0
    acts: list[Callable[[], None]] = field(default_factory=list)
    read: list[int] = field(default_factory=list)

    async def take(
        self, workspace: Workspace, *, previous: TakenFiles | None, **_: object
    ) -> TakenFiles:
        now = self.content
        self.read.append(now)
        if self.acts:
            self.acts.pop(0)()
        tree = f"{now:040}"
        if previous is not None and previous.tree == tree:
            return replace(previous, is_new=False)
        return TakenFiles(
            commit=f"{now:040x}", tree=tree, head_commit=None, branch=workspace.branch
        )

    async def keep(self, workspace: Workspace, taken: TakenFiles, reference: str) -> None:
        assert reference.startswith("refs/signalbox/")

    async def pack(self, *_: object, **__: object) -> bytes:
        return b""

    async def prune(self, workspace: Workspace, keep: Collection[Checkpoint]) -> int:
        return 0


@dataclass
class FakeLedger:
    """The rows."""

    rows: list[Checkpoint] = field(default_factory=list)
    is_reachable: bool = True
    added: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def context(self) -> Any:
        return SimpleNamespace(clock=lambda: NOW)

    async def known(self, run: object) -> list[Checkpoint]:
        return list(self.rows)

    async def add(self, checkpoint: Checkpoint, bundle: bytes | None) -> Checkpoint:
        if not self.is_reachable:
            raise Unavailable("gone", user_message="The database cannot be reached.")
        self.rows.append(replace(checkpoint, number=len(self.rows) + 1))
        self.added.set()
        return self.rows[-1]

    async def thin(self, *_: object) -> frozenset[UUID]:
        return frozenset()

    async def until(self, count: int) -> list[Checkpoint]:
        async with limit(10):
            while len(self.rows) < count:
                self.added.clear()
                await self.added.wait()
        return self.rows


@dataclass
class World:
    """One attempt with its agent, whose conversation a test makes."""

    files: FakeFiles = field(default_factory=FakeFiles)
    ledger: FakeLedger = field(default_factory=FakeLedger)
    point: ConversationPoint = field(default_factory=ConversationPoint)
    every: timedelta = timedelta(hours=1)
    position: int = 0

    def __post_init__(self) -> None:
        run = make_run()
        definition: Any = None
        self.attempt = Attempt(run=run, definition=definition, progress=Progress(model=None))
        self.prepared = Prepared(run=run, workspace=WORKSPACE, base_commit=None)
        self.agent: Any = SimpleNamespace(point=self.point, catch_up=self._catch_up)
        self.attempt.opened.prepared = self.prepared
        self.attempt.opened.agent = self.agent

    @property
    def checkpointer(self) -> Checkpointer:
        ledger: Any = self.ledger
        workspaces: Any = SimpleNamespace(checkpoints=self.files)
        return Checkpointer(ledger, workspaces, CheckpointPolicy(every=self.every))

    async def _catch_up(self) -> None:
        await asyncio.sleep(0)

    def call(self, name: str) -> None:
        """Begin and end a call that changes the files, if it can."""
        self.position += 2
        number = self.position % 8
        call_id = f"call_{self.position}"
        self.point.announce(call_id, name, {}, answer_id=f"msg_{number}")
        self.files.content += name == "Write"
        self.point.add_entry(answer(number, (call_id, name)))
        self.point.add_entry(result(number + 1 if number < 8 else 8, call_id))

    def end_step(self, step: Step = DONE) -> None:
        self.attempt.checkpoint_state.follow((step,))


async def test_the_end_of_a_step_takes_what_was_settled_then() -> None:
    world = World()
    world.call("Write")
    async with world.checkpointer.taking(world.attempt, world.prepared, world.agent):
        world.end_step()
        (taken,) = await world.ledger.until(1)

    assert taken.reason is CheckpointReason.STEP_ENDED
    assert (taken.step_id, taken.step_name) == (1, "Write it")
    assert taken.message_uuid == world.point.message_uuid
    assert not taken.is_call_open


async def test_files_that_changed_while_they_were_read_are_read_again() -> None:
    world = World()
    world.call("Write")
    world.files.acts = [lambda: world.call("Write"), lambda: world.call("Read")]
    before = world.point.message_uuid
    async with world.checkpointer.taking(world.attempt, world.prepared, world.agent):
        world.end_step()
        (taken,) = await world.ledger.until(1)

    # The second reading has both writes; the call that only reads spoils nothing.
    assert world.files.read == [1, 2]
    assert taken.commit == f"{2:040x}"
    assert taken.message_uuid not in (before, world.point.message_uuid)
    assert not taken.is_call_open


async def test_an_agent_that_never_pauses_gets_a_checkpoint_that_says_so() -> None:
    world = World()
    world.files.acts = [lambda: world.call("Write")] * 3
    async with world.checkpointer.taking(world.attempt, world.prepared, world.agent):
        world.end_step()
        (taken,) = await world.ledger.until(1)

    assert world.files.read == [0, 1, 2]
    assert taken.is_call_open


async def test_a_checkpoint_waits_for_the_end_of_an_open_call() -> None:
    world = World()
    world.point.add_entry(answer(1, ("long", "Bash")))
    async with world.checkpointer.taking(world.attempt, world.prepared, world.agent):
        world.end_step()
        for _ in range(20):
            await asyncio.sleep(0)
        assert world.files.read == []
        world.point.add_entry(result(2, "long"))
        (taken,) = await world.ledger.until(1)

    assert taken.message_uuid == UUIDS[2]


async def test_at_an_interval_only_changes_are_taken() -> None:
    world = World(every=timedelta(milliseconds=1))
    async with world.checkpointer.taking(world.attempt, world.prepared, world.agent):
        async with limit(10):
            while len(world.files.read) < 3:  # noqa: ASYNC110 - a fake tells nobody
                await asyncio.sleep(0.001)
        unchanged = len(world.ledger.rows)
        world.call("Write")
        rows = await world.ledger.until(unchanged + 1)

    # The first has nothing to be compared with; later ones only if something is new.
    assert unchanged <= 1
    assert rows[-1].reason is CheckpointReason.INTERVAL
    assert rows[-1].commit == f"{1:040x}"


async def test_what_was_not_stored_is_not_taken_for_stored(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(ledger=FakeLedger(is_reachable=False))
    async with world.checkpointer.taking(world.attempt, world.prepared, world.agent):
        world.end_step()
        async with limit(10):
            while "no checkpoint" not in caplog.text:  # noqa: ASYNC110 - a log tells nobody
                await asyncio.sleep(0.001)
        assert world.attempt.checkpoint_state.taken is None
        world.ledger.is_reachable = True
        world.end_step(replace(DONE, step_id=2))
        (taken,) = await world.ledger.until(1)

    assert taken.step_id == 2


async def test_a_step_that_ends_while_another_one_is_taken_is_next() -> None:
    world = World()
    world.files.acts = [lambda: world.end_step(replace(DONE, step_id=2))]
    async with world.checkpointer.taking(world.attempt, world.prepared, world.agent):
        world.end_step()
        rows = await world.ledger.until(2)

    assert [one.step_id for one in rows] == [1, 2]


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (None, CheckpointReason.LEG_ENDED),
        (Cause.TIMEOUT, CheckpointReason.LEG_ENDED),
        (Cause.KILL, CheckpointReason.BEFORE_KILL),
    ],
)
async def test_the_last_checkpoint_tells_an_end_from_a_kill(
    cause: Cause | None, reason: CheckpointReason
) -> None:
    world = World()
    world.call("Write")
    async with world.checkpointer.taking(world.attempt, world.prepared, world.agent):
        await asyncio.sleep(0)
    world.attempt.stop.cause = cause

    await world.checkpointer.take_final(world.attempt)

    (taken,) = world.ledger.rows
    assert taken.reason is reason
    assert not taken.is_call_open


async def test_the_last_checkpoint_of_a_run_cut_off_in_a_call_says_so() -> None:
    world = World()
    world.point.add_entry(answer(1, ("cut", "Bash")))
    world.point.end()

    await world.checkpointer.take_final(world.attempt)

    (taken,) = world.ledger.rows
    assert taken.is_call_open


async def test_without_checkpoints_nothing_is_read() -> None:
    world = World()
    checkpointer = replace(world.checkpointer, policy=CheckpointPolicy(is_enabled=False))
    async with checkpointer.taking(world.attempt, world.prepared, world.agent):
        world.end_step()
        await asyncio.sleep(0)

    await checkpointer.take_final(world.attempt)

    assert (world.files.read, world.ledger.rows) == ([], [])
