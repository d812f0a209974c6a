"""The sandbox's Web API refuses what Slack refuses."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.slack.people import ADA, ATTIC, BEN, BUILDS, GENERAL, HIDEOUT, OPERATORS, RANDOM
from bot.sandbox.slack.server import Sandbox, open_sandbox
from tests.sandbox import sandbox

__all__ = ["sandbox"]

Document = dict[str, Any]

SECTION: Document = {"type": "section", "text": {"type": "mrkdwn", "text": "hello"}}
BUTTON: Document = {"type": "button", "text": {"type": "plain_text", "text": "Go"}}


@pytest.fixture
def client(sandbox: Sandbox) -> AsyncWebClient:
    return AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url, timeout=5)


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def refused(sandbox: Sandbox, call: Any) -> str:
    """The error word of a call, whose problems are thereby expected."""
    with pytest.raises(SlackApiError) as caught:
        await call
    sandbox.take_problems()
    return str(caught.value.response["error"])


async def test_a_posted_message_is_read_back_whole(
    sandbox: Sandbox, client: AsyncWebClient
) -> None:
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
        (HIDEOUT, "channel_not_found"),
        (ATTIC, "is_archived"),
        ("C0NOWHERE", "channel_not_found"),
    ],
)
async def test_where_the_bot_is_no_member_it_cannot_post(
    sandbox: Sandbox, client: AsyncWebClient, channel: str, error: str
) -> None:
    assert await refused(sandbox, client.chat_postMessage(channel=channel, text="x")) == error


async def test_a_person_gets_a_direct_message(sandbox: Sandbox, client: AsyncWebClient) -> None:
    posted = await client.chat_postMessage(channel=BEN, text="for you")
    opened = await client.conversations_open(users=[BEN])

    assert posted["channel"] == opened["channel"]["id"]
    assert [each["text"] for each in sandbox.human.messages("@ben")] == ["for you"]


async def test_only_its_own_messages_can_the_bot_change(
    sandbox: Sandbox, client: AsyncWebClient
) -> None:
    said = await sandbox.human.say("#builds", "mine")
    update = client.chat_update(channel=BUILDS, ts=said["ts"], text="yours")
    delete = client.chat_delete(channel=BUILDS, ts=said["ts"])

    assert await refused(sandbox, update) == "cant_update_message"
    assert await refused(sandbox, delete) == "cant_delete_message"
    gone = client.chat_update(channel=BUILDS, ts="1.000001", text="x")
    assert await refused(sandbox, gone) == "message_not_found"


async def test_an_update_in_an_archived_channel_is_refused(
    sandbox: Sandbox, client: AsyncWebClient
) -> None:
    posted = await client.chat_postMessage(channel=BUILDS, text="x")
    await sandbox.human.archive("#builds")
    update = client.chat_update(channel=BUILDS, ts=posted["ts"], text="y")

    assert await refused(sandbox, update) == "is_inactive"


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
    assert await refused(sandbox, update) == "message_not_found"


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


async def test_a_message_without_anything_is_refused(
    sandbox: Sandbox, client: AsyncWebClient
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call = client.chat_postMessage(channel=BUILDS)
        assert await refused(sandbox, call) == "no_text"
    long = client.chat_update(channel=BUILDS, ts="1.1", text="x" * 4001)
    assert await refused(sandbox, long) == "message_not_found"


async def test_the_forty_thousand_and_first_character_is_cut_off(
    sandbox: Sandbox, client: AsyncWebClient
) -> None:
    posted = await client.chat_postMessage(channel=BUILDS, text="x" * 40_001)

    assert posted["warning"] == "message_truncated"
    assert len(posted["message"]["text"]) == 40_000
    assert [each.kind for each in sandbox.take_problems()] == ["message_truncated"]


async def test_an_unknown_method_is_a_problem(sandbox: Sandbox, client: AsyncWebClient) -> None:
    with pytest.raises(SlackApiError) as caught:
        await client.api_call("chat.postMassage")

    assert caught.value.response["error"] == "unknown_method"
    assert [each.kind for each in sandbox.take_problems()] == ["unknown_method"]


async def test_a_missing_scope_is_named(sandbox: Sandbox, client: AsyncWebClient) -> None:
    with pytest.raises(SlackApiError) as caught:
        await client.team_info()

    response = caught.value.response
    assert (response["error"], response["needed"]) == ("missing_scope", "team:read")
    assert "chat:write" in response["provided"].split(",")
    assert [each.kind for each in sandbox.take_problems()] == ["missing_scope"]


async def test_each_token_opens_its_own_methods(sandbox: Sandbox, client: AsyncWebClient) -> None:
    nobody = AsyncWebClient(base_url=sandbox.api_url, token="")
    stranger = AsyncWebClient(base_url=sandbox.api_url, token="xoxb-1-2-3")
    app = AsyncWebClient(base_url=sandbox.api_url, token=sandbox.app_token)

    assert await refused(sandbox, nobody.auth_test()) == "not_authed"
    assert await refused(sandbox, stranger.auth_test()) == "invalid_auth"
    assert await refused(sandbox, app.auth_test()) == "not_allowed_token_type"
    opening = client.api_call("apps.connections.open")
    assert await refused(sandbox, opening) == "not_allowed_token_type"
    me = await client.auth_test()
    assert (me["user_id"], me["team_id"]) == (sandbox.bot_user_id, sandbox.team_id)
    assert "chat:write" in me.headers["x-oauth-scopes"]


async def test_arguments_may_come_in_every_form(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    url = sandbox.api_url + "conversations.info"
    bearer = {"Authorization": f"Bearer {sandbox.bot_token}"}
    answers = []
    for send in (
        http.get(url, params={"channel": BUILDS}, headers=bearer),
        http.get(url, params={"channel": BUILDS, "token": sandbox.bot_token}),
        http.post(url, data={"channel": BUILDS, "token": sandbox.bot_token}),
        http.post(url, json={"channel": BUILDS}, headers=bearer),
    ):
        async with send as response:
            answers.append((await response.json())["channel"]["name"])

    assert answers == ["builds"] * 4


async def test_a_missing_argument_is_pointed_out(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    async with http.post(
        sandbox.api_url + "conversations.info", data={"token": sandbox.bot_token}
    ) as response:
        answer = await response.json()

    assert answer["error"] == "invalid_arguments"
    assert answer["response_metadata"]["messages"] == ["[ERROR] missing required field: channel"]
    sandbox.take_problems()


async def test_the_fourth_message_at_once_is_rate_limited(
    sandbox: Sandbox, client: AsyncWebClient
) -> None:
    for _ in range(3):
        await client.chat_postMessage(channel=BUILDS, text="x")
    with pytest.raises(SlackApiError) as caught:
        await client.chat_postMessage(channel=BUILDS, text="x")
    sandbox.clock.advance(1)
    await client.chat_postMessage(channel=BUILDS, text="x")

    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["Retry-After"] == "1"
    assert caught.value.response["error"] == "ratelimited"


async def test_injected_errors_come_as_often_as_asked(
    sandbox: Sandbox, client: AsyncWebClient
) -> None:
    sandbox.faults.add("chat.postMessage", "channel_not_found", times=2)
    sandbox.faults.add("chat.postMessage", "500")
    sandbox.faults.add("chat.postMessage", "429", retry_after=9)

    statuses = []
    for _ in range(4):
        with pytest.raises(SlackApiError) as caught:
            await client.chat_postMessage(channel=BUILDS, text="x")
        statuses.append(caught.value.response.status_code)

    assert statuses == [200, 200, 500, 429]
    assert (await client.chat_postMessage(channel=BUILDS, text="x"))["ok"]
    assert len(sandbox.human.messages("#builds")) == 1


async def test_a_lost_answer_was_done_and_a_reset_was_not(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    sandbox.faults.add("chat.postMessage", "lost_answer")
    sandbox.faults.add("chat.postMessage", "reset")
    form = {"channel": BUILDS, "token": sandbox.bot_token}

    for text in ("lost", "reset"):
        with pytest.raises(aiohttp.ClientError):
            await http.post(sandbox.api_url + "chat.postMessage", data={**form, "text": text})

    assert [each["text"] for each in sandbox.human.messages("#builds")] == ["lost"]


async def test_a_call_that_times_out_gets_no_answer(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    sandbox.faults.add("auth.test", "timeout")

    with pytest.raises(TimeoutError):
        await http.post(
            sandbox.api_url + "auth.test",
            data={"token": sandbox.bot_token},
            timeout=aiohttp.ClientTimeout(total=0.2),
        )


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


async def test_people_and_groups_can_be_asked_for(sandbox: Sandbox, client: AsyncWebClient) -> None:
    ada = await client.users_info(user=ADA)
    everybody = await client.users_list()
    operators = await client.usergroups_users_list(usergroup=OPERATORS)
    groups = await client.usergroups_list(include_users=True)

    assert ada["user"]["is_admin"] is True
    assert "email" not in ada["user"]["profile"]
    assert [each["name"] for each in everybody["members"] if each["is_restricted"]] == ["gus"]
    assert ADA in operators["users"]
    assert groups["usergroups"][0]["users"] == operators["users"]
    assert await refused(sandbox, client.users_info(user="U0NOBODY")) == "user_not_found"


async def test_lists_come_in_pages(client: AsyncWebClient) -> None:
    seen: list[str] = []
    async for page in await client.conversations_list(limit=2, exclude_archived=True):
        assert len(page["channels"]) <= 2
        seen += [each["name"] for each in page["channels"]]

    assert seen == ["general", "builds", "random", "partners"]


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
    assert await refused(sandbox, stranger) == "user_not_in_channel"


async def test_a_permalink_names_the_thread(sandbox: Sandbox, client: AsyncWebClient) -> None:
    root = await client.chat_postMessage(channel=BUILDS, text="root")
    reply = await client.chat_postMessage(channel=BUILDS, text="reply", thread_ts=root["ts"])

    link = await client.chat_getPermalink(channel=BUILDS, message_ts=reply["ts"])

    assert link["permalink"].endswith(
        f"/archives/{BUILDS}/p{reply['ts'].replace('.', '')}?thread_ts={root['ts']}&cid={BUILDS}"
    )


async def test_a_trigger_is_good_once_and_for_three_seconds(
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
    assert await refused(sandbox, again) == "exchanged_trigger_id"
    sandbox.clock.advance(3.1)
    assert (
        await refused(sandbox, client.views_open(trigger_id=late, view=view))
        == "expired_trigger_id"
    )
    unknown = client.views_open(trigger_id="1.2.3", view=view)
    assert await refused(sandbox, unknown) == "invalid_trigger_id"
    view_id, stamp = opened["view"]["id"], opened["view"]["hash"]
    changed = await client.views_update(view_id=view_id, hash=stamp, view=view)
    stale = client.views_update(view_id=view_id, hash=stamp, view=view)
    assert await refused(sandbox, stale) == "hash_conflict"
    assert changed["view"]["hash"] != stamp
    for _ in range(2):
        trigger = sandbox.workspace.new_trigger(ADA)
        await client.views_push(trigger_id=trigger, view=view)
    pushed = client.views_push(trigger_id=sandbox.workspace.new_trigger(ADA), view=view)
    assert await refused(sandbox, pushed) == "push_limit_reached"


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


async def test_a_stream_grows_ends_and_dies_after_five_minutes(
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
    assert await refused(sandbox, append) == "message_not_in_streaming_state"


async def test_a_reaction_is_given_once(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.yml"
    manifest.write_text(
        "{display_information: {name: A}, oauth_config: {scopes: {bot: [reactions:write]}}}"
    )
    async with open_sandbox(manifest=manifest) as sandbox:
        client = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
        said = await sandbox.human.say("#builds", "hello")
        place: Any = {"channel": BUILDS, "timestamp": said["ts"], "name": "eyes"}
        await sandbox.human.react("#builds", said["ts"], ":eyes:", user="ben")
        await client.reactions_add(**place)

        message = sandbox.human.messages("#builds")[0]
        users = [BEN, sandbox.bot_user_id]
        assert message["reactions"] == [{"name": "eyes", "users": users, "count": 2}]
        assert await refused(sandbox, client.reactions_add(**place)) == "already_reacted"
        await client.reactions_remove(**place)
        assert await refused(sandbox, client.reactions_remove(**place)) == "no_reaction"


async def test_joining_needs_an_invitation_or_a_scope(
    sandbox: Sandbox, client: AsyncWebClient
) -> None:
    assert await refused(sandbox, client.conversations_join(channel=RANDOM)) == "missing_scope"

    await sandbox.human.invite("#random")

    await client.chat_postMessage(channel=RANDOM, text="here now")
    await sandbox.human.kick("#random")
    post = client.chat_postMessage(channel=RANDOM, text="still here?")
    assert await refused(sandbox, post) == "not_in_channel"
    members = await client.conversations_members(channel=GENERAL)
    assert sandbox.bot_user_id in members["members"]
