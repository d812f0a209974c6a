"""A checkpoint: a point of a session from which one can restart.

It joins three things that belong together: how far the conversation had come, the files of the
workspace at that moment, and the step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from core.domain.errors import NotFound
from core.domain.runs.work.carried_work import Bundle


class CheckpointReason(StrEnum):
    """Why a checkpoint was taken."""

    STEP_ENDED = "step_ended"
    BEFORE_KILL = "before_kill"
    LEG_ENDED = "leg_ended"
    INTERVAL = "interval"


# The private references of checkpoints in their workspaces.
REFERENCE_PREFIX = "refs/signalbox/checkpoints/"
# The key in a run's metadata of why it has no checkpoints, for people.
PROBLEM_KEY = "checkpoint_problem"
# Of one leg these are the last word on its work, whatever else is deleted.
LEG_REASONS = frozenset({CheckpointReason.BEFORE_KILL, CheckpointReason.LEG_ENDED})


class NotStored(StrEnum):
    """Why the objects of a checkpoint are not in the database, but only in its workspace."""

    TOO_LARGE = "too_large"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class CheckpointDiff:
    """How the files of a checkpoint differ from the commit at which its run started.

    Attributes:
        files: The number of files that differ.
        added: The lines added in text files.
        removed: The lines removed in text files.
    """

    files: int = 0
    added: int = 0
    removed: int = 0


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One row of `checkpoints`.

    Attributes:
        run_id: The id of the run's row (not `run_…`).
        session_id: The session whose conversation `message_uuid` is in.
        number: The number that people type as `@N`.  It rises along the lineage: a session that
            was forked at `@2` counts on from 3.  Numbers of deleted checkpoints are not used again.
        step_id: The step that ended, or that was in progress; `None` if there was none.
        step_name: Its name.
        message_uuid: The last entry of the transcript that belongs to the checkpoint: an answer,
            or the result of a tool call.  It is in `transcript_entries`.  Everything that the calls
            before it did is in `commit`.  `None` if the agent had not answered yet.
        is_call_open: Whether a tool call that began after `message_uuid` had not ended, so that
            `commit` may have a part of what it did.
        commit: The files, as a commit whose parent is `head_commit`; ignored files and the content
            of nested repositories are not in it.
        head_commit: The commit that was checked out; `None` if there was none yet.
        base_commit: The session's repository has this commit and its ancestors; `None` if it has
            nothing.
        branch: The branch that was checked out; `None` if HEAD was detached.
        references: Full reference name to commit, for every local branch and the start of the run.
        turns: The turns of the run so far.
        cost_usd: The cost of the run so far; `None` if it is unknown.
        tool_calls: The tool calls of the run so far.
        diff: What the run had changed; `None` if that is unknown.
        size_bytes: The size of what the database stores of it; 0 if the repository, or the
            checkpoint before it, has everything.
        previous_id: The checkpoint whose objects must be unpacked before those of this one;
            `None` if it needs only `base_commit`.
        not_stored: Why the database does not have its objects; `None` if it has them, so that any
            machine can restore the checkpoint.
    """

    id: UUID
    run_id: UUID
    session_id: UUID
    attempt: int
    number: int
    taken_at: datetime
    reason: CheckpointReason
    commit: str
    step_id: int | None = None
    step_name: str | None = None
    message_uuid: UUID | None = None
    is_call_open: bool = False
    head_commit: str | None = None
    base_commit: str | None = None
    branch: str | None = None
    references: Mapping[str, str] = field(default_factory=dict)
    turns: int = 0
    cost_usd: Decimal | None = None
    tool_calls: int = 0
    diff: CheckpointDiff | None = None
    size_bytes: int = 0
    previous_id: UUID | None = None
    not_stored: NotStored | None = None

    @property
    def reference(self) -> str:
        """The private reference that keeps the objects in the workspace."""
        return reference_of(self.id)

    @property
    def commits(self) -> list[str]:
        """All commits of the checkpoint, each once."""
        heads = [self.commit, *([self.head_commit] if self.head_commit else [])]
        return sorted({*heads, *self.references.values()})

    @property
    def is_restorable_anywhere(self) -> bool:
        """Whether the database has its objects; otherwise only its workspace has."""
        return self.not_stored is None

    def to_bundle(self, data: bytes = b"") -> Bundle:
        """The state of the workspace, in the form in which carried work is unpacked.

        Args:
            data: The objects of this checkpoint, as the database stores them.
        """
        return Bundle(
            data=data,
            branch=self.branch,
            base_commit=self.base_commit,
            head_commit=self.head_commit,
            saved_commit=self.commit,
            references=self.references,
        )


def reference_of(checkpoint_id: UUID) -> str:
    """The private reference of a checkpoint in its workspace."""
    return f"{REFERENCE_PREFIX}{checkpoint_id.hex}"


class CheckpointNotFound(NotFound):
    """No checkpoint of the session has this number, or it was deleted."""

    code = "checkpoint_not_found"

    def __init__(self, number: int) -> None:
        super().__init__(
            f"no checkpoint @{number}",
            user_message=f"There is no checkpoint `@{number}`: none was taken with that number, "
            "or it was deleted as an old one.",
        )
        self.number = number
