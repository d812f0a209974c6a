"""Classes of failures: told from what is structured, each with advice and words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.words.failures.classes import ADVICE_WORDS, CLASS_TITLES, failed_advice, failed_title
from core.domain.failure_cause import FailureCause
from core.domain.failures.advice import ADVICE_OF_CLASS, Advice, advice_on
from core.domain.failures.classification import CLASS_OF_CAUSE, CLASS_OF_REASON, class_of
from core.domain.failures.failure_class import FailureClass
from core.domain.runs.run import StopReason
from tests.unit.failed_attempts import make_failed

CAUSES = st.none() | st.sampled_from(FailureCause)


def test_the_tables_are_complete() -> None:
    assert set(CLASS_OF_CAUSE) == set(FailureCause)
    assert set(CLASS_OF_REASON) == set(StopReason)
    assert set(ADVICE_OF_CLASS) == set(CLASS_TITLES) == set(FailureClass)
    assert set(ADVICE_WORDS) == set(Advice)


def test_every_class_can_be_told() -> None:
    told = {
        class_of(reason, cause, is_conversation_incomplete=is_incomplete)
        for reason in StopReason
        for cause in (None, *FailureCause)
        for is_incomplete in (False, True)
    }

    assert told == {None, *FailureClass}


@given(st.sampled_from(StopReason), CAUSES, st.booleans())
def test_only_an_end_that_is_no_failure_has_no_class(
    reason: StopReason, cause: FailureCause | None, is_incomplete: bool
) -> None:
    found = class_of(reason, cause, is_conversation_incomplete=is_incomplete)

    assert (found is None) == (reason in {StopReason.SUCCESS, StopReason.KILLED})


@pytest.mark.parametrize(
    ("reason", "cause", "expected"),
    [
        (StopReason.API_ERROR, FailureCause.OVERLOADED, FailureClass.OVERLOADED),
        (StopReason.API_ERROR, FailureCause.RATE_LIMIT, FailureClass.TRANSIENT),
        (StopReason.API_ERROR, FailureCause.NO_CREDIT, FailureClass.AUTHENTICATION),
        (StopReason.API_ERROR, FailureCause.UNKNOWN_MODEL, FailureClass.REJECTED),
        (StopReason.API_ERROR, None, FailureClass.TRANSIENT),
        (StopReason.USAGE_LIMIT, FailureCause.RATE_LIMIT, FailureClass.USAGE_LIMIT),
        (StopReason.TIMEOUT, FailureCause.OVERLOADED, FailureClass.TIMEOUT),
        (StopReason.WORKSPACE_ERROR, FailureCause.DISK_FULL, FailureClass.DISK_FULL),
        (StopReason.WORKSPACE_ERROR, None, FailureClass.WORKSPACE),
        (StopReason.AGENT_ERROR, FailureCause.PROGRAM_CRASHED, FailureClass.AGENT_CRASH),
        (StopReason.AGENT_ERROR, None, FailureClass.UNKNOWN),
    ],
)
def test_the_class_follows_from_reason_and_cause(
    reason: StopReason, cause: FailureCause | None, expected: FailureClass
) -> None:
    assert class_of(reason, cause) is expected


def test_an_incomplete_conversation_matters_more_than_what_failed() -> None:
    found = class_of(StopReason.API_ERROR, FailureCause.OVERLOADED, is_conversation_incomplete=True)

    assert found is FailureClass.MIRROR_FAILED


@given(st.sampled_from(FailureClass), CAUSES)
def test_every_failure_has_words(failure_class: FailureClass, cause: FailureCause | None) -> None:
    failed = make_failed(
        failure_class=failure_class, cause=cause, advice=advice_on(failure_class, cause)
    )

    title, advice = failed_title(failed), failed_advice(failed)

    assert title
    assert "{" not in title
    assert advice.endswith(".")
    assert "/workflow" not in advice
