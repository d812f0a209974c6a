"""What a checkpoint joins: the files, how far the run had come, and the step."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from core.agent.conversation_point import ConversationPoint
from core.domain.runs.checkpoint import CheckpointReason
from core.domain.runs.step import Step
from core.runner.execution.attempt import Attempt, Prepared
from core.workspace.checkpoints.taking import TakenFiles


@dataclass(frozen=True, kw_only=True)
class Moment:
    """How far a run has come.

    Attributes:
        is_call_open: Whether a tool call may have changed files after `message_uuid`.
    """

    message_uuid: UUID | None
    is_call_open: bool
    turns: int
    cost_usd: Decimal | None
    tool_calls: int


@dataclass(frozen=True, kw_only=True)
class Cut:
    """What a checkpoint joins: files, conversation and step."""

    taken: TakenFiles
    moment: Moment
    reason: CheckpointReason
    step: Step | None


def read_moment(attempt: Attempt, point: ConversationPoint, *, is_call_open: bool) -> Moment:
    """How far a run has come now."""
    columns = attempt.progress.columns()
    return Moment(
        message_uuid=point.message_uuid,
        is_call_open=is_call_open,
        turns=columns["turns"],
        cost_usd=columns["cost_usd"],
        tool_calls=columns["tool_calls"],
    )


def is_changed(taken: TakenFiles, prepared: Prepared) -> bool:
    """Whether anything differs from the checkpoint before, or from the start of the run."""
    is_start = taken.head_commit == prepared.run.initial_commit_hash and (
        taken.diff is not None and taken.diff.files == 0
    )
    return taken.is_new and not is_start
