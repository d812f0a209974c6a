import time
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.progress.achievements import achievements
from core.domain.progress.enrichment import Enrichment, StatusRows, compose, past_run
from core.domain.progress.estimate import PastRun, task_key
from core.domain.progress.final_result import final_result
from core.domain.progress.summary import workflow_summary
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.outcome import Outcome, OutcomeReason
from core.domain.runs.report import join_report
from core.domain.runs.run import Run, RunStatus, StopReason, WaitingOn
from core.domain.runs.step import Step, StepStatus
from core.domain.runs.work.diff import DiffStat, FileChange
from tests.database import NOW, new_run

DONE, DOING, PENDING = StepStatus.COMPLETED, StepStatus.IN_PROGRESS, StepStatus.PENDING
LONG = "I changed the parser and looked at everything that uses it. " * 5
SUMMARY = "## Summary\n\nThe parser reads dates now."


def ended(**fields: Any) -> Run:
    base = new_run(
        uuid4(),
        status=RunStatus.COMPLETED,
        stop_reason=StopReason.SUCCESS,
        outcome=Outcome.CLEAN,
        started_at=NOW,
        completed_at=NOW + timedelta(seconds=90),
        diff=DiffStat(files=(FileChange(path="a.py", added=1, removed=0),)),
    )
    return replace(base, **fields)


def steps(*statuses: StepStatus, source: str = "") -> tuple[Step, ...]:
    return tuple(
        Step(
            step_id=number,
            name=f"S{number}",
            status=status,
            source_id=f"{source}{number}",
            started_at=NOW,
            completed_at=NOW + timedelta(seconds=10 * number) if status is DONE else None,
            result="It works.",
        )
        for number, status in enumerate(statuses, start=1)
    )


def said(words: str, **data: object) -> EventRecord:
    return EventRecord(kind=EventKind.AGENT_TEXT, at=NOW, data={"text": words, **data})


@pytest.mark.parametrize(
    ("result", "texts", "expected"),
    [
        (None, [], None),
        ("Done.", [], "Done."),
        ("Done.", ["Looking.", "Done."], "Done."),
        (
            join_report(SUMMARY, "All done."),
            [SUMMARY, "All done."],
            join_report(SUMMARY, "All done."),
        ),
        (LONG, [SUMMARY, LONG], join_report(SUMMARY, LONG.strip())),
        (
            None,
            ["Looking.", SUMMARY, "One more thing."],
            join_report(SUMMARY, "One more thing."),
        ),
        (None, [LONG, "Done."], join_report(LONG.strip(), "Done.")),
        (None, ["Looking.", "Done."], "Done."),
        (None, ["Done.", " "], "Done."),
        ("Done.", [SUMMARY, *["Looking."] * 5, "Done."], "Done."),
    ],
)
def test_the_final_result_is_the_last_summary_with_what_was_said_after_it(
    result: str | None, texts: list[str], expected: str | None
) -> None:
    assert final_result(result, texts) == expected


def test_a_summary_that_was_stored_in_part_is_shown_in_full() -> None:
    whole = f"## Summary\n\n{'All of it matters. ' * 600}".strip()

    assert final_result(join_report(whole, "Done."), [whole[:4_000], "Done."]) == join_report(
        whole, "Done."
    )


@given(st.none() | st.text(), st.lists(st.text(), max_size=8))
def test_whatever_was_said_last_is_in_the_final_result(
    result: str | None, texts: list[str]
) -> None:
    found = final_result(result, texts)

    if result and result.strip():
        assert found is not None
        assert result.strip().rpartition("\n\n---\n\n")[2].strip() in found
    elif any(text.strip() for text in texts):
        assert found is not None
        assert found.endswith([text.strip() for text in texts if text.strip()][-1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "## What I did\n- Added tests\n- Fixed **the parser**",
            ("Added tests", "Fixed the parser"),
        ),
        ("**Changes:**\n1. One\n2) Two\n\nText\n## Next steps\n- Three", ("One", "Two")),
        ("### Key achievements\n✅ One\n- [x] Two\n- [ ] Three\n- ❌ Four", ("One", "Two")),
        ("## Remaining changes\n- Everything", None),
        ("## Not done\n- Everything", None),
        ("## Summary\n- Tests fail", None),
        ("## Changes\n```\n- in code\n```", None),
        ("- One\n- Two", None),
        ("", None),
    ],
)
def test_achievements_are_the_agents_own_list(text: str, expected: tuple[str, ...] | None) -> None:
    assert achievements(text, ()) == expected


def test_completed_items_of_the_plan_are_achievements_if_it_gives_no_other_list() -> None:
    assert achievements("All fine.", steps(DONE, DOING)) == ("S1",)
    assert achievements("## Changes\n- One", steps(DONE)) == ("One",)
    assert achievements(None, steps(DONE, source="phase:")) is None


def test_a_long_list_is_bounded_and_read_in_linear_time() -> None:
    began = time.process_time()
    found = achievements("## Changes\n" + f"- {'x' * 3_000}\n" * 10_000, ())

    assert found is not None
    assert len(found) == 10
    assert max(map(len, found)) <= 200
    assert time.process_time() - began < 3


def test_without_evidence_everything_is_unknown() -> None:
    summary = workflow_summary(ended(diff=None), (), None)

    assert summary == replace(
        summary,
        total_steps_completed=None,
        success_rate=None,
        major_achievements=None,
        files_modified=None,
        tests_passed=None,
        tests_failed=None,
        deployment_ready=None,
    )


TESTS = {"passed": 12, "failed": 0, "skipped": 1}


