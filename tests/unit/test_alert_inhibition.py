"""Which alerts another one explains, and which it does not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.alerts.condition import Condition, run_subject, usual_severity
from core.domain.alerts.detectors.inhibition import inhibited
from core.domain.alerts.kinds import FLEET, AlertKind, Subject, SubjectType

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
EXPLAINED = [AlertKind.STALLED, AlertKind.WAITING, AlertKind.LONG_RUNNING]


def condition(kind: AlertKind, subject: Subject, node: str | None = None) -> Condition:
    return Condition(
        kind=kind, subject=subject, since=NOW, severity=usual_severity(kind), node=node
    )


def lost(node: str) -> Condition:
    return condition(AlertKind.WORKER_LOST, Subject(type=SubjectType.WORKER, id=node), node)


@pytest.mark.parametrize("kind", EXPLAINED)
def test_a_lost_worker_explains_what_is_observed_of_its_runs_only(kind: AlertKind) -> None:
    its_own = condition(kind, run_subject("run_a"), "w1")
    of_another = condition(kind, run_subject("run_b"), "w2")
    of_none = condition(kind, run_subject("run_c"))

    assert inhibited([lost("w1"), its_own, of_another, of_none]) == {its_own.key}


@pytest.mark.parametrize("kind", sorted(set(AlertKind) - set(EXPLAINED)))
def test_a_lost_worker_explains_nothing_else(kind: AlertKind) -> None:
    assert inhibited([lost("w1"), condition(kind, run_subject("run_a"), "w1")]) == set()


@pytest.mark.parametrize("kind", EXPLAINED)
def test_an_unconfirmed_kill_explains_the_silence_of_its_run_only(kind: AlertKind) -> None:
    kill = condition(AlertKind.KILL_UNCONFIRMED, run_subject("run_a"))
    silent = condition(kind, run_subject("run_a"), "w1")
    other = condition(kind, run_subject("run_b"), "w1")

    assert inhibited([kill, silent, other]) == {silent.key}


def test_no_worker_explains_the_queue() -> None:
    queue = condition(AlertKind.QUEUE_BACKLOG, FLEET)

    assert inhibited([queue]) == set()
    assert inhibited([queue, condition(AlertKind.NO_WORKER, FLEET)]) == {queue.key}


def test_a_usage_limit_explains_the_failures_of_its_workflow_only() -> None:
    fix, review = (
        condition(AlertKind.FAILURE_RATE, Subject(type=SubjectType.WORKFLOW, id=name))
        for name in ("fix", "review")
    )

    assert inhibited([fix, review], at_usage_limit={"fix"}) == {fix.key}


CONDITIONS = st.lists(
    st.builds(
        condition,
        st.sampled_from(AlertKind),
        st.sampled_from([FLEET, run_subject("run_a"), run_subject("run_b")]),
        st.sampled_from([None, "w1", "w2"]),
    ),
    max_size=12,
)


@given(CONDITIONS, st.randoms())
def test_the_order_does_not_matter_and_an_explanation_is_never_explained(
    conditions: list[Condition], order: object
) -> None:
    found = inhibited(conditions, at_usage_limit={"fix"})
    shuffled = list(conditions)
    order.shuffle(shuffled)  # type: ignore[attr-defined]

    assert inhibited(shuffled, at_usage_limit={"fix"}) == found
    explaining = {AlertKind.WORKER_LOST, AlertKind.NO_WORKER, AlertKind.KILL_UNCONFIRMED}
    assert not explaining & {kind for kind, _ in found}
