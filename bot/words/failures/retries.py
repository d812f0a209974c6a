"""Words about what follows a failed attempt: another one or none, and the numbers that decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from bot.words import counts, money, times
from bot.words.failures.classes import failed_title
from bot.words.markup import Markup
from core.domain.failures.automatic_leg import AutomaticLeg, LegRefusal, refusal_of_run
from core.domain.failures.failed_attempt import FailedAttempt, failed_attempts_of, last_failure_of
from core.domain.failures.failure_class import FailureClass
from core.domain.failures.retry_decision import RetryAction, RetryDecision, RetryReason
from core.domain.runs.run import Run

# An older one is in the run's details.
_RETRIES_SHOWN = 5


def _attempts_used(decision: RetryDecision) -> str:
    return (
        f"it was tried again {counts.plural(decision.retries_before, 'time')} already, of "
        f"{decision.allowed} allowed"
    )


def _budget_used(decision: RetryDecision) -> str:
    spent = "" if decision.cost_usd is None else f" ({money.dollars(decision.cost_usd)} spent)"
    limit = "the budget" if decision.budget_usd is None else money.dollars(decision.budget_usd)
    return f"its attempts together have used {limit}{spent}"


def _cost_unknown(decision: RetryDecision) -> str:
    limit = "a limit" if decision.budget_usd is None else money.dollars(decision.budget_usd)
    return f"what it has cost is unknown, and its attempts together may cost {limit}"


def _too_late(decision: RetryDecision) -> str:
    if decision.longest_wait is None:
        return "the limit resets too late"
    return f"the limit resets later than in {times.time_limit(decision.longest_wait)}"


def _never_helped(decision: RetryDecision) -> str:
    tried = decision.history.tried
    return (
        f"0 of the last {tried} retries after such a failure helped on this workflow, within 24 h"
    )


_WORDS: Mapping[RetryReason, Callable[[RetryDecision], str]] = MappingProxyType(
    {
        RetryReason.RULE: lambda _: "its rule allows another attempt",
        RetryReason.RESET_KNOWN: lambda _: "the time of the reset is known",
        RetryReason.DETERMINISTIC: lambda _: "trying again would change nothing",
        RetryReason.SWITCHED_OFF: lambda _: "its workflow does not retry such a failure",
        RetryReason.ATTEMPTS_USED: _attempts_used,
        RetryReason.BUDGET_USED: _budget_used,
        RetryReason.COST_UNKNOWN: _cost_unknown,
        RetryReason.RESET_UNKNOWN: lambda _: "nobody has said when the limit resets",
        RetryReason.RESET_TOO_LATE: _too_late,
        RetryReason.NEVER_HELPED: _never_helped,
        RetryReason.KILL_REQUESTED: lambda _: "somebody has stopped it",
        RetryReason.NOT_STORED: lambda _: "the next attempt could not be scheduled",
    }
)
# Reasons that say nothing new to a person who reads how the run ended.
_EXPECTED = frozenset(
    {RetryReason.DETERMINISTIC, RetryReason.SWITCHED_OFF, RetryReason.KILL_REQUESTED}
)

LEG_REFUSALS: Mapping[LegRefusal, str] = MappingProxyType(
    {
        LegRefusal.LEGS_USED: "all its automatic legs are used",
        LegRefusal.BUDGET_USED: "the session has used the money for automatic legs",
        LegRefusal.COST_UNKNOWN: "what the session has cost is not known",
    }
)


def decision_words(decision: RetryDecision) -> str:
    """Why there is another attempt, or none, with the numbers that decided; plain text."""
    why = _WORDS[decision.reason](decision)
    if not decision.is_tried_again:
        return f"Not tried again: {why}."
    if decision.action is RetryAction.WAIT:
        return f"Waits for the reset (wait {decision.retries_before + 1} of {decision.allowed})."
    history = decision.history
    known = (
        f"; {history.helped} of the last {history.tried} such retries on this workflow helped"
        if history.tried
        else ""
    )
    return f"Retry {decision.retries_before + 1} of {decision.allowed}{known}."


def waiting_title(failed: FailedAttempt) -> str:
    """What a run waits for that is tried again, as plain text."""
    if failed.decision.action is RetryAction.WAIT:
        return "Waiting for the usage limit to reset"
    return f"{failed_title(failed)}, trying again soon"


def waiting_words(run: Run, failed: FailedAttempt, markup: Markup) -> str:
    """Until when a run waits, and what then happens."""
    at = run.retry_at or failed.decision.retry_at
    words = decision_words(failed.decision)
    if failed.decision.action is RetryAction.WAIT:
        until = "" if at is None else f" until {markup.date_time(at)}"
        return f"Waits{until}, then continues automatically. Its work is kept."
    when = "" if at is None else f" at {markup.clock_time(at)}"
    return f"Tries again{when}, where it stopped. {words}"


def retry_lines(run: Run, markup: Markup) -> list[str]:
    """The failed attempts after which a run was tried again, a line each, for its thread.

    Lost workers have lines of their own.
    """
    retried = [
        one
        for one in failed_attempts_of(run)
        if one.decision.is_tried_again and one.failure_class is not FailureClass.WORKER_LOST
    ]
    lines = [_retry_line(one, markup) for one in retried[-_RETRIES_SHOWN:]]
    earlier = len(retried) - len(lines)
    before = [f"🔁 {counts.plural(earlier, 'attempt')} failed before that."] if earlier else []
    return before + lines


def _retry_line(failed: FailedAttempt, markup: Markup) -> str:
    decision, title = failed.decision, markup.inline(failed_title(failed), 120)
    icon, begins = "🔁", ""
    if decision.retry_at is not None:
        begins = f" Attempt {failed.attempt + 1}: {markup.clock_time(decision.retry_at)}."
    if decision.action is RetryAction.WAIT:
        icon = "⏳"
        if decision.retry_at is not None:
            begins = f" Attempt {failed.attempt + 1}: {markup.date_time(decision.retry_at)}."
    return (
        f"{icon} {markup.clock_time(failed.at)}: attempt {failed.attempt} failed: {title}."
        f"{begins} {decision_words(decision)} Nothing to do."
    )


def attempts_lines(run: Run, markup: Markup) -> list[str]:
    """All failed attempts with their errors and what followed, for the details of a run."""
    found = failed_attempts_of(run)
    if not found:
        return []
    lines = [markup.strong(f"Failed attempts: {len(found)}")]
    for one in found:
        error = "" if one.error is None else f" ({markup.inline(one.error, 160)})"
        lines.append(
            f"{one.attempt}. {markup.clock_time(one.at)}: {markup.inline(failed_title(one), 120)}"
            f"{error}. {decision_words(one.decision)}"
        )
    evidence = found[-1].evidence_lines
    if evidence:
        lines.append(f"Evidence: {markup.inline('; '.join(evidence), 400)}")
    return lines


def ended_words(run: Run) -> str:
    """Why a run that failed was not tried again, if that is not to be expected; plain text."""
    failed = last_failure_of(run)
    if failed is None or run.is_live or failed.decision.reason in _EXPECTED:
        return ""
    return decision_words(failed.decision)


def automatic_leg_words(run: Run) -> str | None:
    """Which automatic leg a run is, and what the session may still cost; `None` if it is none."""
    leg = AutomaticLeg.of_run(run)
    if leg is None:
        return None
    spent = f"{money.dollars(leg.spent_usd)} of {money.dollars(leg.budget_usd)} spent before it"
    return f"automatic leg {leg.number} of {leg.limit}, {spent}"


def not_continued_words(run: Run) -> str:
    """Why a run was not continued automatically although its workflow does that; plain text."""
    refusal = refusal_of_run(run)
    return "" if refusal is None else f"Not continued automatically: {LEG_REFUSALS[refusal]}."
