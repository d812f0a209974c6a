"""Why a run cannot be restarted."""

from __future__ import annotations

from core.domain.errors import Conflict
from core.domain.failure_cause import FailureCause
from core.domain.runs.restarts.preview import RestartPreview


class RunStillLive(Conflict):
    """The run, or a later one of its session, has not ended."""

    code = "run_still_live"

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"{run_id} is live",
            user_message=f"Run `{run_id}` has not ended. Stop it first; what it did is kept, and "
            "then it can be restarted.",
        )
        self.run_id = run_id


class NotRestartable(Conflict):
    """The checks before a restart have found something that is in its way.

    Attributes:
        preview: What was found; surfaces say it in their own words.
    """

    code = "not_restartable"

    def __init__(self, preview: RestartPreview, *, user_message: str) -> None:
        kinds = ", ".join(problem.kind for problem in preview.blocking)
        super().__init__(f"{preview.run.run_id}: {kinds}", user_message=user_message)
        self.preview = preview
        self.run_id = preview.run.run_id


class ConversationGone(Conflict):
    """The conversation up to a checkpoint is not stored any more."""

    code = "conversation_gone"
    cause = FailureCause.CONVERSATION_MISSING

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"the conversation of {run_id} is not stored up to its checkpoint",
            user_message=f"The conversation of `{run_id}` is not stored any more up to this "
            "checkpoint. Restart it from the start, which needs no conversation.",
        )
        self.run_id = run_id


class FilesGone(Conflict):
    """The files of a checkpoint are not stored any more."""

    code = "checkpoint_files_gone"

    def __init__(self, number: int) -> None:
        super().__init__(
            f"the files of checkpoint @{number} are not stored",
            user_message=f"The files of checkpoint `@{number}` are not stored, or were deleted "
            "with old ones. Restart from another checkpoint, or from the start.",
        )
        self.number = number
