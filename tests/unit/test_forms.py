import json
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.slack import ids
from bot.slack.commands.forms import BadForm, read_continue_form, read_run_form
from core.domain.runs.request import ContinueRequest, Place, StartRequest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["state", "values", "value", ids.FIELD_TASK, ids.FIELD_TURNS])
            | st.text(max_size=4),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


def submitted(metadata: Mapping[str, object], **fields: str | None) -> dict[str, Any]:
    """A view as Slack sends it on submission."""
    values: dict[str, Any] = {
        block_id: {ids.VALUE: {"type": "plain_text_input", "value": value}}
        for block_id, value in fields.items()
    }
    workflow = fields.get(ids.FIELD_WORKFLOW)
    values[ids.FIELD_WORKFLOW] = {
        ids.VALUE: {
            "type": "static_select",
            "selected_option": {"value": workflow} if workflow else None,
        }
    }
    return {"private_metadata": json.dumps(metadata), "state": {"values": values}}


def test_a_completed_form_becomes_a_start_request() -> None:
    view = submitted(
        {"channel_id": "C0BUILDS"},
        workflow="implement",
        task="Add <limits>\nnow",
        repo=" https://github.com/acme/api ",
        branch="main",
        session="rate limits",
        turns="40",
        budget="2.50",
        timeout="30m",
    )

    assert read_run_form(view, request_key="k1", team_id="T0ACME") == StartRequest(
        workflow="implement",
        task="Add <limits>\nnow",
        request_key="k1",
        place=Place(team_id="T0ACME", channel_id="C0BUILDS"),
        repo="https://github.com/acme/api",
        branch="main",
        session_name="rate limits",
        max_turns=40,
        budget_usd=Decimal("2.50"),
        timeout=timedelta(minutes=30),
    )


def test_empty_fields_keep_the_workflows_own_values() -> None:
    view = submitted({"channel_id": "C1"}, workflow="fix", task="x", turns=None, repo="")

    request = read_run_form(view, request_key="k1", team_id="T0ACME")

    assert (request.max_turns, request.repo, request.timeout) == (None, None, None)


def test_every_invalid_field_has_its_own_error() -> None:
    view = submitted({"channel_id": "C1"}, task=" ", turns="x", timeout="30", budget="-1")

    with pytest.raises(BadForm) as caught:
        read_run_form(view, request_key="k1", team_id="T0ACME")

    assert set(caught.value.errors) == {"workflow", "task", "turns", "timeout", "budget"}
    assert caught.value.errors["timeout"].endswith("for example 30m.")


def test_a_form_without_its_channel_is_refused() -> None:
    with pytest.raises(BadForm):
        read_run_form(submitted({}, workflow="fix", task="x"), request_key="k", team_id="T")


def test_the_continue_form_names_its_run() -> None:
    view = submitted({"channel_id": "C1", "run_id": "run_0a1b"}, turns="20", message=" Go on. ")

    assert read_continue_form(view, request_key="k1") == ContinueRequest(
        target="run_0a1b", request_key="k1", additional_turns=20, message="Go on."
    )


def test_the_continue_form_reads_budget_and_model_and_names_what_is_wrong() -> None:
    metadata: dict[str, object] = {"run_id": "run_0a1b", "recovers": True}
    view = submitted(metadata, turns=None, message=None, budget="$2.50", model=" opus ")
    wrong = submitted(metadata, turns="0", message=None, budget="much", model="two words")

    request = read_continue_form(view, request_key="k1")
    with pytest.raises(BadForm) as caught:
        read_continue_form(wrong, request_key="k1")

    assert (request.budget_usd, request.model) == (Decimal("2.50"), "opus")
    assert request.recovers
    assert set(caught.value.errors) == {"turns", "budget", "model"}


def test_an_empty_continue_form_changes_nothing() -> None:
    view = submitted({"run_id": "run_0a1b"}, turns=None, message=None)

    request = read_continue_form(view, request_key="k1")

    assert (request.additional_turns, request.message) == (None, None)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["state", "private_metadata", "x"]), JSON, max_size=3))
def test_any_view_is_parsed_or_refused(view: dict[str, Any]) -> None:
    with pytest.raises(BadForm):
        read_run_form(view, request_key="k1", team_id="T0ACME")
    with pytest.raises(BadForm):
        read_continue_form(view, request_key="k1")
