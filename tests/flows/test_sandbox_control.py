"""The sandbox's control API, as the demo page uses it; and the rarer things a person does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.slack.errors import HumanRefused
from bot.sandbox.slack.people import ADA, BEN, BUILDS, GUS, HIDEOUT
from bot.sandbox.slack.server import Sandbox, open_sandbox
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
    """An app that does as it is told and writes down what it got."""

    def __init__(self, app: AsyncApp) -> None:
        self.got: list[tuple[str, Document]] = []
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
        self.got.append(("command", body))
        await client.views_open(trigger_id=body["trigger_id"], view=MODAL)

    async def on_shortcut(self, ack: AsyncAck, body: Document) -> None:
        await ack()
        self.got.append(("shortcut", body))

    async def on_more(self, ack: AsyncAck, body: Document, client: AsyncWebClient) -> None:
        await ack()
        self.got.append(("more", body))
        await client.views_update(
            view_id=body["view"]["id"],
            hash=body["view"]["hash"],
            view={**MODAL, "blocks": SMALL["blocks"]},
        )

    async def on_options(self, ack: AsyncAck, body: Document) -> None:
        await ack(options=[option(body["value"])])

    async def on_submit(self, ack: AsyncAck, body: Document) -> None:
        self.got.append(("submit", body))
        await ack(**self.answer)

    async def on_closed(self, ack: AsyncAck, body: Document) -> None:
        await ack()
        self.got.append(("closed", body))

    async def on_home(self, event: Document, client: AsyncWebClient) -> None:
        home = {"type": "home", "blocks": [{"type": "header", "text": text("Home")}]}
        await client.views_publish(user_id=event["user"], view=home)

    async def on_event(self, event: Document) -> None:
        self.got.append((event["type"], event))

    def bodies(self, kind: str) -> list[Document]:
        return [body for name, body in self.got if name == kind]


@pytest_asyncio.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    manifest = tmp_path / "manifest.yml"
    manifest.write_text(MANIFEST)
    async with open_sandbox(manifest=manifest) as opened:
        yield opened
        assert not opened.problems, opened.problems


@pytest_asyncio.fixture
async def recorder(sandbox: Sandbox) -> AsyncIterator[Recorder]:
    app = new_app(sandbox)
    recorder = Recorder(app)
    async with connected(app, sandbox, transport="socket"):
        yield recorder


class Page:
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
async def page(sandbox: Sandbox) -> AsyncIterator[Page]:
    async with aiohttp.ClientSession() as http:
        yield Page(http, sandbox.url)


async def modal_of(sandbox: Sandbox, user: str = "ada") -> Document:
    await sandbox.human.slash("#builds", "/workflow", "form", user=user)
    return await sandbox.human.wait_for(lambda: sandbox.human.modal(user), what="the modal")


async def test_a_form_is_filled_in_and_submitted_from_the_page(
    sandbox: Sandbox, recorder: Recorder, page: Page
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
async def test_the_client_itself_checks_numbers(
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


async def test_an_error_for_a_block_that_is_not_there_is_a_problem(
    sandbox: Sandbox, recorder: Recorder
) -> None:
    view = await modal_of(sandbox)
    recorder.answer = {"response_action": "errors", "errors": {"nowhere": "x"}}

    await sandbox.human.submit(view["id"])

    assert [each.kind for each in sandbox.take_problems()] == ["invalid_response_action_errors"]


async def test_a_cancelled_modal_is_told_where_that_is_asked_for(
    sandbox: Sandbox, recorder: Recorder
) -> None:
    view = await modal_of(sandbox, "ben")

    await sandbox.human.close_view(view["id"])

    closed = await sandbox.human.wait_for(lambda: recorder.bodies("closed"), what="the news")
    assert closed[0]["is_cleared"] is False
    assert closed[0]["user"]["id"] == BEN
    assert sandbox.human.modal("ben") is None


async def test_a_button_in_a_modal_updates_it(
    sandbox: Sandbox, recorder: Recorder, page: Page
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


async def test_a_menu_the_app_fills_is_asked_with_what_was_typed(
    sandbox: Sandbox, recorder: Recorder
) -> None:
    view = await modal_of(sandbox)

    assert await sandbox.human.suggest(view["id"], "Repository", "widget") == ["Widget"]


async def test_shortcuts_reach_the_app(sandbox: Sandbox, recorder: Recorder, page: Page) -> None:
    said = await sandbox.human.say("#builds", "please fix")
    await page.post(
        "shortcut", user=ADA, channel=BUILDS, ts=said["ts"], callback_id="run_on_message"
    )
    await page.post("shortcut", user=ADA, callback_id="run")
    unknown = await page.post("shortcut", user=ADA, callback_id="fly")

    of_message, of_nothing = recorder.bodies("shortcut")
    assert of_message["message"]["text"] == "please fix"
    assert of_message["channel"]["id"] == BUILDS
    assert "name" not in of_nothing["user"]
    assert (unknown["ok"], unknown["error"]) == (False, "no_such_shortcut")


async def test_the_home_tab_is_published_when_it_is_opened(
    sandbox: Sandbox, recorder: Recorder, page: Page
) -> None:
    await page.post("home", user=BEN)
    await sandbox.human.wait_for(lambda: sandbox.human.home("ben"), what="the home tab")

    again = await page.post("home", user=BEN)

    assert again["view"]["blocks"][0]["text"]["text"] == "Home"


async def test_the_native_stop_button_is_there_only_while_an_agent_works(
    sandbox: Sandbox, recorder: Recorder
) -> None:
    client = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
    root = await client.chat_postMessage(channel=BUILDS, text="root")
    status: Any = {"channel_id": BUILDS, "thread_ts": root["ts"]}
    with pytest.raises(HumanRefused):
        await sandbox.human.press_stop("#builds", root["ts"])
    await client.api_call("agents.sessions.setStatus", json={**status, "status": "processing"})

    await sandbox.human.press_stop("#builds", root["ts"])

    stopped = await sandbox.human.wait_for(
        lambda: recorder.bodies("agent_session_stopped"), what="the event"
    )
    assert stopped[0]["thread_ts"] == root["ts"]
    assert stopped[0]["user"] == ADA


async def test_the_page_sees_what_its_person_may_see(
    sandbox: Sandbox, recorder: Recorder, page: Page
) -> None:
    client = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
    said = await page.post("say", user=BEN, channel=BUILDS, text="@ada look at #builds")
    await page.post("say", user=BEN, channel=BUILDS, text="reply", thread_ts=said["ts"])
    await client.chat_postEphemeral(channel=BUILDS, user=BEN, text="psst")
    await client.chat_postEphemeral(
        channel=BUILDS, user=BEN, text="psst there", thread_ts=said["ts"]
    )

    bens = (await page.get("messages", channel=BUILDS, user=BEN))["messages"]
    adas = (await page.get("messages", channel=BUILDS, user=ADA))["messages"]
    thread = (await page.get("thread", channel=BUILDS, ts=said["ts"], user=BEN))["messages"]
    guests = await page.get("state", user=GUS)
    hidden = await page.get("messages", channel=HIDEOUT, user=GUS)

    assert [each["text"] for each in bens] == [f"<@{ADA}> look at <#{BUILDS}>", "psst"]
    assert bens[1]["ephemeral"] is True
    assert bens[0]["reply_count"] == 1
    assert [each["text"] for each in adas] == [f"<@{ADA}> look at <#{BUILDS}>"]
    assert [each["text"] for each in thread][1:] == ["reply", "psst there"]
    assert "secret" not in [each["name"] for each in guests["channels"]]
    assert hidden["error"] == "channel_not_found"
    assert {each["name"] for each in guests["users"] if each["is_bot"]} == {"signalbox"}


async def test_what_cannot_be_done_is_said(page: Page, sandbox: Sandbox) -> None:
    assert (await page.post("say", user="U9", channel=BUILDS, text="x"))["error"] == (
        "user_not_found"
    )
    assert (await page.post("say", channel="C9", text="x"))["error"] == "channel_not_found"
    gone = await page.post("click", channel=BUILDS, ts="1.1", action_id="x")
    assert gone["error"] == "message_not_found"
    assert (await page.post("faults", method="x"))["error"] == "bad_request"
    unknown = await page.post("slash", channel=BUILDS, command="/fly", text="")
    assert unknown["error"] == "no_such_command"
    assert (await page.post("view/close", view_id="V1"))["error"] == "view_not_found"


async def test_the_stream_tells_of_changes_and_the_inspector_of_calls(
    sandbox: Sandbox, page: Page
) -> None:
    client = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
    async with page.http.get(page.url + "stream", params={"user": ADA}) as stream:
        assert await stream.content.readline() == b": hello\n"
        posted = await client.chat_postMessage(channel=BUILDS, text="hello")
        told: list[Document] = []
        while not any(each["type"] == "message" for each in told):
            line = (await stream.content.readline()).decode()
            told += [json.loads(line[5:])] if line.startswith("data:") else []

    entries = (await page.get("inspector", after="0"))["entries"]
    later = (await page.get("inspector", after=str(entries[-1]["n"])))["entries"]

    assert told[-1]["channel"] == BUILDS
    assert told[-1]["ts"] == posted["ts"]
    assert [each["name"] for each in entries if each["direction"] == "api"] == ["chat.postMessage"]
    assert entries[0]["request"]["text"] == "hello"
    assert sandbox.bot_token not in json.dumps(entries)
    assert later == []


async def test_the_sandbox_can_start_again(sandbox: Sandbox, page: Page) -> None:
    await sandbox.human.say("#builds", "old")
    await page.post("faults", method="chat.update", kind="429", times=3)
    await page.post("clock", advance=60)
    await page.post("join", user=ADA, channel="C0RANDOM03")

    assert (await page.post("reset"))["ok"]

    assert sandbox.human.messages("#builds") == []
    assert sandbox.faults.left("chat.update") == 0
    channels = (await page.get("state"))["channels"]
    assert {each["name"] for each in channels if each["bot_is_member"] and not each["is_im"]} == {
        "attic",
        "builds",
        "general",
        "partners",
    }


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:{port}"}, 200),
        ({"Origin": "http://127.0.0.1:{port}"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example:{port}"}, 403),
        ({"Host": "localhost:1", "Origin": "http://localhost:1"}, 200),
        ({"Host": "localhost:1", "Origin": "http://localhost:2"}, 403),
    ],
)
async def test_pages_of_other_sites_are_kept_out(
    sandbox: Sandbox, page: Page, headers: dict[str, str], status: int
) -> None:
    port = sandbox.url.rpartition(":")[2]
    sent = {name: value.format(port=port) for name, value in headers.items()}

    async with page.http.get(page.url + "state", headers=sent) as response:
        assert response.status == status


async def test_an_app_without_interactivity_gets_no_clicks(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.yml"
    manifest.write_text(
        MANIFEST.replace("is_enabled: true", "is_enabled: false").replace(
            "home_tab_enabled", "messages_tab_enabled: false, home_tab_enabled"
        )
    )
    async with open_sandbox(manifest=manifest) as sandbox:
        client = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
        posted = await client.chat_postMessage(
            channel=BUILDS, text="x", blocks=[MODAL["blocks"][-1]]
        )

        with pytest.raises(HumanRefused, match="dispatch_failed"):
            await sandbox.human.click("#builds", posted["ts"], label="More")
        with pytest.raises(SlackApiError, match="messages_tab_disabled"):
            await client.chat_postMessage(channel=ADA, text="x")
        assert [each.kind for each in sandbox.problems] == ["no_interactivity"]
