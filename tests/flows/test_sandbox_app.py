"""An app on the sandbox, over both transports."""

from __future__ import annotations

from typing import Any

import pytest
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.slack.server import Sandbox
from tests.sandbox import connected, new_app, sandbox

__all__ = ["sandbox"]

Document = dict[str, Any]

CARD: list[Document] = [
    {"type": "section", "text": {"type": "mrkdwn", "text": "*Deploy*"}},
    {
        "type": "actions",
        "elements": [
            {
                "type": "button",
                "action_id": "kill",
                "text": {"type": "plain_text", "text": "Kill"},
                "value": "run_1",
            }
        ],
    },
]

MODAL: Document = {
    "type": "modal",
    "callback_id": "start",
    "title": {"type": "plain_text", "text": "Start"},
    "submit": {"type": "plain_text", "text": "Run"},
    "blocks": [
        {
            "type": "input",
            "block_id": "task",
            "label": {"type": "plain_text", "text": "Task"},
            "element": {"type": "plain_text_input", "action_id": "task"},
        }
    ],
}


@pytest.fixture(params=["socket", "http"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def small_app(sandbox: Sandbox) -> tuple[AsyncApp, list[Document]]:
    """An app with a command, a button, a modal and event listeners; and the events it received."""
    app = new_app(sandbox)
    events: list[Document] = []

    @app.command("/workflow")
    async def on_command(ack: AsyncAck, body: Document, client: AsyncWebClient) -> None:
        if body["text"] == "modal":
            await ack()
            await client.views_open(trigger_id=body["trigger_id"], view=MODAL)
            return
        await ack("starting")
        await client.chat_postMessage(channel=body["channel_id"], text="Deploy", blocks=CARD)

    @app.action("kill")
    async def on_kill(ack: AsyncAck, body: Document, client: AsyncWebClient) -> None:
        await ack()
        await client.chat_update(
            channel=body["channel"]["id"], ts=body["message"]["ts"], text="killed", blocks=[]
        )

    @app.view("start")
    async def on_submit(ack: AsyncAck, view: Document, client: AsyncWebClient) -> None:
        task = view["state"]["values"]["task"]["task"]["value"]
        if task == "bad":
            await ack(response_action="errors", errors={"task": "Say more."})
            return
        await ack()
        await client.chat_postMessage(channel="C0BUILDS02", text=f"task: {task}")

    @app.event("app_mention")
    async def on_mention(event: Document) -> None:
        events.append(event)

    @app.event("message")
    async def on_message(event: Document) -> None:
        events.append(event)

    return app, events


async def test_a_command_is_acknowledged_and_its_card_appears(
    sandbox: Sandbox, transport: str
) -> None:
    app, _ = small_app(sandbox)
    async with connected(app, sandbox, transport=transport):
        result = await sandbox.human.slash("#builds", "/workflow", "run deploy")

        assert result.ok
        assert result.response_text == "starting"
        card = await sandbox.human.wait_for(lambda: sandbox.human.find("Deploy"), what="the card")
        assert sandbox.human.labels(card) == ["Kill"]
        assert sandbox.human.ephemerals()[0]["text"] == "starting"


async def test_a_button_changes_the_message_and_text_alone_drops_its_blocks(
    sandbox: Sandbox, transport: str
) -> None:
    app, _ = small_app(sandbox)
    async with connected(app, sandbox, transport=transport):
        await sandbox.human.slash("#builds", "/workflow", "run deploy")
        card = await sandbox.human.wait_for(lambda: sandbox.human.find("Deploy"), what="the card")

        await sandbox.human.click("#builds", card["ts"], label="Kill")

        killed = await sandbox.human.wait_for(lambda: sandbox.human.find("killed"), what="killed")
        assert "blocks" not in killed
        assert killed["ts"] == card["ts"]


async def test_a_modal_shows_errors_and_then_closes(sandbox: Sandbox, transport: str) -> None:
    app, _ = small_app(sandbox)
    async with connected(app, sandbox, transport=transport):
        await sandbox.human.slash("#builds", "/workflow", "modal")
        view = await sandbox.human.wait_for(sandbox.human.modal, what="the modal")

        assert await sandbox.human.submit(view["id"], {}) == {
            "task": "Please complete this required field."
        }
        assert await sandbox.human.submit(view["id"], {"Task": "bad"}) == {"task": "Say more."}
        assert await sandbox.human.submit(view["id"], {"Task": "good"}) is None
        assert sandbox.human.modal() is None
        await sandbox.human.wait_for(lambda: sandbox.human.find("task: good"), what="the task")


async def test_a_mention_sends_two_events_with_escaped_text(
    sandbox: Sandbox, transport: str
) -> None:
    app, events = small_app(sandbox)
    async with connected(app, sandbox, transport=transport):
        await sandbox.human.say("#builds", "@signalbox fix a<b & c")
        await sandbox.human.wait_for(lambda: len(events) == 2, what="two events")

        assert sorted(event["type"] for event in events) == ["app_mention", "message"]
        assert {event["text"] for event in events} == {
            f"<@{sandbox.bot_user_id}> fix a&lt;b &amp; c"
        }
