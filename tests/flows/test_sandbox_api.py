"""The sandbox's Web API refuses what Slack refuses: methods, tokens, arguments, rates."""

from __future__ import annotations

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.slack.people import ADA, BUILDS, GENERAL, OPERATORS, RANDOM
from bot.sandbox.slack.server import Sandbox
from tests.flows.sandbox_clients import client, error_of_refused_call, http
from tests.sandbox import sandbox

__all__ = ["client", "http", "sandbox"]


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


async def test_each_token_allows_its_own_methods(sandbox: Sandbox, client: AsyncWebClient) -> None:
    without_token = AsyncWebClient(base_url=sandbox.api_url, token="")
    stranger = AsyncWebClient(base_url=sandbox.api_url, token="xoxb-1-2-3")
    app = AsyncWebClient(base_url=sandbox.api_url, token=sandbox.app_token)

    assert await error_of_refused_call(sandbox, without_token.auth_test()) == "not_authed"
    assert await error_of_refused_call(sandbox, stranger.auth_test()) == "invalid_auth"
    assert await error_of_refused_call(sandbox, app.auth_test()) == "not_allowed_token_type"
    opening = client.api_call("apps.connections.open")
    assert await error_of_refused_call(sandbox, opening) == "not_allowed_token_type"
    me = await client.auth_test()
    assert (me["user_id"], me["team_id"]) == (sandbox.bot_user_id, sandbox.team_id)
    assert "chat:write" in me.headers["x-oauth-scopes"]


async def test_arguments_are_accepted_in_every_form(
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


async def test_a_missing_argument_is_named(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
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


async def test_injected_errors_occur_as_often_as_requested(
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


async def test_a_call_with_a_lost_answer_was_applied_and_a_reset_one_was_not(
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


async def test_people_and_groups_can_be_read(sandbox: Sandbox, client: AsyncWebClient) -> None:
    ada = await client.users_info(user=ADA)
    answer = await client.users_list()
    operators = await client.usergroups_users_list(usergroup=OPERATORS)
    groups = await client.usergroups_list(include_users=True)

    assert ada["user"]["is_admin"] is True
    assert "email" not in ada["user"]["profile"]
    assert [each["name"] for each in answer["members"] if each["is_restricted"]] == ["gus"]
    assert ADA in operators["users"]
    assert groups["usergroups"][0]["users"] == operators["users"]
    assert (
        await error_of_refused_call(sandbox, client.users_info(user="U0NOBODY")) == "user_not_found"
    )


async def test_lists_come_in_pages(client: AsyncWebClient) -> None:
    seen: list[str] = []
    async for page in await client.conversations_list(limit=2, exclude_archived=True):
        assert len(page["channels"]) <= 2
        seen += [each["name"] for each in page["channels"]]

    assert seen == ["general", "builds", "random", "partners"]


async def test_joining_needs_an_invitation_or_a_scope(
    sandbox: Sandbox, client: AsyncWebClient
) -> None:
    assert (
        await error_of_refused_call(sandbox, client.conversations_join(channel=RANDOM))
        == "missing_scope"
    )

    await sandbox.human.invite("#random")

    await client.chat_postMessage(channel=RANDOM, text="here now")
    await sandbox.human.kick("#random")
    post = client.chat_postMessage(channel=RANDOM, text="still here?")
    assert await error_of_refused_call(sandbox, post) == "not_in_channel"
    members = await client.conversations_members(channel=GENERAL)
    assert sandbox.bot_user_id in members["members"]
