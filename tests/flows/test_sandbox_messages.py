"""Messages in the sandbox: posted, changed, read, and refused as in Slack."""

from __future__ import annotations

import asyncio
import warnings
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.slack.people import ADA, ARCHIVED, BEN, BUILDS, PRIVATE, RANDOM
from bot.sandbox.slack.server import Sandbox, open_sandbox
from tests.flows.sandbox_clients import SECTION, client, error_of_refused_call, http
from tests.sandbox import sandbox

__all__ = ["client", "http", "sandbox"]


async def test_a_posted_message_is_read_unchanged(sandbox: Sandbox, client: AsyncWebClient) -> None:
    metadata = {"event_type": "run", "event_payload": {"run_id": "run_1"}}
    root = await client.chat_postMessage(
        channel=BUILDS, text="hello", blocks=[SECTION], metadata=metadata
    )
    reply = await client.chat_postMessage(channel=BUILDS, text="one", thread_ts=root["ts"])
    deeper = await client.chat_postMessage(channel=BUILDS, text="two", thread_ts=reply["ts"])

    replies = await client.conversations_replies(
        channel=BUILDS, ts=reply["ts"], include_all_metadata=True
    )
    history = await client.conversations_history(channel=BUILDS)

    assert [each["text"] for each in replies["messages"]] == ["hello", "one", "two"]
    assert replies["messages"][0]["metadata"] == metadata
    assert replies["messages"][0]["reply_count"] == 2
    assert replies["messages"][0]["blocks"][0]["block_id"]
    assert deeper["message"]["thread_ts"] == root["ts"]
    assert [each["text"] for each in history["messages"]] == ["hello"]
    assert "metadata" not in history["messages"][0]


async def test_timestamps_are_unique_and_increase(sandbox: Sandbox, client: AsyncWebClient) -> None:
    sandbox.limits.enabled = False
    posted = await asyncio.gather(
        *(client.chat_postMessage(channel=BUILDS, text=f"n{n}") for n in range(20))
    )

    assert len({each["ts"] for each in posted}) == 20
    assert list(sandbox.workspace.messages[BUILDS]) == sorted(sandbox.workspace.messages[BUILDS])


@pytest.mark.parametrize(
    ("channel", "error"),
    [
        (RANDOM, "not_in_channel"),
        (PRIVATE, "channel_not_found"),
        (ARCHIVED, "is_archived"),
        ("C0NOWHERE", "channel_not_found"),
    ],
)
async def test_the_bot_cannot_post_where_it_is_not_a_member(
    sandbox: Sandbox, client: AsyncWebClient, channel: str, error: str
) -> None:
    assert (
        await error_of_refused_call(sandbox, client.chat_postMessage(channel=channel, text="x"))
        == error
    )


async def test_a_person_gets_a_direct_message(sandbox: Sandbox, client: AsyncWebClient) -> None:
    posted = await client.chat_postMessage(channel=BEN, text="for you")
    opened = await client.conversations_open(users=[BEN])

    assert posted["channel"] == opened["channel"]["id"]
    assert [each["text"] for each in sandbox.human.messages("@ben")] == ["for you"]


async def test_the_bot_can_change_only_its_own_messages(
    sandbox: Sandbox, client: AsyncWebClient
) -> None:
    said = await sandbox.human.say("#builds", "mine")
    update = client.chat_update(channel=BUILDS, ts=said["ts"], text="yours")
    delete = client.chat_delete(channel=BUILDS, ts=said["ts"])

    assert await error_of_refused_call(sandbox, update) == "cant_update_message"
    assert await error_of_refused_call(sandbox, delete) == "cant_delete_message"
    gone = client.chat_update(channel=BUILDS, ts="1.000001", text="x")
    assert await error_of_refused_call(sandbox, gone) == "message_not_found"


