"""The sandbox's deliveries: acknowledgements, retries, request URLs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.slack.people import BUILDS
from bot.sandbox.slack.server import ACK_SECONDS, Sandbox
from tests.flows.sandbox_clients import http
from tests.flows.sandbox_sockets import listen, short_timeout_sandbox, unchecked_sandbox
from tests.sandbox import sandbox

__all__ = ["http", "sandbox", "short_timeout_sandbox", "unchecked_sandbox"]


async def test_an_unacknowledged_event_is_retried_at_once_then_after_a_minute(
    short_timeout_sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    listener = await listen(short_timeout_sandbox, http)

    await short_timeout_sandbox.human.say("#builds", "hello")
    first, second = [await listener.next() for _ in range(2)]
    await short_timeout_sandbox.human.wait_for(
        lambda: len(short_timeout_sandbox.problems) == 2, what="two late ones"
    )
    short_timeout_sandbox.clock.advance(60)
    # The retry is acknowledged, however busy the machine is.
    short_timeout_sandbox.deliverer.ack_timeout = ACK_SECONDS
    third = await listener.next()
    await listener.acknowledge(third)
    await short_timeout_sandbox.wait_until_idle()

    assert first["payload"]["event_id"] == third["payload"]["event_id"]
    assert [each["retry_attempt"] for each in (first, second, third)] == [0, 1, 2]
    assert [each["retry_reason"] for each in (first, second, third)] == ["", "timeout", "timeout"]
    assert len({each["envelope_id"] for each in (first, second, third)}) == 3
    assert {each.kind for each in short_timeout_sandbox.problems} == {"late_ack"}
    await listener.socket.close()


async def test_an_unacknowledged_command_is_shown_as_a_timeout(
    short_timeout_sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    listener = await listen(short_timeout_sandbox, http)

    result = await short_timeout_sandbox.human.slash("#builds", "/workflow", "help")

    assert (result.ok, result.error) == (False, "operation_timeout")
    assert [each.kind for each in short_timeout_sandbox.problems] == ["operation_timeout"]
    await listener.socket.close()


class Receiver:
    """A request URL that answers with the given statuses, then with 200."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.answers: list[web.Response] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        self.bodies.append(await request.read())
        if "challenge" in self.bodies[-1].decode():
            return web.json_response({"challenge": (await request.json())["challenge"]})
        return self.answers.pop(0) if self.answers else web.Response()


@pytest_asyncio.fixture
async def receiver(unchecked_sandbox: Sandbox) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/", receiver.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    unchecked_sandbox.events_url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield receiver
    await runner.cleanup()


async def test_http_deliveries_are_retried_with_headers_and_counted(
    unchecked_sandbox: Sandbox, receiver: Receiver
) -> None:
    receiver.answers = [web.Response(status=500), web.Response(status=404)]

    await unchecked_sandbox.human.say("#builds", "hello")
    await unchecked_sandbox.human.wait_for(
        lambda: len(receiver.requests) == 2, what="the first retry"
    )
    await unchecked_sandbox.human.wait_for(
        lambda: unchecked_sandbox.deliverer.failures == 2, what="its failure"
    )
    unchecked_sandbox.clock.advance(60)
    await unchecked_sandbox.wait_until_idle()

    headers = [each.headers for each in receiver.requests]
    assert [each.get("X-Slack-Retry-Num") for each in headers] == [None, "1", "2"]
    assert headers[1]["X-Slack-Retry-Reason"] == "http_error"
    assert len(set(receiver.bodies)) == 1
    assert (unchecked_sandbox.deliverer.attempts, unchecked_sandbox.deliverer.failures) == (3, 2)


async def test_an_app_can_refuse_retries(unchecked_sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.answers = [web.Response(status=503, headers={"X-Slack-No-Retry": "1"})]

    await unchecked_sandbox.human.say("#builds", "hello")
    await unchecked_sandbox.wait_until_idle()

    assert len(receiver.requests) == 1


async def test_a_url_must_answer_a_challenge(
    unchecked_sandbox: Sandbox, receiver: Receiver
) -> None:
    assert await unchecked_sandbox.request_url.verify(timeout=3)
    assert receiver.requests[0].headers["X-Slack-Signature"].startswith("v0=")


async def test_a_command_answered_with_an_error_page_fails(
    unchecked_sandbox: Sandbox, receiver: Receiver
) -> None:
    receiver.answers = [web.Response(status=500)]

    result = await unchecked_sandbox.human.slash("#builds", "/workflow", "help")

    assert result.error == "dispatch_failed"
    assert b"command=%2Fworkflow" in receiver.bodies[0]


async def test_slash_commands_are_refused_in_threads(sandbox: Sandbox) -> None:
    said = await sandbox.human.say("#builds", "root")

    result = await sandbox.human.slash("#builds", "/workflow", "help", thread_ts=said["ts"])

    assert (result.ok, result.error) == (False, "slash_in_thread")


async def test_the_app_receives_events_of_its_own_messages(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    listener = await listen(sandbox, http)
    client = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
    posted = await client.chat_postMessage(channel=BUILDS, text="a")
    await client.chat_update(channel=BUILDS, ts=posted["ts"], text="b")
    await client.chat_delete(channel=BUILDS, ts=posted["ts"])

    seen = []
    for _ in range(3):
        envelope = await listener.next()
        await listener.acknowledge(envelope)
        seen.append(envelope["payload"]["event"])
    await sandbox.wait_until_idle()

    by_subtype = {each.get("subtype", "new"): each for each in seen}
    assert set(by_subtype) == {"new", "message_changed", "message_deleted"}
    assert by_subtype["new"]["bot_id"]
    assert by_subtype["message_changed"]["message"]["text"] == "b"
    assert by_subtype["message_changed"]["previous_message"]["text"] == "a"
    await listener.socket.close()


async def test_the_bot_gets_no_events_of_channels_without_it(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    listener = await listen(sandbox, http)

    await sandbox.human.say("#random", "@signalbox hello")
    before = sandbox.deliverer.attempts

    assert before == 0
    await listener.socket.close()


async def test_a_failed_wait_names_its_condition(sandbox: Sandbox) -> None:
    await sandbox.human.say("#random", "hello")

    with pytest.raises(TimeoutError, match=r"the answer did not happen in 0\.05 s"):
        await sandbox.human.wait_for(lambda: None, timeout=0.05, what="the answer")


async def test_an_app_that_ends_during_an_event_is_no_problem(
    unchecked_sandbox: Sandbox,
) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    unchecked_sandbox.events_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"

    await unchecked_sandbox.human.say("#builds", "hello")
    result = await unchecked_sandbox.human.slash("#builds", "/workflow", "help")
    server.close()
    await server.wait_closed()

    assert result.error == "dispatch_failed"
    assert [each.name for each in unchecked_sandbox.problems] == ["/workflow"]
