"""Deliveries over sockets and HTTP: lost connections, duplicates, forgeries, dead bots."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import json
import logging
import time
from datetime import timedelta

import aiohttp
import pytest

from bot.sandbox.slack.server import Sandbox
from bot.slack.client.rate_limits import RateLimiter
from bot.slack.client.socket import open_sockets
from bot.slack.client.web_api import open_slack_client
from bot.slack.doctor import check_workspace
from bot.slack.setup import (
    SlackCredentials,
    SlackSetupError,
    check_slack,
    problems_of,
    scopes_of,
)
from core.domain.errors import Unavailable
from tests.fakes.bot import RunningBot, open_bot
from tests.fakes.services import FakeServices
from tests.sandbox import sandbox

__all__ = ["sandbox"]


async def wait_until_connected(bot: RunningBot) -> None:
    """Wait until the bot is connected."""
    human = bot.sandbox.human
    await human.wait_for(lambda: bot.sandbox.sockets.connections, what="a connection")


async def test_two_connections_receive_everything_once_during_a_refresh(sandbox: Sandbox) -> None:
    async with open_bot(sandbox, FakeServices(), connections=2) as bot:
        for number in range(4):
            await sandbox.human.slash("#builds", "/workflow", f"run builder task {number}")
            if number == 1:
                await sandbox.disconnect("refresh", times=1)
                await wait_until_connected(bot)

        await bot.services.wait_until(
            lambda: len(bot.services.start_requests) == 4, what="four starts"
        )
        assert sorted(start.task for start in bot.services.start_requests) == [
            f"task {n}" for n in range(4)
        ]


async def test_refused_connections_are_retried_with_a_new_address(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, transport="http") as bot:
        sandbox.events_url = None
        await sandbox.disconnect("refuse", times=2)
        async with open_sockets(
            bot.runtime.deliveries.receive,
            bot.runtime.app.client,
            sandbox.app_token,
            connections=1,
            watch_every=timedelta(milliseconds=100),
            ping_seconds=0.2,
        ) as sockets:
            await wait_until_connected(bot)
            await sandbox.human.wait_for(lambda: sockets.is_ready or None, what="readiness")

            await sandbox.human.slash("#builds", "/workflow", "run builder x")
            await services.wait_until(lambda: services.start_requests)
        assert len(sandbox.calls("apps.connections.open")) >= 3
    sandbox.take_problems()


async def test_a_broken_connection_is_replaced(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, transport="http") as bot:
        sandbox.events_url = None
        async with open_sockets(
            bot.runtime.deliveries.receive,
            bot.runtime.app.client,
            sandbox.app_token,
            connections=1,
            watch_every=timedelta(milliseconds=100),
            ping_seconds=0.2,
        ):
            await wait_until_connected(bot)
            first = list(sandbox.sockets.connections)
            await sandbox.disconnect("abrupt", times=1)
            await sandbox.human.wait_for(
                lambda: [c for c in sandbox.sockets.connections if c not in first],
                what="a new connection",
            )

            await sandbox.human.slash("#builds", "/workflow", "run builder x")
            await services.wait_until(lambda: services.start_requests)


async def test_the_next_bot_handles_what_a_dead_bot_had_accepted(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services) as dying:
        # The delivery is accepted and stored; then the process ends before the work is done.
        services.start_delay = 60
        await sandbox.human.slash("#builds", "/workflow", "run builder survive")
        await services.wait_until(lambda: services.inbox)
        for task in list(dying.runtime.background_tasks.running):
            task.cancel()
    assert not services.start_requests
    services.start_delay = 0

    async with open_bot(sandbox, services) as bot:
        assert await bot.runtime.intake.replay_unfinished(bot.runtime.app) == 1

        await services.wait_until(lambda: services.start_requests)
        await services.wait_until_handled()
        assert await bot.runtime.intake.replay_unfinished(bot.runtime.app) == 0
        assert [start.task for start in services.start_requests] == ["survive"]


async def test_a_long_delivery_stays_claimed_until_it_is_done(sandbox: Sandbox) -> None:
    services = FakeServices(start_delay=1)
    async with open_bot(sandbox, services) as bot:
        holding = asyncio.create_task(
            bot.runtime.intake.keep_renewing(every=timedelta(seconds=0.02))
        )
        try:
            await sandbox.human.slash("#builds", "/workflow", "run builder slowly")
            await services.wait_until(lambda: len(services.renewed) >= 3)
            # Even if its heartbeat came too late, it is not handled twice here.
            assert await bot.runtime.intake.replay_unfinished(bot.runtime.app) == 0

            await services.wait_until_handled()
            await services.wait_until(lambda: services.start_requests)
        finally:
            holding.cancel()

    assert set(services.renewed) == set(services.inbox)
    assert len(services.start_requests) == 1


async def test_a_replayed_request_for_a_form_opens_nothing(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services) as bot:
        await sandbox.human.slash("#builds", "/workflow", "run")
        await services.wait_until(lambda: services.inbox)
        await sandbox.human.wait_for(sandbox.human.modal, what="the form")
        key = next(iter(services.inbox))
        body = sandbox.inspector.entries
        delivered = next(e.request for e in body if e.direction == "delivery")
        await services.wait_until_handled()
        services.inbox[key] = delivered

        await bot.runtime.intake.replay_unfinished(bot.runtime.app)
        await services.wait_until_handled()

        assert len(sandbox.calls("views.open")) == 1


def sign(secret: str, body: str, at: str) -> str:
    signed = f"v0:{at}:{body}".encode()
    return "v0=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


async def test_only_fresh_and_signed_requests_are_accepted(sandbox: Sandbox) -> None:
    async with (
        open_bot(sandbox, FakeServices(), transport="http"),
        aiohttp.ClientSession() as session,
    ):
        url, secret = str(sandbox.events_url), sandbox.signing_secret

        async def post(body: str, **headers: str) -> int:
            typed = {"Content-Type": "application/json", **headers}
            async with session.post(url, data=io.BytesIO(body.encode()), headers=typed) as answer:
                return answer.status

        def signed(body: str, at: str) -> dict[str, str]:
            return {
                "X-Slack-Request-Timestamp": at,
                "X-Slack-Signature": sign(secret, body, at),
            }

        now, hello = str(int(time.time())), json.dumps({"type": "view_closed"})

        assert await post(hello) == 401
        assert await post("{broken", **signed("other", now)) == 401
        assert await post(hello, **signed(hello, "now")) == 400
        assert await post(hello, **signed(hello, str(int(now) - 1000))) == 401
        assert await post("x" * 2_100_000, **signed("x" * 2_100_000, now)) == 413
        assert await post(hello, **signed(hello, now)) == 200
        assert await post(hello, **signed(hello, now)) == 200


async def test_a_redelivered_event_is_handled_once(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, transport="http"):
        await sandbox.human.say("#builds", "@signalbox run builder do it once")
        await services.wait_until(lambda: services.start_requests)
        events = [
            e.request
            for e in sandbox.inspector.entries
            if e.direction == "delivery" and "event" in e.request
        ]
        again = json.dumps({**events[0], "event_id": "Ev0SOMETHINGELSE"})
        at = str(int(time.time()))
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                str(sandbox.events_url),
                data=again.encode(),
                headers={
                    "Content-Type": "application/json",
                    "X-Slack-Request-Timestamp": at,
                    "X-Slack-Signature": sign(sandbox.signing_secret, again, at),
                    "X-Slack-Retry-Num": "1",
                },
            ) as answer,
        ):
            assert answer.status == 200

        await services.wait_until_handled()
        # The mention arrived as `message` and as `app_mention`, and once more.
        assert len(events) >= 2
        assert [start.task for start in services.start_requests] == ["do it once"]
        assert len(services.inbox) == 1


async def test_an_event_during_an_outage_is_left_for_slack_to_retry(
    sandbox: Sandbox,
) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services):
        services.is_unreachable = True
        await sandbox.human.say("#builds", "@signalbox run builder later")
        await sandbox.human.wait_for(
            lambda: sandbox.deliverer.failures >= 1 or None, what="the refusal"
        )
        services.is_unreachable = False
        assert not services.start_requests
    # The sandbox reports what Slack would: not acknowledged.
    assert sandbox.take_problems()


async def test_text_of_people_is_never_logged(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_bot(sandbox, FakeServices()) as bot:
        await sandbox.human.slash("#builds", "/workflow", "run builder the secret plan")
        await bot.services.wait_until(lambda: bot.services.start_requests)
        await sandbox.human.say("#builds", "@signalbox another secret plan")
        await sandbox.human.say("#builds", "idle secret plan")
        before = len(sandbox.calls("apps.connections.open"))
        await sandbox.disconnect("refuse", times=1)
        await sandbox.human.wait_for(
            lambda: len(sandbox.calls("apps.connections.open")) >= before + 2,
            what="a connect after the one that is refused",
        )
        await bot.services.wait_until_handled()

    ours = [r.getMessage() for r in caplog.records if r.name.startswith(("bot.slack", "slack_"))]
    assert not [line for line in ours if "secret plan" in line or "ticket=" in line]
    sandbox.take_problems()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (SlackCredentials(bot_token=""), "SLACK_BOT_TOKEN is not set"),
        (SlackCredentials(bot_token="xoxp-1", app_token="xapp-1"), "must begin with xoxb-"),
        (SlackCredentials(bot_token="xoxb-1", app_token="xoxb-1"), "must begin with xapp-"),
        (SlackCredentials(bot_token="xoxb-1"), "receives nothing"),
        (SlackCredentials(bot_token="xoxb-1", signing_secret=""), "receives nothing"),
    ],
)
def test_an_invalid_setting_is_named(given: SlackCredentials, words: str) -> None:
    assert words in "; ".join(problems_of(given))


async def test_an_invalid_token_or_a_missing_scope_is_named_at_the_start(sandbox: Sandbox) -> None:
    rate_limiter = RateLimiter(now=time.monotonic)
    async with open_slack_client(
        token="xoxb-wrong", api_url=sandbox.api_url, rate_limiter=rate_limiter
    ) as slack:
        wrong = SlackCredentials(bot_token="xoxb-wrong", signing_secret="s")
        with pytest.raises(SlackSetupError, match="SLACK_BOT_TOKEN is refused"):
            await check_slack(slack, wrong)
    async with open_slack_client(
        token=sandbox.bot_token, api_url=sandbox.api_url, rate_limiter=rate_limiter
    ) as slack:
        right = SlackCredentials(bot_token=sandbox.bot_token, signing_secret="s")
        with pytest.raises(SlackSetupError, match="lacks the scopes admin:all"):
            await check_slack(slack, right, needed_scopes=("chat:write", "admin:all"))
        bad_app = SlackCredentials(bot_token=sandbox.bot_token, app_token="xapp-wrong")
        with pytest.raises(SlackSetupError, match="SLACK_APP_TOKEN is refused"):
            await check_slack(slack, bad_app)
    sandbox.take_problems()


@pytest.mark.parametrize(
    ("headers", "scopes"),
    [
        ({}, None),
        ({"x-oauth-scopes": ""}, None),
        ({"X-OAuth-Scopes": "chat:write, commands,"}, {"chat:write", "commands"}),
    ],
)
def test_scopes_that_no_header_names_are_unknown_and_not_none(
    headers: dict[str, str], scopes: set[str] | None
) -> None:
    assert scopes_of(headers) == scopes


async def test_a_server_that_names_no_scopes_is_a_warning_and_no_refusal(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.gate.names_scopes = False
    given = SlackCredentials(
        bot_token=sandbox.bot_token, signing_secret="s", api_url=sandbox.api_url
    )
    async with open_slack_client(
        token=sandbox.bot_token,
        api_url=sandbox.api_url,
        rate_limiter=RateLimiter(now=time.monotonic),
    ) as slack:
        installation = await check_slack(slack, given, needed_scopes=("chat:write", "admin:all"))
    said = [check async for check in check_workspace(given, needed_scopes=("chat:write",))]

    assert not installation.are_scopes_known
    assert "slack_scopes.unknown" in {getattr(one, "event", "") for one in caplog.records}
    [unknown] = [check for check in said if "scopes unknown" in check.message]
    assert unknown.is_unknown
    assert not [check for check in said if check.prevents_start]


async def test_an_unreachable_slack_is_not_an_invalid_setting(sandbox: Sandbox) -> None:
    sandbox.faults.add("auth.test", "reset")
    async with open_slack_client(
        token=sandbox.bot_token,
        api_url=sandbox.api_url,
        rate_limiter=RateLimiter(now=time.monotonic),
    ) as slack:
        given = SlackCredentials(bot_token=sandbox.bot_token, signing_secret="s")
        with pytest.raises(Unavailable):
            await check_slack(slack, given)


async def test_stray_oauth_settings_change_nothing(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_CLIENT_ID", "1.2")
    monkeypatch.setenv("SLACK_CLIENT_SECRET", "s")
    async with open_bot(sandbox, FakeServices()) as bot:
        await sandbox.human.slash("#builds", "/workflow", "run builder x")

        await bot.services.wait_until(lambda: bot.services.start_requests)
        card = await sandbox.human.wait_for(
            lambda: next((m for m in sandbox.human.messages("#builds") if m.get("bot_id")), None),
            what="the card",
        )
        assert {(start.workflow, start.task) for start in bot.services.start_requests} == {
            ("builder", "x")
        }
        assert card["user"] == sandbox.bot_user_id


async def test_a_response_url_of_another_host_is_never_called(sandbox: Sandbox) -> None:
    async with open_slack_client(
        token=sandbox.bot_token,
        api_url=sandbox.api_url,
        rate_limiter=RateLimiter(now=time.monotonic),
    ) as slack:
        for url in ("http://169.254.169.254/x", "https://hooks.slack.com.evil.example/x"):
            assert not await slack.respond(url, {"text": "x"})


async def test_the_bot_closes_while_it_cannot_connect(sandbox: Sandbox) -> None:
    async with open_bot(sandbox, FakeServices(), transport="http") as bot:
        sandbox.events_url = None
        await sandbox.disconnect("refuse")
        async with open_sockets(
            bot.runtime.deliveries.receive, bot.runtime.app.client, sandbox.app_token, connections=2
        ):
            await sandbox.human.wait_for(
                lambda: len(sandbox.calls("apps.connections.open")) >= 2, what="the tries"
            )
        assert not [t for t in asyncio.all_tasks() if "socket" in t.get_name()]
    sandbox.take_problems()
