"""A Retry-After of an hour: other methods go on, people are told once, threads become true."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from bot.assembly.serve import web_server
from bot.sandbox.slack.people import ADA, BEN
from bot.sandbox.slack.server import ACK_SECONDS, Sandbox, open_sandbox
from bot.slack.service import drawing_warnings
from bot.web.health import Health, health_routes
from tests.fakes.bot import open_bot
from tests.fakes.services import FakeServices
from tests.fakes.threads import (
    bot_messages,
    bot_replies_below,
    bot_texts,
    new_run,
    wait_until_drawn,
)
from tests.limits import patient

HOUR = 3600
# An hour takes the bot 18 seconds; long enough that a limit does not end while a test looks.
SPEED = 200.0
# An hour takes three seconds, for tests in which the limit ends.
HIGH_SPEED = 1200.0


@pytest_asyncio.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Slack without limits of its own: the bot's clock is faster than the sandbox's."""
    async with open_sandbox(rate_limits=False, ack_timeout=patient(ACK_SECONDS)) as opened:
        yield opened
        assert not opened.problems, opened.problems


def limit(sandbox: Sandbox, method: str, **only: Any) -> None:
    """Refuse all calls of a method for an hour."""
    sandbox.faults.add(method, "429", lasts=HOUR, **only)


def notices(sandbox: Sandbox, user: str = ADA) -> list[str]:
    return [sandbox.human.text(message) for message in sandbox.human.ephemerals(user)]


async def wait_for_notice(sandbox: Sandbox, words: str, user: str = ADA) -> str:
    return await sandbox.human.wait_for(
        lambda: next((said for said in notices(sandbox, user) if words in said), None),
        what=f"a notice with {words!r}",
    )


async def test_the_card_ends_although_nothing_may_be_posted(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, speed=SPEED):
        run = new_run(services, owner=ADA)
        await wait_until_drawn(services, run)
        limit(sandbox, "chat.postMessage")

        services.end(run.run_id, result="All is well.")
        said = await wait_for_notice(sandbox, "does not let me post messages")
        await sandbox.human.wait_for(
            lambda: "Completed" in bot_texts(sandbox)[0] or None, what="the end on the card"
        )

        assert "Your run has ended" in said
        assert f"`/workflow status {run.run_id}`" in said
        root = str(bot_messages(sandbox)[0]["ts"])
        assert not bot_replies_below(sandbox, root)


async def test_the_result_is_posted_although_no_card_may_be_changed(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, speed=SPEED):
        run = new_run(services, owner=ADA)
        root = str((await wait_until_drawn(services, run)).message_ts)
        limit(sandbox, "chat.update")

        services.change(run.run_id, turns=3)
        said = await wait_for_notice(sandbox, "does not let me update messages")
        services.end(run.run_id, result="All is well.")
        await sandbox.human.wait_for(
            lambda: (
                any("All is well." in each for each in bot_replies_below(sandbox, root)) or None
            ),
            what="the result",
        )

        assert "Your run is not affected" in said
        assert "Running" in bot_texts(sandbox)[0]


async def test_each_owner_is_told_once(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, speed=SPEED) as bot:
        runs = [new_run(services, owner=owner) for owner in (ADA, ADA, BEN)]
        for run in runs:
            await wait_until_drawn(services, run)
        limit(sandbox, "chat.update")

        for turn in range(1, 6):
            for run in runs:
                services.change(run.run_id, turns=turn)
            await wait_for_notice(sandbox, "update messages", ADA)
            await wait_for_notice(sandbox, "update messages", BEN)
        # The redraws of the last changes have been tried: their notices would be there.
        drawing = bot.runtime.redraw
        await sandbox.human.wait_for(
            lambda: len(drawing._backoffs) == len(runs) and not drawing._tasks,
            what="the drawables that wait",
        )

        assert (len(notices(sandbox, ADA)), len(notices(sandbox, BEN))) == (1, 1)
        assert len(sandbox.calls("chat.postEphemeral")) == 2


