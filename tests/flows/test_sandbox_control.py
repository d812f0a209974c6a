"""The sandbox's control API, as the demo page uses it, and a person's rarer actions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.slack.errors import ActionRefused
from bot.sandbox.slack.people import ADA, BEN, BUILDS, GUS, PRIVATE
from bot.sandbox.slack.server import Sandbox, open_sandbox
from tests.flows.sandbox_page import (
    MANIFEST,
    MODAL,
    ControlClient,
    Document,
    Recorder,
    page,
    recorder,
    sandbox,
)

__all__ = ["page", "recorder", "sandbox"]


async def test_shortcuts_reach_the_app(
    sandbox: Sandbox, recorder: Recorder, page: ControlClient
) -> None:
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
    sandbox: Sandbox, recorder: Recorder, page: ControlClient
) -> None:
    await page.post("home", user=BEN)
    await sandbox.human.wait_for(lambda: sandbox.human.home("ben"), what="the home tab")

    again = await page.post("home", user=BEN)

    assert again["view"]["blocks"][0]["text"]["text"] == "Home"


async def test_the_native_stop_button_exists_only_while_an_agent_works(
    sandbox: Sandbox, recorder: Recorder
) -> None:
    client = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
    root = await client.chat_postMessage(channel=BUILDS, text="root")
    status: Any = {"channel_id": BUILDS, "thread_ts": root["ts"]}
    with pytest.raises(ActionRefused):
        await sandbox.human.press_stop("#builds", root["ts"])
    await client.api_call("agents.sessions.setStatus", json={**status, "status": "processing"})

    await sandbox.human.press_stop("#builds", root["ts"])

    stopped = await sandbox.human.wait_for(
        lambda: recorder.bodies("agent_session_stopped"), what="the event"
    )
    assert stopped[0]["thread_ts"] == root["ts"]
    assert stopped[0]["user"] == ADA


async def test_the_page_sees_what_its_person_may_see(
    sandbox: Sandbox, recorder: Recorder, page: ControlClient
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
    hidden = await page.get("messages", channel=PRIVATE, user=GUS)

    assert [each["text"] for each in bens] == [f"<@{ADA}> look at <#{BUILDS}>", "psst"]
    assert bens[1]["ephemeral"] is True
    assert bens[0]["reply_count"] == 1
    assert [each["text"] for each in adas] == [f"<@{ADA}> look at <#{BUILDS}>"]
    assert [each["text"] for each in thread][1:] == ["reply", "psst there"]
    assert "secret" not in [each["name"] for each in guests["channels"]]
    assert hidden["error"] == "channel_not_found"
    assert {each["name"] for each in guests["users"] if each["is_bot"]} == {"signalbox"}


async def test_an_impossible_action_is_reported(page: ControlClient, sandbox: Sandbox) -> None:
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


async def test_the_stream_sends_changes_and_the_inspector_lists_calls(
    sandbox: Sandbox, page: ControlClient
) -> None:
    client = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
    async with page.http.get(page.url + "stream", params={"user": ADA}) as stream:
        assert await stream.content.readline() == b": hello\n"
        posted = await client.chat_postMessage(channel=BUILDS, text="hello")
        changes: list[Document] = []
        while not any(each["type"] == "message" for each in changes):
            line = (await stream.content.readline()).decode()
            changes += [json.loads(line[5:])] if line.startswith("data:") else []

    entries = (await page.get("inspector", after="0"))["entries"]
    later = (await page.get("inspector", after=str(entries[-1]["n"])))["entries"]

    assert changes[-1]["channel"] == BUILDS
    assert changes[-1]["ts"] == posted["ts"]
    assert [each["name"] for each in entries if each["direction"] == "api"] == ["chat.postMessage"]
    assert entries[0]["request"]["text"] == "hello"
    assert sandbox.bot_token not in json.dumps(entries)
    assert later == []


async def test_the_sandbox_can_be_reset(sandbox: Sandbox, page: ControlClient) -> None:
    await sandbox.human.say("#builds", "old")
    await page.post("faults", method="chat.update", kind="429", times=3)
    await page.post("clock", advance=60)
    await page.post("join", user=ADA, channel="C0RANDOM03")

    assert (await page.post("reset"))["ok"]

    assert sandbox.human.messages("#builds") == []
    assert sandbox.faults.remaining("chat.update") == 0
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
async def test_pages_of_other_sites_are_refused(
    sandbox: Sandbox, page: ControlClient, headers: dict[str, str], status: int
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

        with pytest.raises(ActionRefused, match="dispatch_failed"):
            await sandbox.human.click("#builds", posted["ts"], label="More")
        with pytest.raises(SlackApiError, match="messages_tab_disabled"):
            await client.chat_postMessage(channel=ADA, text="x")
        assert [each.kind for each in sandbox.problems] == ["no_interactivity"]
