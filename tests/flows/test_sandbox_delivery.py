"""How the sandbox delivers: acknowledgements, retries, connections, answers without a token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from slack_bolt.async_app import AsyncAck, AsyncRespond
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.slack.errors import HumanRefused
from bot.sandbox.slack.people import BUILDS
from bot.sandbox.slack.server import Sandbox, open_sandbox
from tests.sandbox import connected, new_app, sandbox

__all__ = ["sandbox"]

Document = dict[str, Any]


@pytest_asyncio.fixture
async def hasty() -> AsyncIterator[Sandbox]:
    """A sandbox that does not wait long for an acknowledgement."""
    async with open_sandbox(ack_timeout=0.2) as opened:
        yield opened


class Listener:
    """A Socket Mode client without a library: it sees the envelopes themselves."""

    def __init__(self, sandbox: Sandbox, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.sandbox = sandbox
        self.socket = socket

    async def next(self) -> Document:
        """The next message; it must come soon."""
        message: Document = await self.socket.receive_json(timeout=10)
        return message

    async def acknowledge(self, envelope: Document, payload: Document | None = None) -> None:
        answer = {"envelope_id": envelope["envelope_id"]}
        await self.socket.send_json(answer | ({"payload": payload} if payload else {}))


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def new_link(sandbox: Sandbox) -> str:
    client = AsyncWebClient(base_url=sandbox.api_url)
    opened = await client.apps_connections_open(app_token=sandbox.app_token)
    return str(opened["url"])


async def listen(sandbox: Sandbox, http: aiohttp.ClientSession) -> Listener:
    listener = Listener(sandbox, await http.ws_connect(await new_link(sandbox)))
    hello = await listener.next()
    assert hello["type"] == "hello"
    return listener


async def test_a_link_is_good_once(hasty: Sandbox, http: aiohttp.ClientSession) -> None:
    link = await new_link(hasty)
    socket = await http.ws_connect(link)

    with pytest.raises(aiohttp.WSServerHandshakeError):
        await http.ws_connect(link)
    await socket.close()


async def test_a_link_expires(hasty: Sandbox, http: aiohttp.ClientSession) -> None:
    link = await new_link(hasty)
    hasty.clock.advance(31)

    with pytest.raises(aiohttp.WSServerHandshakeError):
        await http.ws_connect(link)


async def test_the_eleventh_connection_is_sent_away(
    hasty: Sandbox, http: aiohttp.ClientSession
) -> None:
    open_ones = [await listen(hasty, http) for _ in range(10)]

    eleventh = Listener(hasty, await http.ws_connect(await new_link(hasty)))

    assert (await eleventh.next())["reason"] == "too_many_websockets"
    for each in [*open_ones, eleventh]:
        await each.socket.close()


async def test_an_event_without_acknowledgement_comes_again_at_once_then_after_a_minute(
    hasty: Sandbox, http: aiohttp.ClientSession
) -> None:
    listener = await listen(hasty, http)

    await hasty.human.say("#builds", "hello")
    first, second = [await listener.next() for _ in range(2)]
    await hasty.human.wait_for(lambda: len(hasty.problems) == 2, what="two late ones")
    hasty.clock.advance(60)
    third = await listener.next()
    await listener.acknowledge(third)
    await hasty.settled()

    assert first["payload"]["event_id"] == third["payload"]["event_id"]
    assert [each["retry_attempt"] for each in (first, second, third)] == [0, 1, 2]
    assert [each["retry_reason"] for each in (first, second, third)] == ["", "timeout", "timeout"]
    assert len({each["envelope_id"] for each in (first, second, third)}) == 3
    assert {each.kind for each in hasty.problems} == {"late_ack"}
    await listener.socket.close()


async def test_a_command_without_acknowledgement_is_shown_as_a_timeout(
    hasty: Sandbox, http: aiohttp.ClientSession
) -> None:
    listener = await listen(hasty, http)

    result = await hasty.human.slash("#builds", "/workflow", "help")

    assert (result.ok, result.error) == (False, "operation_timeout")
    assert [each.kind for each in hasty.problems] == ["operation_timeout"]
    await listener.socket.close()


async def test_an_envelope_lost_with_its_connection_goes_over_the_other(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    first, second = [await listen(sandbox, http) for _ in range(2)]
    command = asyncio.create_task(sandbox.human.slash("#builds", "/workflow", "help"))
    waiting = [asyncio.create_task(each.next()) for each in (first, second)]
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    took = waiting.index(done.pop())
    got, other = (first, second)[took], (first, second)[1 - took]

    await got.socket.close()
    envelope = await waiting[1 - took]
    await other.acknowledge(envelope, {"text": "here"})
    result = await command

    assert (result.ok, result.response_text) == (True, "here")
    await other.socket.close()


async def test_events_go_to_any_connection_and_each_to_one(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    listeners = [await listen(sandbox, http) for _ in range(3)]
    counts = [0, 0, 0]

    async def answer(index: int) -> None:
        async for message in listeners[index].socket:
            counts[index] += 1
            await listeners[index].acknowledge(message.json())

    tasks = [asyncio.create_task(answer(index)) for index in range(3)]
    await asyncio.gather(*(sandbox.human.say("#builds", f"n{n}") for n in range(60)))
    for each in listeners:
        await each.socket.close()
    await asyncio.gather(*tasks)

    assert sum(counts) == 60
    assert min(counts) > 0


async def test_an_app_that_is_asked_to_reconnect_misses_nothing(sandbox: Sandbox) -> None:
    app = new_app(sandbox)
    heard: list[str] = []

    @app.event("message")
    async def on_message(event: Document) -> None:
        heard.append(event["text"])

    async with connected(app, sandbox, transport="socket"):
        for n in range(3):
            await sandbox.disconnect("refresh")
            await sandbox.human.say("#builds", f"n{n}")
        await sandbox.human.wait_for(lambda: len(heard) == 3, what="three messages")

        assert sorted(heard) == ["n0", "n1", "n2"]
        assert sandbox.sockets.opened == 4


async def test_an_app_that_was_cut_off_comes_back_when_it_is_let_in(sandbox: Sandbox) -> None:
    app = new_app(sandbox)

    @app.command("/workflow")
    async def on_command(ack: AsyncAck) -> None:
        await ack()

    async with connected(app, sandbox, transport="socket"):
        await sandbox.disconnect("abrupt")
        await sandbox.human.wait_for(
            lambda: sandbox.sockets.opened == 2 and bool(sandbox.sockets.connections),
            what="the second connection",
        )

        assert (await sandbox.human.slash("#builds", "/workflow", "help")).ok


async def test_a_refused_app_stays_out(hasty: Sandbox, http: aiohttp.ClientSession) -> None:
    listener = await listen(hasty, http)
    await hasty.disconnect("refuse", times=1)
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await http.ws_connect(await new_link(hasty))

    again = await listen(hasty, http)

    assert (await listener.socket.receive(timeout=10)).type in (
        aiohttp.WSMsgType.CLOSED,
        aiohttp.WSMsgType.ERROR,
    )
    await again.socket.close()


class Receiver:
    """A request URL that answers with the statuses it was given, then with 200."""

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
async def receiver(hasty: Sandbox) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/", receiver.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hasty.events_url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield receiver
    await runner.cleanup()


async def test_http_deliveries_are_retried_with_headers_and_counted(
    hasty: Sandbox, receiver: Receiver
) -> None:
    receiver.answers = [web.Response(status=500), web.Response(status=404)]

    await hasty.human.say("#builds", "hello")
    await hasty.human.wait_for(lambda: len(receiver.requests) == 2, what="the first retry")
    await hasty.human.wait_for(lambda: hasty.deliverer.failures == 2, what="its failure")
    hasty.clock.advance(60)
    await hasty.settled()

    headers = [each.headers for each in receiver.requests]
    assert [each.get("X-Slack-Retry-Num") for each in headers] == [None, "1", "2"]
    assert headers[1]["X-Slack-Retry-Reason"] == "http_error"
    assert len(set(receiver.bodies)) == 1
    assert (hasty.deliverer.attempts, hasty.deliverer.failures) == (3, 2)


async def test_an_app_can_ask_for_no_more_retries(hasty: Sandbox, receiver: Receiver) -> None:
    receiver.answers = [web.Response(status=503, headers={"X-Slack-No-Retry": "1"})]

    await hasty.human.say("#builds", "hello")
    await hasty.settled()

    assert len(receiver.requests) == 1


async def test_a_url_is_asked_for_its_challenge(hasty: Sandbox, receiver: Receiver) -> None:
    assert await hasty.request_url.verify(timeout=3)
    assert receiver.requests[0].headers["X-Slack-Signature"].startswith("v0=")


async def test_a_command_that_gets_an_error_page_failed(hasty: Sandbox, receiver: Receiver) -> None:
    receiver.answers = [web.Response(status=500)]

    result = await hasty.human.slash("#builds", "/workflow", "help")

    assert result.error == "dispatch_failed"
    assert b"command=%2Fworkflow" in receiver.bodies[0]


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
    with pytest.raises(HumanRefused):
        await sandbox.human.click("#builds", posted["message_ts"], action_id="go", user="ada")


async def test_slash_commands_are_refused_in_threads(sandbox: Sandbox) -> None:
    said = await sandbox.human.say("#builds", "root")

    result = await sandbox.human.slash("#builds", "/workflow", "help", thread_ts=said["ts"])

    assert (result.ok, result.error) == (False, "slash_in_thread")


async def test_the_apps_own_messages_come_back_to_it(
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
    await sandbox.settled()

    by_subtype = {each.get("subtype", "new"): each for each in seen}
    assert set(by_subtype) == {"new", "message_changed", "message_deleted"}
    assert by_subtype["new"]["bot_id"]
    assert by_subtype["message_changed"]["message"]["text"] == "b"
    assert by_subtype["message_changed"]["previous_message"]["text"] == "a"
    await listener.socket.close()


async def test_where_the_bot_is_no_member_it_hears_nothing(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    listener = await listen(sandbox, http)

    await sandbox.human.say("#random", "@signalbox hello")
    before = sandbox.deliverer.attempts

    assert before == 0
    await listener.socket.close()


async def test_what_a_wait_missed_is_told(sandbox: Sandbox) -> None:
    await sandbox.human.say("#random", "hello")

    with pytest.raises(TimeoutError, match=r"the answer did not happen in 0\.05 s"):
        await sandbox.human.wait_for(lambda: None, timeout=0.05, what="the answer")


async def test_an_app_that_ends_in_the_middle_of_an_event_did_nothing_wrong(
    hasty: Sandbox,
) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    hasty.events_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"

    await hasty.human.say("#builds", "hello")
    result = await hasty.human.slash("#builds", "/workflow", "help")
    server.close()
    await server.wait_closed()

    assert result.error == "dispatch_failed"
    assert [each.name for each in hasty.problems] == ["/workflow"]


async def test_answers_without_a_token_can_go_wrong_too(
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
