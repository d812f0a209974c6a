"""The edge of the Slack side: large, malformed, foreign and forged deliveries, and the log."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from bot.sandbox.slack.delivery import events, payloads
from bot.sandbox.slack.people import ADA, APP_ID, BOT_USER_ID, BUILDS, TEAM_ID
from bot.sandbox.slack.server import Sandbox, open_sandbox
from bot.slack.client.http import MAX_BODY_BYTES
from tests.fakes.bot import RunningBot, open_bot
from tests.fakes.services import FakeServices
from tests.sandbox import sandbox
from tests.signed_requests import FORM, SignedSender

__all__ = ["sandbox"]

# Seconds for an acknowledgement of much text on a busy machine; Slack waits 3.
PATIENCE = 20.0
CYRILLIC = "Ж" * 25_000


@pytest_asyncio.fixture
async def http_bot(sandbox: Sandbox) -> AsyncIterator[RunningBot]:
    async with open_bot(sandbox, FakeServices(), transport="http") as bot:
        yield bot


@pytest_asyncio.fixture
async def sender(http_bot: RunningBot) -> AsyncIterator[SignedSender]:
    async with aiohttp.ClientSession() as session:
        yield SignedSender(
            session, str(http_bot.sandbox.events_url), http_bot.sandbox.signing_secret
        )


def mention(sandbox: Sandbox, text: str = "run builder x", **fields: Any) -> dict[str, Any]:
    """A mention by ada, as the body of an event."""
    channel = sandbox.workspace.channels[BUILDS]
    message = {
        "type": "message", "user": ADA, "ts": sandbox.workspace.new_ts(), "team": TEAM_ID,
        "text": f"<@{BOT_USER_ID}> {text}",
    }  # fmt: skip
    body = events.event_callback(
        events.app_mention_event(message, channel),
        event_id="Ev0EDGE", event_time=1, channel=channel,
    )  # fmt: skip
    return {name: value for name, value in (body | fields).items() if value is not ...}


def command(sandbox: Sandbox, text: str, **fields: str) -> dict[str, str]:
    """A command by ada."""
    return payloads.slash_command(
        person=sandbox.workspace.people[ADA], channel=sandbox.workspace.channels[BUILDS],
        command="/workflow", text=text, response_url="https://hooks.slack.com/x",
        trigger_id=sandbox.workspace.new_trigger(ADA),
    ) | fields  # fmt: skip


def lines(caplog: pytest.LogCaptureFixture, event: str) -> list[str]:
    """The lines of an event in the log."""
    return [
        record.getMessage() for record in caplog.records if getattr(record, "event", "") == event
    ]


def defects(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Errors and tracebacks in the log."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.exc_info or record.levelno >= logging.ERROR
    ]


@pytest.mark.parametrize("transport", ["http", "socket"])
async def test_25000_letters_that_take_six_bytes_each_arrive_by_every_way(transport: str) -> None:
    async with (
        open_sandbox(ack_timeout=PATIENCE) as sandbox,
        open_bot(sandbox, FakeServices(), transport=transport) as bot,
    ):
        await sandbox.human.say("#builds", f"@signalbox run builder {CYRILLIC}")
        await sandbox.human.slash("#builds", "/workflow", f"run builder {CYRILLIC}")

        await bot.services.wait_until(lambda: len(bot.services.start_requests) == 2)
        assert [start.task for start in bot.services.start_requests] == [CYRILLIC, CYRILLIC]
        # Half of each emoji takes six bytes in JSON, and eight in a form.
        long = await sandbox.human.say("#builds", "🚀" * 20_000)
        await sandbox.human.shortcut("run_on_message", "#builds", str(long["ts"]))
        await sandbox.human.wait_for(sandbox.human.modal, what="the form")


async def test_a_body_over_the_limit_is_refused_and_the_log_says_so(
    sender: SignedSender, http_bot: RunningBot, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sandbox = http_bot.sandbox
    fits = command(sandbox, "help", padding="x" * (MAX_BODY_BYTES - 2000))

    assert await sender.send_form(fits) == 200
    assert await sender.send_form(fits | {"padding": "x" * MAX_BODY_BYTES}) == 413

    assert any("the limit is 2097152" in line for line in lines(caplog, "http_request.rejected"))


async def test_a_frame_over_the_limit_is_acknowledged_and_the_connection_stays(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with open_bot(sandbox, FakeServices()) as bot:
        [connection] = sandbox.sockets.connections
        large = mention(sandbox, padding="x" * MAX_BODY_BYTES)

        answer = await sandbox.sockets.attempt("events_api", large, retry=0, reason="", timeout=20)

        assert answer.error is None
        assert any("the limit is 2097152" in line for line in lines(caplog, "socket_frame.refused"))
        assert not bot.services.start_requests
        await sandbox.human.slash("#builds", "/workflow", "run builder x")
        await bot.services.wait_until(lambda: bot.services.start_requests)
        assert connection in sandbox.sockets.connections


async def test_frames_that_are_no_envelopes_do_not_stop_a_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with (
        open_sandbox(ack_timeout=PATIENCE) as sandbox,
        open_bot(sandbox, FakeServices()) as bot,
    ):
        [connection] = sandbox.sockets.connections
        for frame in (
            "{broken", "[" * 50_000, '{"type":"hello', "null", "hi", '{"a":' * 50_000,
            '{"envelope_id":"1","type":"events_api","payload":[]}', '{"envelope_id":1}',
            '{"envelope_id":["1"],"type":"events_api","payload":{}}',
        ):  # fmt: skip
            await connection.socket.send_str(frame)

        answer = await sandbox.human.slash("#builds", "/workflow", "run builder x")

        assert answer.ok, answer
        await bot.services.wait_until(lambda: bot.services.start_requests)
        assert not defects(caplog)


async def test_an_acknowledgement_that_cannot_be_sent_is_no_error(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with open_bot(sandbox, FakeServices()) as bot:
        [connection] = sandbox.sockets.connections
        frame = {"envelope_id": "1", "type": "events_api", "payload": mention(sandbox)}
        await connection.socket.send_str(json.dumps(frame))
        await connection.socket.close()

        await bot.services.wait_until(lambda: bot.services.start_requests)
        answer = await sandbox.human.slash("#builds", "/workflow", "help")

        assert answer.ok, answer
        assert not defects(caplog)


async def test_malformed_bodies_are_answered_with_400_and_are_not_retried(
    sender: SignedSender, http_bot: RunningBot, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    good = json.dumps(mention(http_bot.sandbox)).encode()
    bodies: list[tuple[bytes, dict[str, str]]] = [
        (b"", {}),
        (b"{broken", {}),
        (b"[]", {}),
        (b"null", {}),
        (b"[" * 100_000, {}),
        (b'{"a":' * 500 + b"1" + b"}" * 500, {}),
        (b'{"type":"event_callback","x":NaN}', {}),
        (good[:-1], {}),
        (good.replace(b"run", b"\xff\xfe"), {}),
        (good.decode().encode("utf-16"), {}),
        (good, {"content_type": "application/json; charset=klingon"}),
        (good, {"content_type": "application/json; charset=utf-16"}),
        (good, {"content_type": "text/plain"}),
        (good, {"content_type": ""}),
        (good, {"content_type": FORM}),
        (b"payload=%7Bbroken", {"content_type": FORM}),
        (b"payload=%FF", {"content_type": FORM}),
        (b"&".join(b"a=b" for _ in range(500)), {"content_type": FORM}),
        (gzip.compress(good), {"Content_Encoding": "gzip"}),
        (gzip.compress(bytes(50_000_000), 1), {"Content_Encoding": "gzip"}),
        (good, {"Content_Encoding": "gzip"}),
        (good + b" ", {"Content_Encoding": "klingon"}),
    ]

    for body, headers in bodies:
        status, answer = await sender.send(body, **headers)  # type: ignore[arg-type]

        assert (status, answer.get("X-Slack-No-Retry")) == (400, "1"), (body[:40], headers)
    assert not defects(caplog)
    assert not http_bot.services.inbox


@pytest.mark.parametrize(
    "fields",
    [
        {"event": []}, {"event": {}}, {"event": {"type": []}}, {"event": ...}, {"type": 5},
        {"team_id": ["T"]}, {"api_app_id": {}}, {"authorizations": {}}, {"authorizations": [5]},
        {"authorizations": [{"team_id": "T 1"}]}, {"is_ext_shared_channel": "perhaps"},
    ],
)  # fmt: skip
async def test_events_of_a_wrong_shape_are_answered_with_400(
    sender: SignedSender, http_bot: RunningBot, fields: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    body = mention(http_bot.sandbox, **fields)

    assert await sender.send_json(body) in {400, 403}

    assert lines(caplog, "delivery.refused")
    assert not defects(caplog)


async def test_half_an_emoji_and_a_nul_are_replaced_and_the_text_is_kept(
    sender: SignedSender, http_bot: RunningBot
) -> None:
    assert await sender.send_json(mention(http_bot.sandbox, "run builder a\ud83d b\x00 c")) == 200

    await http_bot.services.wait_until(lambda: http_bot.services.start_requests)
    assert [start.task for start in http_bot.services.start_requests] == ["a\ufffd b\ufffd c"]


async def test_a_delivery_without_a_workspace_or_for_another_app_is_refused(
    sender: SignedSender, http_bot: RunningBot, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox = http_bot.sandbox
    nameless = mention(sandbox, team_id=..., authorizations=..., context_team_id=...)

    assert await sender.send_json(nameless) == 400
    assert await sender.send_form(command(sandbox, "run builder x", team_id="")) == 400
    assert await sender.send_json(mention(sandbox, api_app_id="A0FOREIGN")) == 403
    assert await sender.send_form(command(sandbox, "run x y", api_app_id="A0FOREIGN")) == 403

    said = lines(caplog, "delivery.refused")
    assert ["no workspace" in line for line in said] == [True, True, False, False]
    assert all(APP_ID in line and "A0FOREIGN" in line for line in said[2:])
    assert not http_bot.services.inbox


async def test_a_foreign_delivery_over_a_socket_is_acknowledged_and_does_nothing(
    sandbox: Sandbox,
) -> None:
    async with open_bot(sandbox, FakeServices()) as bot:
        foreign = command(sandbox, "run builder x", api_app_id="A0FOREIGN")

        answer = await sandbox.sockets.attempt(
            "slash_commands", foreign, retry=0, reason="", timeout=3
        )

        assert answer.error is None
        assert not bot.services.inbox


async def test_the_log_tells_a_wrong_secret_from_a_wrong_clock_a_replay_and_a_missing_header(
    sender: SignedSender, http_bot: RunningBot, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    body = json.dumps(mention(http_bot.sandbox)).encode()

    statuses = [
        (await sender.send(body, secret="another"))[0],
        (await sender.send(body, age=1000))[0],
        (await sender.send(body, age=-1000))[0],
        (await sender.send(body, X_Slack_Signature=""))[0],
        (await sender.send(body, X_Slack_Request_Timestamp="-5"))[0],
        (await sender.send(body))[0],
        (await sender.send(body))[0],
    ]

    assert statuses == [401, 401, 401, 401, 400, 200, 200]
    said = [record for record in caplog.records if hasattr(record, "reason")]
    assert [record.reason for record in said] == [
        "wrong_secret", "wrong_clock", "wrong_clock", "missing_header", "malformed", "replay",
    ]  # fmt: skip
    words = [record.getMessage() for record in said]
    assert "copy the secret again" in words[0]
    assert "s behind this machine's clock" in words[1]
    assert "s ahead of this machine's clock" in words[2]
    assert 990 < int(words[1].split("its time is ")[1].split()[0]) < 1010


async def test_a_machine_whose_clock_is_wrong_is_told_so(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_bot(sandbox, FakeServices(), transport="http", clock_skew=4000.0) as bot:
        answer = await sandbox.human.slash("#builds", "/workflow", "run builder x")

        assert not answer.ok
        assert not bot.services.inbox
    [line] = lines(caplog, "http_request.rejected")
    assert "behind this machine's clock: check that clock (is it fast?)" in line
    sandbox.take_problems()


@pytest.mark.parametrize("missing", ["type", "id", "callback_id"])
async def test_a_form_without_what_bolt_reads_is_answered_with_400(
    sender: SignedSender, http_bot: RunningBot, missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    view = {"id": "V1", "type": "modal", "callback_id": "x", "state": {"values": {}}}
    del view[missing]
    ada = http_bot.sandbox.workspace.people[ADA]
    form = payloads.view_submission(person=ada, view=view, trigger_id="1.2.a")

    assert await sender.send_form({"payload": json.dumps(form)}) == 400

    assert not defects(caplog)
