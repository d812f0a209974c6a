"""Recovery legs: runs that go on with a session whose conversation cannot be restored.  Pure.

Such a run begins a new conversation with a summary of the one that is lost, and works on the files
as they are.  It is always somebody's choice, and is labelled everywhere.
"""

from __future__ import annotations

from core.domain.errors import Conflict
from core.domain.failure_cause import FailureCause
from core.domain.runs.failure_analysis import FailureAnalysis
from core.domain.runs.run import Run

# Set in the metadata of a recovery leg.
RECOVERY_KEY = "recovery"

# The conversation cannot be gone on with: the same again would fail in the same way.
LOST_CAUSES = frozenset({FailureCause.CONVERSATION_MISSING, FailureCause.CONVERSATION_DAMAGED})
# The conversation may be why it failed; a person can decide to leave it behind.
_SUSPECT_CAUSES = LOST_CAUSES | {
    FailureCause.PROMPT_TOO_LONG,
    FailureCause.REQUEST_TOO_LARGE,
    FailureCause.REQUEST_REJECTED,
    FailureCause.PROGRAM_CRASHED,
    FailureCause.PROGRAM_UNREADABLE,
}


class RecoveryNotNeeded(Conflict):
    """A recovery leg was asked for, and the conversation can be continued as it is."""

    code = "recovery_not_needed"

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"{run_id} has its conversation",
            user_message=f"The conversation of `{run_id}` can be continued as it is. A recovery "
            "leg would leave it behind, so it is only for one that cannot be restored.",
        )
        self.run_id = run_id


def is_recovery(run: Run) -> bool:
    """Whether a run began a new conversation with a summary of the lost one."""
    return bool(run.metadata.get(RECOVERY_KEY))


def is_unbegun_recovery(run: Run) -> bool:
    """Whether a recovery leg ended before its agent answered: the next leg is one again."""
    return not run.is_live and is_recovery(run) and run.turns == 0


def needs_recovery(run: Run) -> bool:
    """Whether a run failed because its session's conversation cannot be restored."""
    analysis = None if run.is_live else FailureAnalysis.of_run(run)
    return analysis is not None and analysis.cause in LOST_CAUSES


def may_recover(run: Run) -> bool:
    """Whether a session whose newest run this is may go on in a recovery leg."""
    if is_unbegun_recovery(run):
        return True
    analysis = None if run.is_live else FailureAnalysis.of_run(run)
    return analysis is not None and analysis.cause in _SUSPECT_CAUSES
