"""Requests to restart a run: from its start, or from one of its checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from core.domain.errors import BadRequest
from core.domain.runs.request import MAX_TASK_CHARS, TaskTooLong, check_limits

# What nobody types by intent; a session has far fewer checkpoints.
MAX_CHECKPOINT_NUMBER = 1_000_000


class RestartMode(StrEnum):
    """What is put back.

    `FORK` makes a new session, whose conversation and workspace are as they were.  `FILES` puts
    only the files of the workspace back, and the same conversation goes on.
    """

    FORK = "fork"
    FILES = "files"


class DefinitionChoice(StrEnum):
    """Which workflow definition the new run follows: as it is now, or as the old run used it."""

    CURRENT = "current"
    STORED = "stored"


class NoCheckpointForFiles(BadRequest):
    """Files are to be put back, and no checkpoint is named."""

    code = "no_checkpoint_for_files"

    def __init__(self) -> None:
        super().__init__(
            "files without a checkpoint",
            user_message="Say to which checkpoint the files go back, for example `@2`.",
        )


@dataclass(frozen=True, kw_only=True)
class RestartRequest:
    """A request to restart a run; a limit of `None` is that of the old run.

    Attributes:
        target: A run id, a unique prefix of one, or a session's name or id.
        request_key: The request's id at its origin; a repeated request starts no second run.
        checkpoint: The number of the checkpoint; `None` restarts from the start.
        message: What to tell the agent at a checkpoint; `None` asks it to go on from there.
        definition: Which definition to follow; `None` is the present one if there is one.
    """

    target: str
    request_key: str
    checkpoint: int | None = None
    mode: RestartMode = RestartMode.FORK
    message: str | None = None
    definition: DefinitionChoice | None = None
    max_turns: int | None = None
    budget_usd: Decimal | None = None

    def check(self) -> None:
        """Check the request.

        Raises:
            BadRequest: If a value is out of bounds, or files have no checkpoint to go back to.
        """
        if self.mode is RestartMode.FILES and self.checkpoint is None:
            raise NoCheckpointForFiles
        if self.message is not None and len(self.message) > MAX_TASK_CHARS:
            raise TaskTooLong(len(self.message))
        check_limits(self.max_turns, self.budget_usd, None)
