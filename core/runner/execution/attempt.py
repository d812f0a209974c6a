"""One attempt at a run, as it stands in the process that executes it.

The steps of an execution (`executor.py`) return values.  What several tasks change while they
run at the same time is in three small objects: `StopControl`, `Opened` and `CarryState`, beside
the account of the work (`progress.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from core.agent.protocol import AgentSession
from core.domain.errors import OpsError
from core.domain.kills.termination import Proof, Termination
from core.domain.runs.run import DiffStat, Run, StopReason
from core.domain.workflow import DEFAULT_TIMEOUT, WorkflowDefinition
from core.runner.execution.progress import Progress
from core.workspace.workspaces import Workspace


class Cause(StrEnum):
    """Why an attempt is ended from outside."""

    KILL = "kill"
    TIMEOUT = "timeout"
    HANDOVER = "handover"
    FENCED = "fenced"


@dataclass
class StopControl:
    """Whether an attempt is to stop; set by its executor, its writer and the worker's inbox.

    Attributes:
        cause: Set as soon as the attempt is to end; nothing new is begun after that.
        requested_cause: What the inbox asks for; the executor makes it the cause while the work
            goes on.  Afterwards it comes too late: the end is being recorded.
        requested: Set when the writer or the inbox asks for the end.
        force_requested: Set when the agent is no longer asked to stop, and nothing is waited for.
    """

    cause: Cause | None = None
    requested_cause: Cause | None = None
    requested: asyncio.Event = field(default_factory=asyncio.Event)
    force_requested: asyncio.Event = field(default_factory=asyncio.Event)

    def request_kill(self, *, force: bool = False, is_superseded: bool = False) -> None:
        """Ask for the end because of a kill; asking again changes nothing.

        If the run has gone on to another attempt, the kill is for that one's worker, and this
        attempt ends as fenced.
        """
        self.requested_cause = Cause.FENCED if is_superseded else Cause.KILL
        if force:
            self.force_requested.set()
        self.requested.set()

    def fence(self) -> None:
        """End it because another worker has the run; this overrides every other cause."""
        self.cause = Cause.FENCED
        self.requested.set()


@dataclass
class CarryState:
    """How much of an attempt's work the database has.

    Attributes:
        head_state: What a glance at HEAD showed when it was last carried; `None`: something is not.
        has_saved_work_tree: Whether the newest that was carried is a saved work tree.
        is_size_reported: Whether the thread knows that it is too large.
        is_closed: Whether the end of the attempt was carried, or tried to be.
        check_needed: Set when there may be a new commit.
    """

    head_state: str | None = None
    has_saved_work_tree: bool = False
    is_size_reported: bool = False
    is_closed: bool = False
    check_needed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A workspace that is ready for the agent.

    Attributes:
        run: As it stands since the workspace was recorded.
        base_commit: The workspace's HEAD when the attempt found it.
    """

    run: Run
    workspace: Workspace
    base_commit: str | None


@dataclass
class Opened:
    """What the work has opened so far: its ending and the lease use it while the work goes on."""

    prepared: Prepared | None = None
    agent: AgentSession | None = None

    @property
    def workspace(self) -> Workspace | None:
        """The workspace, once it is ready."""
        return self.prepared.workspace if self.prepared else None


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """An attempt that this worker has taken.

    Attributes:
        run: As it was when the attempt began.
        has_changes: Set when there is something to write.
    """

    run: Run
    definition: WorkflowDefinition
    progress: Progress
    stop: StopControl = field(default_factory=StopControl)
    opened: Opened = field(default_factory=Opened)
    carry_state: CarryState = field(default_factory=CarryState)
    has_changes: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def cause(self) -> Cause | None:
        """Why it is being ended from outside, if it is."""
        return self.stop.cause

    @property
    def is_first(self) -> bool:
        """Whether the session begins with it: nothing of its work can be anywhere."""
        return self.run.attempt == 1 and self.run.parent_run_id is None

    @property
    def timeout(self) -> timedelta:
        """Wall time this attempt may take."""
        return self.run.timeout or self.definition.timeout or DEFAULT_TIMEOUT

    @property
    def prompt_uuid(self) -> UUID:
        """Id of the message this attempt begins with; the first one's is the run's own."""
        return prompt_uuid_of(self.run, self.run.attempt)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What ended the work, if it did not end well."""

    stop_reason: StopReason
    error: OpsError


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """What the ending from outside found and kept.

    Attributes:
        proof: What the last scan found; confirmed.
        work_saved: What was saved of the work tree; `None` if there was none to save.
    """

    proof: Proof
    termination: Termination | None = None
    work_saved: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What the attempt has changed in its repository, since its run began."""

    diff: DiffStat
    final_commit: str | None


def prompt_uuid_of(run: Run, attempt: int) -> UUID:
    """Id of the message with which an attempt of a run begins."""
    return run.id if attempt == 1 else UUID(int=run.id.int ^ attempt)
