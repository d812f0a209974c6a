"""Sentences of evidence about how runs ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from bot.words import counts, texts
from bot.words.alerts.figures import Evidence, usage_words
from bot.words.alerts.telling import Telling
from bot.words.runs.endings import ENDINGS
from bot.words.runs.failures import cause_words
from core.domain.runs.outcome import OutcomeReason
from core.domain.runs.run import StopReason

_SUBJECT_LIMIT = 60


def failed(told: Telling) -> str:
    """Why a run failed, and what it had used."""
    return _with_usage(told, told.markup.inline(_failure(told.evidence), 200))


def killed(told: Telling) -> str:
    """That a person stopped a run."""
    used = usage_words(told.evidence)
    return (
        f"a person stopped it after {used}; its work is kept"
        if used
        else ("a person stopped it before it began")
    )


def completed(told: Telling) -> str:
    """That a run did its work."""
    return _with_usage(told, "it finished its work")


def attention(told: Telling) -> str:
    """What a completed run left to do."""
    found = {reason.value: reason for reason in OutcomeReason}
    reasons = [found[one] for one in told.evidence.texts("reasons") if one in found]
    if OutcomeReason.NOTHING_COMMITTED in reasons:
        # It says the same of fewer files.
        reasons = [one for one in reasons if one is not OutcomeReason.UNCOMMITTED_CHANGES]
    phrases = [LEFT_PHRASES[reason](told.evidence) for reason in reasons]
    return _with_usage(told, ", ".join(["it finished", *(phrases or ["something is left to do"])]))


def max_turns(told: Telling) -> str:
    """That a run stopped at its turn limit."""
    limit, turns = told.evidence.count("max_turns"), told.evidence.count("turns")
    numbers = f" ({turns}/{limit})" if limit and turns is not None else ""
    rest = usage_words(Evidence(stored={**told.evidence.stored, "turns": None}))
    used = f" It used {rest}" if rest else ""
    return f"it stopped at its turn limit{numbers} and is not finished.{used}".removesuffix(".")


def _tests_failed(evidence: Evidence) -> str:
    failures = evidence.count("failed_tests")
    if failures is None:
        return "tests fail"
    return f"{counts.plural(failures, 'test')} {'fails' if failures == 1 else 'fail'}"


LEFT_PHRASES: Mapping[OutcomeReason, Callable[[Evidence], str]] = MappingProxyType(
    {
        OutcomeReason.TESTS_FAILED: _tests_failed,
        OutcomeReason.NOTHING_COMMITTED: lambda _: "nothing is committed",
        OutcomeReason.STEPS_LEFT: lambda _: "steps are left",
        OutcomeReason.UNCOMMITTED_CHANGES: lambda _: "some changes are not committed",
    }
)


def _failure(evidence: Evidence) -> str:
    words = cause_words(evidence.stored.get("cause"))
    if words is not None:
        subject = texts.plain_line(evidence.text("cause_subject") or "", _SUBJECT_LIMIT)
        if not words.nameless:
            return words.title
        return words.title.format(subject=subject) if subject else words.nameless
    stored = evidence.stored.get("stop_reason")
    reason = next((one for one in StopReason if one.value == stored), None)
    if reason is None:
        return "It failed"
    return ENDINGS[reason].title.format(turns="", budget="", timeout="")


def _with_usage(told: Telling, words: str) -> str:
    used = usage_words(told.evidence)
    return f"{words} (after {used})" if used else words