@pytest.mark.parametrize(
    ("tests", "fields", "passed", "ready"),
    [
        (TESTS, {}, 12, True),
        ({**TESTS, "passed": None}, {}, None, True),
        ({**TESTS, "failed": 1}, {}, 12, False),
        ({**TESTS, "failed": 1, "partial": True}, {}, None, False),
        ({**TESTS, "passed": 0}, {}, 0, None),
        (TESTS, {"status": RunStatus.FAILED, "outcome": None}, 12, None),
        (TESTS, {"outcome": None}, 12, None),
        (
            TESTS,
            {
                "outcome": Outcome.ATTENTION,
                "outcome_reasons": (OutcomeReason.UNCOMMITTED_CHANGES,),
            },
            12,
            False,
        ),
        ("12 passed", {}, None, None),
        (None, {}, None, None),
    ],
)
def test_readiness_needs_a_test_run(
    tests: object, fields: dict[str, Any], passed: int | None, ready: bool | None
) -> None:
    summary = workflow_summary(ended(metadata={"tests": tests}, **fields), (), None)

    assert (summary.tests_passed, summary.deployment_ready) == (passed, ready)


def test_a_completed_run_has_its_result_its_summary_and_its_steps() -> None:
    run = ended(result="Done.", metadata={"tests": TESTS})
    rows = StatusRows(
        run=run, steps=steps(DONE, PENDING), events=(said(LONG, subagent=True), said("Done."))
    )

    found = compose(rows, now=NOW)

    assert found.final_result == "Done."
    assert found.workflow_summary is not None
    assert found.workflow_summary.success_rate == 50
    assert found.workflow_summary.total_steps_completed == 1
    assert found.step_by_step_results is not None
    assert [one.success for one in found.step_by_step_results] == [True, None]
    assert [one.duration_seconds for one in found.step_by_step_results] == [10, None]
    assert [one.result for one in found.step_by_step_results] == ["It works.", None]
    assert (found.workflow_steps, found.progress_summary) == (None, None)


def test_a_running_run_has_steps_and_progress() -> None:
    run = new_run(uuid4(), status=RunStatus.RUNNING, started_at=NOW)
    past = (PastRun(duration=timedelta(seconds=60)),) * 3
    rows = StatusRows(run=run, steps=steps(DONE, DOING, PENDING), past=past)

    found = compose(rows, now=NOW + timedelta(seconds=30))

    assert found.workflow_steps is not None
    assert (found.workflow_steps.current_step, found.workflow_steps.total_steps) == (2, 3)
    assert found.workflow_steps.steps[1].duration_seconds == 30
    assert found.workflow_steps.steps[1].result is None
    assert found.progress_summary is not None
    assert found.progress_summary.completion_percentage == 33.3
    assert found.progress_summary.current_phase == "S2"
    assert found.progress_summary.estimated_completion is not None
    assert found.progress_summary.estimated_completion.at == NOW + timedelta(seconds=60)
    assert found.final_result is None


def test_while_a_run_waits_for_a_person_its_end_is_unknown() -> None:
    run = new_run(uuid4(), status=RunStatus.RUNNING, started_at=NOW, waiting_on=WaitingOn.APPROVAL)
    past = (PastRun(duration=timedelta(seconds=60)),) * 3

    found = compose(StatusRows(run=run, past=past), now=NOW)

    assert found.progress_summary is not None
    assert found.progress_summary.estimated_completion is None


def test_a_run_that_has_not_begun_has_nothing_to_add() -> None:
    assert compose(StatusRows(run=new_run(uuid4())), now=NOW) == Enrichment()


def test_a_completed_run_is_one_to_compare_with() -> None:
    found = past_run(ended(), steps(DONE, DONE))

    assert found == PastRun(
        duration=timedelta(seconds=90),
        task=task_key("Add rate limiting"),
        steps=2,
        step_ends=(timedelta(seconds=10), timedelta(seconds=20)),
    )
    assert past_run(ended(started_at=None), ()) is None


RUNS = st.builds(
    lambda status, metadata, result: replace(
        ended(), status=status, metadata=metadata, result=result
    ),
    st.sampled_from(RunStatus),
    st.dictionaries(
        st.sampled_from(["tests", "awaited"]),
        st.text()
        | st.dictionaries(
            st.sampled_from(["passed", "failed", "partial", "kind", "since"]),
            st.none() | st.integers() | st.text(),
        ),
    ),
    st.none() | st.text(),
)
STEPS = st.lists(st.sampled_from(StepStatus), max_size=6)
EVENTS = st.lists(
    st.builds(
        EventRecord,
        kind=st.sampled_from(EventKind),
        at=st.just(NOW),
        data=st.dictionaries(st.sampled_from(["text", "name", "subagent"]), st.none() | st.text()),
    ),
    max_size=10,
)


@given(RUNS, STEPS, EVENTS)
def test_any_rows_can_be_composed(
    run: Run, statuses: list[StepStatus], events: list[EventRecord]
) -> None:
    rows = StatusRows(run=run, steps=steps(*statuses), events=tuple(events))

    found = compose(rows, now=NOW)

    assert found == compose(rows, now=NOW)
    assert (found.workflow_summary is not None) == run.status.is_final


def test_rows_of_any_size_are_composed_in_linear_time() -> None:
    text = "## Summary\n\n" + "- a line of text\n" * 20_000
    rows = StatusRows(
        run=ended(result=join_report(text, "Done.")),
        steps=steps(*[DONE] * 300),
        events=tuple(said(text[:4_000]) for _ in range(60)),
    )
    began = time.process_time()

    found = compose(rows, now=NOW)

    assert found.final_result == rows.run.result
    assert time.process_time() - began < 2
