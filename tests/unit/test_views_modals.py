import json

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.slack import ids
from bot.slack.views.modals import TASK_LIMIT, run_form
from bot.slack.views.runs.continue_form import continue_form
from core.agent.definitions.catalog import load_catalog
from core.domain.failure_cause import FailureCause
from core.domain.runs.failure_analysis import FAILURE_KEY, FailureAnalysis
from core.domain.runs.run import StopReason
from core.domain.runs.step import StepStatus
from core.domain.workflow import WorkflowDefinition
from tests.unit.view_helpers import (
    AWKWARD_TEXTS,
    RUN_ID,
    assert_matches_snapshot,
    assert_view_fits,
    make_ended_run,
    make_snapshot,
    make_steps,
    text_of,
)

SHIPPED = load_catalog().all


def test_the_run_form_matches_its_snapshot() -> None:
    view = run_form(SHIPPED, channel_id="C0BUILDS", workflow="fix", task="Mend the <b>build</b>")

    assert_view_fits(view)
    assert_matches_snapshot("modal_run", view)


def test_the_continue_form_matches_its_snapshot() -> None:
    ended = make_ended_run(StopReason.MAX_TURNS)
    view = continue_form(make_snapshot(ended), channel_id="C0BUILDS")

    assert_view_fits(view)
    assert_matches_snapshot("modal_continue", view)


def test_the_continue_form_says_what_was_spent_and_what_is_left() -> None:
    steps = make_steps(StepStatus.COMPLETED, StepStatus.PENDING, StepStatus.PENDING)
    ended = make_ended_run(StopReason.KILLED, task_input="go on", cost_usd=None, cost_source=None)

    view = continue_form(
        make_snapshot(ended, leg=2, about="Count the pieces", steps=steps), channel_id="C1"
    )

    lead = view["blocks"][0]["text"]["text"]
    assert lead.startswith("*Count the pieces · leg 2*")
    assert "cost not reported" in lead
    assert "$0.00" not in str(view)
    assert "1 of 3 done" in lead
    assert [block["block_id"] for block in view["blocks"] if block["type"] == "input"] == [
        ids.FIELD_MESSAGE,
        ids.FIELD_TURNS,
        ids.FIELD_BUDGET,
        ids.FIELD_MODEL,
    ]


def test_the_form_for_a_lost_conversation_makes_a_recovery_leg_and_says_so() -> None:
    failure = FailureAnalysis(cause=FailureCause.CONVERSATION_DAMAGED).to_json()
    ended = make_ended_run(StopReason.AGENT_ERROR, metadata={FAILURE_KEY: failure})

    view = continue_form(make_snapshot(ended), channel_id="C0BUILDS")

    assert_view_fits(view)
    assert_matches_snapshot("modal_recovery", view)
    assert json.loads(view["private_metadata"])["recovers"] is True
    assert "cannot be restored" in text_of(view)


def test_form_metadata_has_only_place_and_run() -> None:
    run_view = run_form(SHIPPED, channel_id="C0BUILDS")
    ended = make_ended_run(StopReason.MAX_TURNS)
    continue_view = continue_form(make_snapshot(ended), channel_id="C0BUILDS")

    assert json.loads(run_view["private_metadata"]) == {"channel_id": "C0BUILDS"}
    assert json.loads(continue_view["private_metadata"]) == {
        "channel_id": "C0BUILDS",
        "run_id": RUN_ID,
    }


def test_an_unknown_workflow_is_not_preselected() -> None:
    view = run_form(SHIPPED, channel_id="C1", workflow="nothing")

    assert "initial_option" not in view["blocks"][0]["element"]


def test_workflows_beyond_the_limit_of_a_select_are_omitted() -> None:
    many = [WorkflowDefinition(name=f"w{n}", description="d", prompt="p") for n in range(150)]

    assert_view_fits(run_form(many, channel_id="C1"))


def test_fields_of_a_form_have_their_own_names() -> None:
    view = run_form(SHIPPED, channel_id="C1")

    names = [block["block_id"] for block in view["blocks"] if block["type"] == "input"]
    assert len(names) == len(set(names)) == 8
    assert ids.FIELD_WORKFLOW in names


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=400) | st.sampled_from(AWKWARD_TEXTS))
def test_any_message_can_be_the_task(words: str) -> None:
    assert_view_fits(run_form(SHIPPED, channel_id="C1", task=words))
    ended = make_ended_run(StopReason.BUDGET, task_input=words, ai_model=words[:100])
    assert_view_fits(continue_form(make_snapshot(ended, about=words), channel_id="C1"))
    assert_view_fits(continue_form(make_snapshot(ended), channel_id="C1", is_recovery=True))


def test_an_initial_task_is_shown_as_typed() -> None:
    view = run_form(SHIPPED, channel_id="C1", task="a < b\n  & c")

    assert "a < b\n  & c" in text_of(view)


def test_a_shortened_task_has_a_hint() -> None:
    hints = [
        run_form(SHIPPED, channel_id="C1", task="x" * length)["blocks"][1]["hint"]["text"]
        for length in (TASK_LIMIT, TASK_LIMIT + 1)
    ]

    assert "its end is left out" not in hints[0]
    assert "longer than the 3,000 characters" in hints[1]
    assert "its end is left out" in hints[1]