async def test_a_limited_thread_becomes_true_when_the_limit_is_over(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bot.slack")
    services = FakeServices()
    async with open_bot(sandbox, services, speed=HIGH_SPEED) as bot:
        run = new_run(services, owner=ADA)
        root = str((await wait_until_drawn(services, run)).message_ts)
        limit(sandbox, "chat.postMessage")
        services.end(run.run_id, result="All is well.")
        await wait_for_notice(sandbox, "does not let me post messages")
        assert [each.method for each in bot.slack.limits.current()] == ["chat.postMessage"]

        sandbox.clock.advance(HOUR)
        await wait_until_drawn(services, run, timeout=30)

        assert any("All is well." in said for said in bot_replies_below(sandbox, root))
        assert not bot.slack.limits.current()
        assert len(notices(sandbox)) == 1
    events = [getattr(record, "event", "") for record in caplog.records]
    assert (events.count("slack_limit.began"), events.count("slack_limit.ended")) == (1, 1)
    ended = next(r for r in caplog.records if getattr(r, "event", "") == "slack_limit.ended")
    assert ended.getMessage().startswith("slack limits chat.postMessage in C0BUILDS")


async def test_a_command_is_answered_although_its_card_may_not_be_posted(
    sandbox: Sandbox,
) -> None:
    services = FakeServices()
    limit(sandbox, "chat.postMessage")
    limit(sandbox, "chat.postEphemeral")
    async with open_bot(sandbox, services, speed=SPEED):
        await sandbox.human.slash("#builds", "/workflow", "run builder Add a button")
        # The first card has met the limit, and its owner is told by the response URL.
        first = await wait_for_notice(sandbox, "does not let me post messages")
        await sandbox.human.slash("#builds", "/workflow", "run builder Add another")
        second = await wait_for_notice(sandbox, "so its card is late")

        assert "Your run is not affected" in first
        run_id, run = list(services.runs.items())[1]
        assert f"Started `{run_id}` ({run.workflow_name})" in second
        assert f"`/workflow kill {run_id}`" in second
        assert len(notices(sandbox)) == 2
        assert not bot_messages(sandbox)


async def test_without_another_way_the_owner_gets_a_direct_message(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, speed=SPEED):
        run = new_run(services, owner=ADA)
        await wait_until_drawn(services, run)
        limit(sandbox, "chat.update")
        limit(sandbox, "chat.postEphemeral")

        services.change(run.run_id, turns=3)
        await sandbox.human.wait_for(
            lambda: any("update messages" in said for said in bot_texts(sandbox, "@ada")),
            what="the direct message",
        )

        assert len(bot_messages(sandbox, "@ada")) == 1


async def test_a_form_that_cannot_be_opened_is_answered_with_the_time(sandbox: Sandbox) -> None:
    limit(sandbox, "views.open")
    async with open_bot(sandbox, FakeServices(), speed=SPEED):
        await sandbox.human.slash("#builds", "/workflow", "run")

        said = await wait_for_notice(sandbox, "Slack limits how often I may call it")
        assert "try again in 1 h 00 min" in said


async def test_readiness_names_a_limit_and_stays_200(sandbox: Sandbox) -> None:
    async def is_connected() -> bool:
        return True

    services = FakeServices()
    async with open_bot(sandbox, services, speed=SPEED) as bot:
        notices_of_bot = bot.runtime.redraw.drawing.notices
        health = Health({"slack": is_connected}, lambda: drawing_warnings(notices_of_bot))
        app = web.Application()
        app.add_routes(health_routes(health))
        async with (
            web_server(app, host="127.0.0.1", port=0) as url,
            aiohttp.ClientSession() as http,
        ):
            async with http.get(f"{url}/readyz") as answer:
                before = await answer.json()
            run = new_run(services, owner=ADA)
            await wait_until_drawn(services, run)
            limit(sandbox, "chat.update")
            services.change(run.run_id, turns=3)
            await wait_for_notice(sandbox, "update messages")
            async with http.get(f"{url}/readyz") as answer:
                status, after = answer.status, await answer.json()

    assert before == {"status": "ready", "checks": {"slack": True}}
    assert (status, after["status"]) == (200, "degraded")
    assert len(after["warnings"]) == 1
    assert after["warnings"][0].startswith("slack: chat.update is limited since ")


@pytest.mark.parametrize("header", ["1000000000", "inf", "Fri, 31 Dec 2199 23:59:59 GMT"])
async def test_a_call_waits_an_hour_at_most(sandbox: Sandbox, header: str) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, speed=HIGH_SPEED) as bot:
        run = new_run(services, owner=ADA)
        await wait_until_drawn(services, run)
        sandbox.faults.add("chat.update", "429", retry_after=header)

        services.change(run.run_id, turns=3)
        said = await wait_for_notice(sandbox, "for a long time; I try again at about")
        assert bot.slack.rate_limiter.blocked_seconds("chat.update") <= HOUR
        # The fault is over: the first try after an hour succeeds.
        await wait_until_drawn(services, run, timeout=30)

        assert "Your run is not affected" in said
        assert "3/30 turns" in bot_texts(sandbox)[0]