async def test_an_update_in_an_archived_channel_is_refused(
    sandbox: Sandbox, client: AsyncWebClient
) -> None:
    posted = await client.chat_postMessage(channel=BUILDS, text="x")
    await sandbox.human.archive("#builds")
    update = client.chat_update(channel=BUILDS, ts=posted["ts"], text="y")

    assert await error_of_refused_call(sandbox, update) == "is_inactive"


async def test_text_alone_drops_the_blocks_and_marks_the_message_as_edited(
    sandbox: Sandbox, client: AsyncWebClient
) -> None:
    posted = await client.chat_postMessage(channel=BUILDS, text="x", blocks=[SECTION])
    with_blocks = await client.chat_update(
        channel=BUILDS, ts=posted["ts"], text="y", blocks=[SECTION]
    )
    text_only = await client.chat_update(channel=BUILDS, ts=posted["ts"], text="z")

    assert "edited" not in with_blocks["message"]
    assert "blocks" not in text_only["message"]
    assert "edited" in text_only["message"]


async def test_a_deleted_root_with_replies_leaves_a_tombstone(
    sandbox: Sandbox, client: AsyncWebClient
) -> None:
    root = await client.chat_postMessage(channel=BUILDS, text="root")
    await client.chat_postMessage(channel=BUILDS, text="reply", thread_ts=root["ts"])

    await sandbox.human.delete("#builds", root["ts"])

    assert sandbox.human.thread("#builds", root["ts"])[0]["subtype"] == "tombstone"
    update = client.chat_update(channel=BUILDS, ts=root["ts"], text="again")
    assert await error_of_refused_call(sandbox, update) == "message_not_found"


@pytest.mark.parametrize(
    ("blocks", "error"),
    [
        ([SECTION] * 51, "invalid_blocks"),
        ([{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}], "invalid_blocks"),
        (
            [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 2500}}] * 5,
            "msg_blocks_too_long",
        ),
        ("{", "invalid_blocks_format"),
    ],
)
async def test_bad_blocks_are_refused_and_are_a_problem(
    sandbox: Sandbox, client: AsyncWebClient, blocks: Any, error: str
) -> None:
    with pytest.raises(SlackApiError) as caught:
        await client.chat_postMessage(channel=BUILDS, text="x", blocks=blocks)

    assert caught.value.response["error"] == error
    assert [each.kind for each in sandbox.take_problems()] == [error]
    if error == "invalid_blocks":
        message = caught.value.response["response_metadata"]["messages"][0]
        assert message.startswith("[ERROR] ")
        assert "[json-pointer:/blocks" in message


async def test_an_empty_message_is_refused(sandbox: Sandbox, client: AsyncWebClient) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call = client.chat_postMessage(channel=BUILDS)
        assert await error_of_refused_call(sandbox, call) == "no_text"
    long = client.chat_update(channel=BUILDS, ts="1.1", text="x" * 4001)
    assert await error_of_refused_call(sandbox, long) == "message_not_found"


async def test_the_forty_thousand_and_first_character_is_cut_off(
    sandbox: Sandbox, client: AsyncWebClient
) -> None:
    posted = await client.chat_postMessage(channel=BUILDS, text="x" * 40_001)

    assert posted["warning"] == "message_truncated"
    assert len(posted["message"]["text"]) == 40_000
    assert [each.kind for each in sandbox.take_problems()] == ["message_truncated"]


async def test_a_file_is_uploaded_into_a_thread(
    sandbox: Sandbox, client: AsyncWebClient, http: aiohttp.ClientSession
) -> None:
    root = await client.chat_postMessage(channel=BUILDS, text="root")

    await client.files_upload_v2(
        channel=BUILDS,
        thread_ts=root["ts"],
        content="line 1\nline 2",
        filename="log.txt",
        title="The log",
        initial_comment="See the log",
    )

    reply = sandbox.human.thread("#builds", root["ts"])[1]
    assert reply["text"] == "See the log"
    assert (reply["files"][0]["title"], reply["files"][0]["lines"]) == ("The log", 2)
    async with http.get(reply["files"][0]["url_private"]) as response:
        assert await response.text() == "line 1\nline 2"
        assert response.content_type == "text/plain"


