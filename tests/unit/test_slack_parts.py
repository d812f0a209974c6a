"""Small parts of the Slack side."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from datetime import timedelta
from http import HTTPStatus

import pytest

from bot.slack.client.cached import Kept
from bot.slack.client.http import Door
from bot.slack.client.private_logs import Discreet, bolt_logger
from bot.slack.client.refusals import Meaning, meaning_of
from bot.slack.inbound.supervised import Supervised
from bot.slack.setup import SlackCredentials, warnings_of

SECRET = "shh"
NOW = 1_800_000_000


def signed(body: bytes, at: int = NOW) -> dict[str, object]:
    digest = hmac.new(SECRET.encode(), b"v0:%d:%s" % (at, body), hashlib.sha256).hexdigest()
    return {"timestamp": str(at), "signature": f"v0={digest}", "body": body}


def door(now: float = NOW) -> Door:
    return Door(SECRET, now=lambda: now)


def test_a_door_without_a_secret_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="empty signing secret"):
        Door("", now=lambda: 0.0)


def test_a_signed_request_comes_in_once() -> None:
    opened = door()

    assert opened.refuse(**signed(b"hello")) is None  # type: ignore[arg-type]
    assert opened.refuse(**signed(b"hello")) is HTTPStatus.CONFLICT  # type: ignore[arg-type]
    assert opened.refuse(**signed(b"another")) is None  # type: ignore[arg-type]


def test_a_request_that_was_not_handled_may_come_again() -> None:
    opened, request = door(), signed(b"hello")
    opened.refuse(**request)  # type: ignore[arg-type]

    opened.reopen(str(request["signature"]))

    assert opened.refuse(**request) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("timestamp", "signature", "status"),
    [
        ("soon", "v0=x", HTTPStatus.BAD_REQUEST),
        ("٣٣", "v0=x", HTTPStatus.BAD_REQUEST),
        ("-5", "v0=x", HTTPStatus.BAD_REQUEST),
        (str(NOW - 301), "v0=x", HTTPStatus.UNAUTHORIZED),
        (str(NOW), "v0=x", HTTPStatus.UNAUTHORIZED),
        (str(NOW), "\udcff", HTTPStatus.UNAUTHORIZED),
    ],
)
def test_an_odd_request_stays_out(timestamp: str, signature: str, status: HTTPStatus) -> None:
    assert door().refuse(timestamp=timestamp, signature=signature, body=b"x") is status


def test_what_is_kept_is_forgotten_in_time() -> None:
    now = [0.0]
    kept: Kept[str] = Kept(timedelta(seconds=10), lambda: now[0])

    kept.keep("a", "1")
    now[0] = 9
    kept.keep("a", "2")
    assert kept.get("a") == "1"
    now[0] = 10
    assert kept.get("a") is None


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("message_not_found", Meaning.MESSAGE_LOST),
        ("is_archived", Meaning.PLACE_LOST),
        ("invalid_blocks", Meaning.CONTENT_REFUSED),
        ("token_revoked", Meaning.BOT_BLOCKED),
        ("restricted_action_thread_locked", Meaning.THREAD_CLOSED),
        ("internal_error", Meaning.PASSING),
        ("never_heard_of", Meaning.PASSING),
    ],
)
def test_errors_are_known_by_their_names(name: str, meaning: Meaning) -> None:
    assert meaning_of(name) is meaning


async def test_work_that_fails_is_logged_and_work_that_lingers_is_cut_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    supervised = Supervised()

    async def fails() -> None:
        raise RuntimeError("no")

    async def lingers() -> None:
        await asyncio.Event().wait()

    supervised.start(fails(), name="the failing one")
    supervised.start(lingers(), name="the lingering one")
    cut_off = await supervised.drain(timedelta(milliseconds=10))

    assert cut_off == 1
    assert "the failing one failed" in caplog.text
    assert len(supervised) == 0


@pytest.mark.parametrize(
    "text",
    [
        "Unhandled request ({'type': 'event_callback', 'text': 'secret plan'})",
        "Unhandled request\n---\n[Suggestion] secret plan",
        'body: {"text": "secret plan"}',
        "Failed to connect (error: wss://x/link?ticket=secret plan)",
    ],
)
def test_a_librarys_log_line_loses_what_people_wrote(text: str) -> None:
    record = logging.LogRecord("x", logging.WARNING, "", 0, text, (), None)

    Discreet().filter(record)

    assert "secret" not in record.getMessage()


def test_a_librarys_exception_is_reduced_to_its_name() -> None:
    try:
        raise ValueError("secret plan")
    except ValueError as error:
        exc_info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("x", logging.ERROR, "", 0, "it broke", (), exc_info)

    Discreet().filter(record)

    assert logging.Formatter().format(record) == "it broke (ValueError)"
    assert len(bolt_logger().filters) == len(bolt_logger().filters)


def test_a_proxy_and_stray_settings_are_warned_about() -> None:
    given = SlackCredentials(bot_token="xoxb-1", app_token="xapp-1")
    surroundings = {"HTTPS_PROXY", "SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET"}

    assert len(warnings_of(given, surroundings)) == 2
    assert warnings_of(given, ()) == ()
    assert "xoxb" not in repr(given)
