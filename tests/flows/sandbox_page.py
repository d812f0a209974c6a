"""The demo page's client, and an app that records what it receives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest_asyncio
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.slack.server import ACK_SECONDS, Sandbox, open_sandbox
from tests.limits import patient
from tests.sandbox import connected, new_app

Document = dict[str, Any]

MANIFEST = """
display_information: {name: Signalbox}
features:
  app_home: {home_tab_enabled: true}
  agent_view: {agent_description: x}
  slash_commands: [{command: /workflow, description: x, should_escape: true}]
  shortcuts:
    - {name: Run on this, type: message, callback_id: run_on_message}
    - {name: Run, type: global, callback_id: run}
oauth_config:
  scopes: {bot: [chat:write, commands, channels:history, im:history]}
settings:
  event_subscriptions:
    bot_events: [app_home_opened, agent_session_stopped, message.im, message.channels]
  interactivity: {is_enabled: true}
"""


def text(value: str) -> Document:
    return {"type": "plain_text", "text": value}


def option(value: str) -> Document:
    return {"text": text(value.title()), "value": value}


MODAL: Document = {
    "type": "modal",
    "callback_id": "form",
    "notify_on_close": True,
    "title": text("Form"),
    "submit": text("Send"),
    "blocks": [
        {
            "type": "input",
            "block_id": "flow",
            "label": text("Workflow"),
            "element": {
                "type": "static_select",
                "action_id": "flow",
                "options": [option("deploy"), option("review")],
                "initial_option": option("deploy"),
            },
        },
        {
            "type": "input",
            "block_id": "repo",
            "optional": True,
            "label": text("Repository"),
            "element": {"type": "external_select", "action_id": "repo", "min_query_length": 1},
        },
        {
            "type": "input",
            "block_id": "turns",
            "optional": True,
            "label": text("Turns"),
            "element": {
                "type": "number_input",
                "action_id": "turns",
                "is_decimal_allowed": False,
                "max_value": "50",
            },
        },
        {
            "type": "input",
            "block_id": "kinds",
            "optional": True,
            "label": text("Kinds"),
            "element": {
                "type": "checkboxes",
                "action_id": "kinds",
                "options": [option("failed"), option("killed")],
            },
        },
        {
            "type": "actions",
            "block_id": "more",
            "elements": [{"type": "button", "action_id": "more", "text": text("More")}],
        },
    ],
}

SMALL: Document = {
    "type": "modal",
    "title": text("Small"),
    "blocks": [{"type": "divider"}],
}


class Recorder:
    """An app that reacts to every interaction and records what it receives."""

    def __init__(self, app: AsyncApp) -> None:
        self.received: list[tuple[str, Document]] = []
        self.answer: Document = {}
        app.command("/workflow")(self.on_command)
        app.shortcut("run_on_message")(self.on_shortcut)
        app.shortcut("run")(self.on_shortcut)
        app.action("more")(self.on_more)
        app.options("repo")(self.on_options)
        app.view("form")(self.on_submit)
        app.view_closed("form")(self.on_closed)
        app.event("app_home_opened")(self.on_home)
        app.event("agent_session_stopped")(self.on_event)
        app.event("message")(self.on_event)

    async def on_command(self, ack: AsyncAck, body: Document, client: AsyncWebClient) -> None:
        await ack()
        self.received.append(("command", body))
        await client.views_open(trigger_id=body["trigger_id"], view=MODAL)

    async def on_shortcut(self, ack: AsyncAck, body: Document) -> None:
        await ack()
        self.received.append(("shortcut", body))

    async def on_more(self, ack: AsyncAck, body: Document, client: AsyncWebClient) -> None:
        await ack()
        self.received.append(("more", body))
        await client.views_update(
            view_id=body["view"]["id"],
            hash=body["view"]["hash"],
            view={**MODAL, "blocks": SMALL["blocks"]},
        )

    async def on_options(self, ack: AsyncAck, body: Document) -> None:
        await ack(options=[option(body["value"])])

    async def on_submit(self, ack: AsyncAck, body: Document) -> None:
        self.received.append(("submit", body))
        await ack(**self.answer)

    async def on_closed(self, ack: AsyncAck, body: Document) -> None:
        await ack()
        self.received.append(("closed", body))

    async def on_home(self, event: Document, client: AsyncWebClient) -> None:
        home = {"type": "home", "blocks": [{"type": "header", "text": text("Home")}]}
        await client.views_publish(user_id=event["user"], view=home)

    async def on_event(self, event: Document) -> None:
        self.received.append((event["type"], event))

    def bodies(self, kind: str) -> list[Document]:
        return [body for name, body in self.received if name == kind]


@pytest_asyncio.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    manifest = tmp_path / "manifest.yml"
    manifest.write_text(MANIFEST)
    async with open_sandbox(manifest=manifest, ack_timeout=patient(ACK_SECONDS)) as opened:
        yield opened
        assert not opened.problems, opened.problems


@pytest_asyncio.fixture
async def recorder(sandbox: Sandbox) -> AsyncIterator[Recorder]:
    app = new_app(sandbox)
    recorder = Recorder(app)
    async with connected(app, sandbox, transport="socket"):
        yield recorder


class ControlClient:
    """A client of the control API."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http = http
        self.url = f"{url}/_emu/"

    async def get(self, path: str, **query: str) -> Document:
        async with self.http.get(self.url + path, params=query) as response:
            answer: Document = await response.json()
            return answer

    async def post(self, path: str, **body: Any) -> Document:
        async with self.http.post(self.url + path, json=body) as response:
            answer: Document = await response.json()
            return answer


@pytest_asyncio.fixture
async def page(sandbox: Sandbox) -> AsyncIterator[ControlClient]:
    async with aiohttp.ClientSession() as http:
        yield ControlClient(http, sandbox.url)


async def modal_of(sandbox: Sandbox, user: str = "ada") -> Document:
    await sandbox.human.slash("#builds", "/workflow", "form", user=user)
    return await sandbox.human.wait_for(lambda: sandbox.human.modal(user), what="the modal")