async def test_history_is_cut_by_time(sandbox: Sandbox, client: AsyncWebClient) -> None:
    posted = [await client.chat_postMessage(channel=BUILDS, text=f"n{n}") for n in range(3)]
    later = await client.conversations_history(channel=BUILDS, oldest=posted[1]["ts"])
    also = await client.conversations_history(
        channel=BUILDS, oldest=posted[1]["ts"], inclusive=True
    )

    assert [each["text"] for each in later["messages"]] == ["n2"]
    assert [each["text"] for each in also["messages"]] == ["n2", "n1"]


async def test_an_ephemeral_message_is_for_one_member(
    sandbox: Sandbox, client: AsyncWebClient
) -> None:
    await client.chat_postEphemeral(channel=BUILDS, user=ADA, text="psst")

    assert [each["text"] for each in sandbox.human.ephemerals("ada")] == ["psst"]
    assert sandbox.human.messages("#builds") == []
    stranger = client.chat_postEphemeral(channel=BUILDS, user="U0SAM00006", text="psst")
    assert await error_of_refused_call(sandbox, stranger) == "user_not_in_channel"


async def test_a_permalink_names_the_thread(sandbox: Sandbox, client: AsyncWebClient) -> None:
    root = await client.chat_postMessage(channel=BUILDS, text="root")
    reply = await client.chat_postMessage(channel=BUILDS, text="reply", thread_ts=root["ts"])

    link = await client.chat_getPermalink(channel=BUILDS, message_ts=reply["ts"])

    assert link["permalink"].endswith(
        f"/archives/{BUILDS}/p{reply['ts'].replace('.', '')}?thread_ts={root['ts']}&cid={BUILDS}"
    )


async def test_a_stream_grows_ends_and_expires_after_five_minutes(
    sandbox: Sandbox, client: AsyncWebClient
) -> None:
    to: Any = {"recipient_user_id": ADA, "recipient_team_id": sandbox.team_id}
    root = await client.chat_postMessage(channel=BUILDS, text="root")
    first = await client.chat_startStream(channel=BUILDS, thread_ts=root["ts"], **to)
    await client.chat_appendStream(channel=BUILDS, ts=first["ts"], markdown_text="a")
    await client.chat_stopStream(channel=BUILDS, ts=first["ts"], markdown_text="b")
    second = await client.chat_startStream(channel=BUILDS, thread_ts=root["ts"], **to)
    sandbox.clock.advance(301)
    append = client.chat_appendStream(channel=BUILDS, ts=second["ts"], markdown_text="a")

    assert sandbox.human.thread("#builds", root["ts"])[1]["text"] == "ab"
    assert await error_of_refused_call(sandbox, append) == "message_not_in_streaming_state"


async def test_a_reaction_is_added_once(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.yml"
    manifest.write_text(
        "{display_information: {name: A}, oauth_config: {scopes: {bot: [reactions:write]}}}"
    )
    async with open_sandbox(manifest=manifest) as sandbox:
        client = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
        said = await sandbox.human.say("#builds", "hello")
        target: Any = {"channel": BUILDS, "timestamp": said["ts"], "name": "eyes"}
        await sandbox.human.react("#builds", said["ts"], ":eyes:", user="ben")
        await client.reactions_add(**target)

        message = sandbox.human.messages("#builds")[0]
        users = [BEN, sandbox.bot_user_id]
        assert message["reactions"] == [{"name": "eyes", "users": users, "count": 2}]
        assert (
            await error_of_refused_call(sandbox, client.reactions_add(**target))
            == "already_reacted"
        )
        await client.reactions_remove(**target)
        assert (
            await error_of_refused_call(sandbox, client.reactions_remove(**target)) == "no_reaction"
        )
