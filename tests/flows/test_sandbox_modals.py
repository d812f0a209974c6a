"""Forms as a person fills them in: values, validation, submissions, buttons."""

from __future__ import annotations

import pytest

from bot.sandbox.slack.people import ADA, BEN, BUILDS
from bot.sandbox.slack.server import Sandbox
from tests.flows.sandbox_page import (
    MODAL,
    ControlClient,
    Recorder,
    modal_of,
    option,
    page,
    recorder,
    sandbox,
    text,
)

__all__ = ["page", "recorder", "sandbox"]


async def test_a_form_is_filled_in_and_submitted_from_the_page(
    sandbox: Sandbox, recorder: Recorder, page: ControlClient
) -> None:
    assert (await page.post("slash", channel=BUILDS, command="/workflow", text="@ben go"))["ok"]
    view = await sandbox.human.wait_for(sandbox.human.modal, what="the modal")
    seen = await page.get("state", user=ADA)
    values = {"kinds": {"kinds": {"type": "checkboxes", "selected_options": [option("failed")]}}}

    done = await page.post("view/submit", user=ADA, view_id=view["id"], values=values)

    assert [each["id"] for each in seen["views"]] == [view["id"]]
    assert done == {"ok": True}
    assert (await page.get("state"))["views"] == []
    assert recorder.bodies("command")[0]["text"] == f"<@{BEN}|ben> go"
    state = recorder.bodies("submit")[0]["view"]["state"]["values"]
    assert state["flow"]["flow"]["selected_option"]["value"] == "deploy"
    assert state["kinds"]["kinds"]["selected_options"] == [option("failed")]
    assert state["turns"]["turns"] == {"type": "number_input", "value": None}


async def test_options_are_chosen_by_their_text(sandbox: Sandbox, recorder: Recorder) -> None:
    view = await modal_of(sandbox)

    errors = await sandbox.human.submit(
        view["id"], {"Workflow": "Review", "Kinds": ["Failed", "killed"], "Turns": "7"}
    )

    assert errors is None
    state = recorder.bodies("submit")[0]["view"]["state"]["values"]
    assert state["flow"]["flow"]["selected_option"]["value"] == "review"
    assert len(state["kinds"]["kinds"]["selected_options"]) == 2
    assert state["turns"]["turns"]["value"] == "7"


@pytest.mark.parametrize(
    ("turns", "error"),
    [
        ("many", "Must be a number."),
        ("1.5", "Must be a whole number."),
        ("51", "Must be at most 50."),
    ],
)
async def test_the_client_validates_numbers(
    sandbox: Sandbox, recorder: Recorder, turns: str, error: str
) -> None:
    view = await modal_of(sandbox)

    assert await sandbox.human.submit(view["id"], {"Turns": turns}) == {"turns": error}
    assert recorder.bodies("submit") == []


async def test_a_submission_can_update_push_and_clear(sandbox: Sandbox, recorder: Recorder) -> None:
    view = await modal_of(sandbox)
    recorder.answer = {"response_action": "push", "view": {**MODAL, "title": text("Second")}}
    await sandbox.human.submit(view["id"])
    second = sandbox.human.modal()
    assert second is not None
    recorder.answer = {"response_action": "update", "view": {**MODAL, "title": text("Third")}}
    await sandbox.human.submit(second["id"])
    third = sandbox.human.modal()
    assert third is not None
    recorder.answer = {"response_action": "clear"}
    await sandbox.human.submit(third["id"])

    assert (second["title"]["text"], third["title"]["text"]) == ("Second", "Third")
    assert second["previous_view_id"] == view["id"]
    assert third["id"] == second["id"]
    assert sandbox.human.modal() is None


async def test_an_error_for_a_missing_block_is_a_problem(
    sandbox: Sandbox, recorder: Recorder
) -> None:
    view = await modal_of(sandbox)
    recorder.answer = {"response_action": "errors", "errors": {"nowhere": "x"}}

    await sandbox.human.submit(view["id"])

    assert [each.kind for each in sandbox.take_problems()] == ["invalid_response_action_errors"]


async def test_a_cancelled_modal_notifies_the_app_only_on_request(
    sandbox: Sandbox, recorder: Recorder
) -> None:
    view = await modal_of(sandbox, "ben")

    await sandbox.human.close_view(view["id"])

    closed = await sandbox.human.wait_for(lambda: recorder.bodies("closed"), what="the news")
    assert closed[0]["is_cleared"] is False
    assert closed[0]["user"]["id"] == BEN
    assert sandbox.human.modal("ben") is None


async def test_a_button_in_a_modal_updates_it(
    sandbox: Sandbox, recorder: Recorder, page: ControlClient
) -> None:
    view = await modal_of(sandbox)

    pressed = await page.post(
        "view/action", user=ADA, view_id=view["id"], block_id="more", action_id="more"
    )

    assert pressed == {"ok": True}
    await sandbox.human.wait_for(
        lambda: len((sandbox.human.modal() or view)["blocks"]) == 1, what="the update"
    )
    body = recorder.bodies("more")[0]
    assert body["container"] == {"type": "view", "view_id": view["id"]}
    assert body["view"]["state"]["values"]["flow"]["flow"]["selected_option"] is not None


async def test_a_menu_filled_by_the_app_sends_the_typed_text(
    sandbox: Sandbox, recorder: Recorder
) -> None:
    view = await modal_of(sandbox)

    assert await sandbox.human.suggest(view["id"], "Repository", "widget") == ["Widget"]
