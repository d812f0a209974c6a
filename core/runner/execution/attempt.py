"""An attempt at a run, in the process that executes it.

The steps of an execution (`executor.py`) return values.  The state that concurrent tasks share is
in small objects (`StopControl`, `Opened`, `CarryState`, `CheckpointState`) and in `progress.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from core.agent.protocol import AgentSession
from core.domain.errors import OpsError
from core.domain.kills.termination import Proof, Termination
from core.domain.runs.run import Run, StopReason
from core.domain.workflow import DEFAULT_TIMEOUT, WorkflowDefinition
from core.runner.checkpoints.state import CheckpointState
from core.runner.execution.progress import Progress
from core.workspace.watch import GitWatch
from core.workspace.workspaces import Workspace


class Cause(StrEnum):
    """Why an attempt is stopped from outside."""

    KILL = "kill"
    TIMEOUT = "timeout"
    HANDOVER = "handover"
    FENCED = "fenced"


@dataclass
class StopControl:
    """Whether an attempt should stop; set by its executor, its writer and the worker's inbox.

    Attributes:
        cause: Set once the attempt has to stop; nothing new starts after that.
        requested_cause: Requested by the inbox.  The executor makes it the cause while the agent
            works; later requests come too late, since the end is being recorded.
        requested: Set when the writer or the inbox requests a stop.
        force_requested: Set when the stop skips the interrupt and waits for nothing.
    """

    cause: Cause | None = None
    requested_cause: Cause | None = None
    requested: asyncio.Event = field(default_factory=asyncio.Event)
    force_requested: asyncio.Event = field(default_factory=asyncio.Event)

    def request_kill(self, *, force: bool = False, is_superseded: bool = False) -> None:
        """Request a stop because of a kill; repeated requests change nothing, except to add force.

        If the run has a newer attempt (`is_superseded`), the kill is for that attempt's worker,
        and this attempt stops as fenced.
        """
        self.requested_cause = Cause.FENCED if is_superseded else Cause.KILL
        if force:
            self.force_requested.set()
        self.requested.set()

    def fence(self) -> None:
        """Stop because another worker has the run; this overrides every other cause."""
        self.cause = Cause.FENCED
        self.requested.set()


@dataclass
class CarryState:
    """How much of an attempt's work is stored in the database.

    Attributes:
        head_state: The state of HEAD that was stored last; `None` if there are commits that are
            not stored.
        has_saved_work_tree: Whether the newest stored work includes the uncommitted work tree.
        is_size_reported: Whether the thread shows already that the work is too large.
        is_closed: Whether the final work of the attempt was stored, or its storing was tried.
        is_end_written: Whether the end of the run is written, so that later events are written
            by themselves.
        check_needed: Set when there may be a new commit.
    """

    head_state: str | None = None
    has_saved_work_tree: bool = False
    is_size_reported: bool = False
    is_closed: bool = False
    is_end_written: bool = False
    check_needed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A workspace that is ready for the agent.

    Attributes:
        run: The run after the workspace was recorded.
        base_commit: HEAD of the workspace at the start of the attempt.
    """

    run: Run
    workspace: Workspace
    base_commit: str | None


@dataclass
class Opened:
    """What the attempt has opened so far, for its ending, for the lease, and for signs of life.

    Attributes:
        git: The commands that prepare its workspace.
        held: What is released when the attempt and the keeping of its work have ended: the lock
            that keeps its workspace from being removed.
    """

    prepared: Prepared | None = None
    agent: AgentSession | None = None
    git: GitWatch = field(default_factory=GitWatch)
    held: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def workspace(self) -> Workspace | None:
        """The workspace, once it is ready."""
        return self.prepared.workspace if self.prepared else None


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """An attempt that this worker executes.

    Attributes:
        run: The run at the start of the attempt.
        has_changes: Set when there is new progress to write.
    """

    run: Run
    definition: WorkflowDefinition
    progress: Progress
    stop: StopControl = field(default_factory=StopControl)
    opened: Opened = field(default_factory=Opened)
    carry_state: CarryState = field(default_factory=CarryState)
    checkpoint_state: CheckpointState = field(default_factory=CheckpointState)
    has_changes: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def cause(self) -> Cause | None:
        """Why it is being stopped from outside, if it is."""
        return self.stop.cause

    @property
    def is_first(self) -> bool:
        """Whether it is the first attempt of its session, so that no earlier work exists."""
        return self.run.attempt == 1 and self.run.parent_run_id is None

    @property
    def timeout(self) -> timedelta:
        """The wall time that this attempt may take."""
        return self.run.timeout or self.definition.timeout or DEFAULT_TIMEOUT

    @property
    def prompt_uuid(self) -> UUID:
        """Id of the first message of this attempt; see `prompt_uuid_of`."""
        return prompt_uuid_of(self.run, self.run.attempt)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why the work failed."""

    stop_reason: StopReason
    error: OpsError


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """The result of a stop from outside.

    Attributes:
        proof: The last scan, which confirms that no process is left.
        termination: The record of the kill, if it was one.
        work_saved: What was saved of the work tree before a handover; `None` if nothing was.
    """

    proof: Proof
    termination: Termination | None = None
    work_saved: Mapping[str, Any] | None = None


def prompt_uuid_of(run: Run, attempt: int) -> UUID:
    """Id of the first message of an attempt: for the first attempt the run's own id."""
    return run.id if attempt == 1 else UUID(int=run.id.int ^ attempt)
