"""Answers without a token: response_urls and the messages that they change."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from slack_bolt.async_app import AsyncAck, AsyncRespond
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.slack.errors import ActionRefused
from bot.sandbox.slack.people import BUILDS
from bot.sandbox.slack.server import Sandbox
from tests.flows.sandbox_clients import Document, http
from tests.sandbox import connected, new_app, sandbox

__all__ = ["http", "sandbox"]

BUTTONS: list[Document] = [
    {
        "type": "actions",
        "elements": [
            {
                "type": "button",
                "action_id": "go",
                "text": {"type": "plain_text", "text": "Go"},
            }
        ],
    }
]


async def test_a_response_url_replaces_deletes_and_answers_five_times(sandbox: Sandbox) -> None:
    app = new_app(sandbox)
    answers: list[Any] = []

    async def send(respond: AsyncRespond, answer: Document) -> None:
        answers.append(await respond(**answer))

    @app.action("go")
    async def on_go(ack: AsyncAck, respond: AsyncRespond) -> None:
        await ack()
        for answer in (
            {"text": "replaced", "replace_original": True},
            {"text": "only you"},
            {"text": "everybody", "response_type": "in_channel"},
            {"delete_original": True},
            {"text": "fifth"},
            {"text": "sixth"},
        ):
            await send(respond, answer)

    async with connected(app, sandbox, transport="socket"):
        client = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
        posted = await client.chat_postMessage(channel=BUILDS, text="x", blocks=BUTTONS)

        await sandbox.human.click("#builds", posted["ts"], label="Go")
        await sandbox.human.wait_for(lambda: len(answers) == 6, what="six answers")

    assert [each.status_code for each in answers] == [200] * 5 + [404]
    assert [each["text"] for each in sandbox.human.messages("#builds")] == ["everybody"]
    assert [each["text"] for each in sandbox.human.ephemerals()] == ["only you", "fifth"]
    assert [each.kind for each in sandbox.take_problems()][-1] == "response_url"


async def test_a_response_url_expires_after_half_an_hour(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    name = sandbox.workspace.new_response_url(user="U0ADA00001", channel=BUILDS)
    sandbox.clock.advance(1801)

    async with http.post(f"{sandbox.url}/response/{name}", json={"text": "x"}) as response:
        assert response.status == 404
        assert (await response.json())["error"] == "expired_url"
    sandbox.take_problems()


async def test_an_ephemeral_message_has_buttons_that_can_replace_it(sandbox: Sandbox) -> None:
    app = new_app(sandbox)
    seen: list[Document] = []

    @app.action("go")
    async def on_go(ack: AsyncAck, respond: AsyncRespond, body: Document) -> None:
        await ack()
        seen.append(body)
        await respond(text="gone on", replace_original=True)

    async with connected(app, sandbox, transport="socket"):
        client = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
        posted = await client.chat_postEphemeral(
            channel=BUILDS, user="U0BEN00002", text="x", blocks=BUTTONS
        )

        await sandbox.human.click("#builds", posted["message_ts"], action_id="go", user="ben")
        await sandbox.human.wait_for(lambda: sandbox.human.find("gone on"), what="the change")

    assert "message" not in seen[0]
    assert seen[0]["container"]["is_ephemeral"] is True
    assert len(sandbox.human.ephemerals("ben")) == 1
    with pytest.raises(ActionRefused):
        await sandbox.human.click("#builds", posted["message_ts"], action_id="go", user="ada")


async def test_answers_without_a_token_can_fail_too(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    name = sandbox.workspace.new_response_url(user="U0ADA00001", channel=BUILDS)
    url = f"{sandbox.url}/response/{name}"
    sandbox.faults.add("response_url", "500")
    sandbox.faults.add("response_url", "lost_answer")

    async with http.post(url, json={"text": "first"}) as response:
        assert response.status == 500
    with pytest.raises(aiohttp.ClientError):
        await http.post(url, json={"text": "second"})

    assert [each["text"] for each in sandbox.human.ephemerals()] == ["second"]
