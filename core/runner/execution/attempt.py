"""One attempt at a run, as it stands in the process that executes it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
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
    """Why a leg is ended from outside."""

    KILL = "kill"
    TIMEOUT = "timeout"
    HANDOVER = "handover"
    FENCED = "fenced"


@dataclass
class CarryState:
    """How much of a leg's work the database has.

    Attributes:
        head_state: What a glance at HEAD showed when it was last carried; `None`: something is not.
        is_save: Whether the newest that was carried is a saved work tree.
        is_size_reported: Whether the thread knows that it is too large.
        is_closed: Whether the end of the leg was carried, or tried to be.
        check_needed: Set when there may be a new commit.
    """

    head_state: str | None = None
    has_saved_work_tree: bool = False
    is_size_reported: bool = False
    is_closed: bool = False
    check_needed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Attempt:
    """What the steps of an execution hand on to each other.

    Attributes:
        cause: Set as soon as the leg is to end; nothing new is begun after that.
        failure: What ended the work, if it did not end well; with its stop reason.
        work_saved: What was saved of the work tree when the leg was ended from outside.
        has_changes: Set when there is something to write.
    """

    run: Run
    definition: WorkflowDefinition
    progress: Progress
    began_at: datetime
    workspace: Workspace | None = None
    state_dir: Path | None = None
    base_commit: str | None = None
    agent: AgentSession | None = None
    cause: Cause | None = None
    failure: tuple[StopReason, OpsError] | None = None
    termination: Termination | None = None
    proof: Proof | None = None
    diff: DiffStat | None = None
    final_commit: str | None = None
    work_saved: Mapping[str, Any] | None = None
    carry_state: CarryState = field(default_factory=CarryState)
    has_changes: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_first(self) -> bool:
        """Whether the session begins with it: nothing of its work can be anywhere."""
        return self.run.attempt == 1 and self.run.parent_run_id is None

    @property
    def timeout(self) -> timedelta:
        """Wall time this leg may take."""
        return self.run.timeout or self.definition.timeout or DEFAULT_TIMEOUT

    @property
    def prompt_uuid(self) -> UUID:
        """Id of the message this attempt begins with; the first one's is the run's own."""
        return prompt_uuid_of(self.run, self.run.attempt)


def prompt_uuid_of(run: Run, attempt: int) -> UUID:
    """Id of the message with which an attempt of a run begins."""
    return run.id if attempt == 1 else UUID(int=run.id.int ^ attempt)
