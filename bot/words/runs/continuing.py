"""What continues an ended run: what is offered, and its labels, the same on every surface."""

from __future__ import annotations

from dataclasses import dataclass

from bot.words import money
from core.domain.runs.run import SETUP_FAILURES, Run, StopReason
from core.domain.sessions.recovery import may_recover, needs_recovery

# What is offered where the turn limit ended a run.
MORE_TURNS = (10, 20, 50)
LIKELY_TURNS = 20


@dataclass(frozen=True, kw_only=True)
class ContinueOffer:
    """The ways to continue a run that do not fail at once.

    Attributes:
        left: The label of the one that continues with what was left of the limit; empty for none.
        more_turns: How many turns more are offered with one press.
        has_form: Whether turns, message and limits can be chosen.
        has_recovery: Whether a recovery leg can be started.
        is_recovery_likely: Whether nothing else helps.
    """

    left: str = ""
    more_turns: tuple[int, ...] = ()
    has_form: bool = False
    has_recovery: bool = False
    is_recovery_likely: bool = False


def continue_offer(run: Run) -> ContinueOffer:
    """The ways to continue a run; none for a live one.

    More turns are offered where the turn limit ended the run.  Otherwise what was left of the limit
    is: it is never taken away.  What can only fail is left out.
    """
    if run.is_live or run.stop_reason is None:
        return ContinueOffer()
    if run.stop_reason in SETUP_FAILURES and not run.can_continue:
        return ContinueOffer()
    if needs_recovery(run):
        return ContinueOffer(has_recovery=True, is_recovery_likely=True)
    has_recovery = may_recover(run)
    if not run.can_continue:
        return ContinueOffer(has_form=True, has_recovery=has_recovery)
    if run.turns_left:
        label = continue_left_label(run)
        return ContinueOffer(left=label, has_form=True, has_recovery=has_recovery)
    return ContinueOffer(more_turns=MORE_TURNS, has_form=True, has_recovery=has_recovery)


def continue_left_label(run: Run) -> str:
    """`Continue (57 turns left)`; after a budget, how much the next leg may cost, too."""
    is_budget = run.stop_reason is StopReason.BUDGET
    more = f"+{money.dollars(run.budget_usd)}, " if is_budget and run.budget_usd else ""
    return f"Continue ({more}{turns_left_words(run)})"


def turns_left_words(run: Run) -> str:
    """The turns that a run had left: `57 turns left`."""
    return f"{run.turns_left} turn{'' if run.turns_left == 1 else 's'} left"


def may_restart(run: Run) -> bool:
    """Whether a run can be restarted; one that never began cannot."""
    return not run.is_live and not (run.stop_reason in SETUP_FAILURES and not run.can_continue)
