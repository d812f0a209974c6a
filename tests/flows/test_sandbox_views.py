"""Modals and home tabs that an app opens in the sandbox."""

from __future__ import annotations

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.slack.people import ADA
from bot.sandbox.slack.server import Sandbox
from tests.flows.sandbox_clients import SECTION, client, error_of_refused_call
from tests.sandbox import sandbox

__all__ = ["client", "sandbox"]


async def test_a_trigger_is_valid_once_and_for_three_seconds(
    sandbox: Sandbox, client: AsyncWebClient
) -> None:
    view = {
        "type": "modal",
        "title": {"type": "plain_text", "text": "Run"},
        "blocks": [SECTION],
    }
    once, late = (sandbox.workspace.new_trigger(ADA) for _ in range(2))

    opened = await client.views_open(trigger_id=once, view=view)
    again = client.views_open(trigger_id=once, view=view)
    assert await error_of_refused_call(sandbox, again) == "exchanged_trigger_id"
    sandbox.clock.advance(3.1)
    assert (
        await error_of_refused_call(sandbox, client.views_open(trigger_id=late, view=view))
        == "expired_trigger_id"
    )
    unknown = client.views_open(trigger_id="1.2.3", view=view)
    assert await error_of_refused_call(sandbox, unknown) == "invalid_trigger_id"
    view_id, stamp = opened["view"]["id"], opened["view"]["hash"]
    changed = await client.views_update(view_id=view_id, hash=stamp, view=view)
    stale = client.views_update(view_id=view_id, hash=stamp, view=view)
    assert await error_of_refused_call(sandbox, stale) == "hash_conflict"
    assert changed["view"]["hash"] != stamp
    for _ in range(2):
        trigger = sandbox.workspace.new_trigger(ADA)
        await client.views_push(trigger_id=trigger, view=view)
    pushed = client.views_push(trigger_id=sandbox.workspace.new_trigger(ADA), view=view)
    assert await error_of_refused_call(sandbox, pushed) == "push_limit_reached"


async def test_a_bad_view_is_refused(sandbox: Sandbox, client: AsyncWebClient) -> None:
    trigger = sandbox.workspace.new_trigger(ADA)
    view = {"type": "modal", "title": {"type": "plain_text", "text": "x" * 25}, "blocks": []}

    with pytest.raises(SlackApiError) as caught:
        await client.views_open(trigger_id=trigger, view=view)

    assert caught.value.response["error"] == "invalid_arguments"
    assert "/view/title/text" in caught.value.response["response_metadata"]["messages"][0]
    sandbox.take_problems()


async def test_the_home_tab_is_published_per_person(
    sandbox: Sandbox, client: AsyncWebClient
) -> None:
    await client.views_publish(user_id=ADA, view={"type": "home", "blocks": [SECTION]})

    home = sandbox.human.home("ada")
    assert home is not None
    assert home["type"] == "home"
    assert sandbox.human.home("ben") is None
