"""Small parts of the Slack side."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from datetime import timedelta
from http import HTTPStatus

import pytest
from cachetools import TTLCache

from bot.slack.client.private_logs import PayloadFilter, bolt_logger
from bot.slack.client.refusals import RefusalKind, refusal_kind
from bot.slack.client.request_verifier import RefusalReason, RequestVerifier
from bot.slack.client.ttl_cache import new_cache
from bot.slack.inbound.background_tasks import BackgroundTasks
from bot.slack.setup import SlackCredentials, warnings_of

SECRET = "shh"
NOW = 1_800_000_000


def signature_of(body: bytes, at: int = NOW) -> str:
    digest = hmac.new(SECRET.encode(), b"v0:%d:%s" % (at, body), hashlib.sha256).hexdigest()
    return f"v0={digest}"


def answer(opened: RequestVerifier, body: bytes) -> HTTPStatus | None:
    refusal = opened.check(timestamp=str(NOW), signature=signature_of(body), body=body)
    return refusal.status if refusal else None


def verifier(now: float = NOW) -> RequestVerifier:
    return RequestVerifier(SECRET, now=lambda: now)


def test_a_verifier_needs_a_secret() -> None:
    with pytest.raises(ValueError, match="empty signing secret"):
        RequestVerifier("", now=lambda: 0.0)


def test_a_signed_request_is_accepted_once() -> None:
    opened = verifier()

    assert answer(opened, b"hello") is None
    # Slack must not send a duplicate again.
    assert answer(opened, b"hello") is HTTPStatus.OK
    assert answer(opened, b"another") is None


def test_a_request_that_was_not_handled_may_be_repeated() -> None:
    opened = verifier()
    assert answer(opened, b"hello") is None

    opened.allow_retry(signature_of(b"hello"))

    assert answer(opened, b"hello") is None


@pytest.mark.parametrize(
    ("timestamp", "signature", "reason"),
    [
        ("soon", "v0=x", RefusalReason.MALFORMED),
        ("٣٣", "v0=x", RefusalReason.MALFORMED),
        ("-5", "v0=x", RefusalReason.MALFORMED),
        (str(NOW - 301), signature_of(b"x", NOW - 301), RefusalReason.WRONG_CLOCK),
        (str(NOW + 301), signature_of(b"x", NOW + 301), RefusalReason.WRONG_CLOCK),
        (str(NOW), f"v0={'0' * 64}", RefusalReason.WRONG_SECRET),
        (str(NOW), "\udcff", RefusalReason.MALFORMED),
        (str(NOW), "", RefusalReason.MISSING_HEADER),
    ],
)
def test_an_invalid_request_is_refused(
    timestamp: str, signature: str, reason: RefusalReason
) -> None:
    refusal = verifier().check(timestamp=timestamp, signature=signature, body=b"x")

    assert refusal is not None
    assert refusal.reason is reason
    assert refusal.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED)


def test_cached_values_expire() -> None:
    now = [0.0]
    cached: TTLCache[str, str] = new_cache(timedelta(seconds=10), lambda: now[0])

    cached.setdefault("a", "1")
    now[0] = 9
    cached.setdefault("a", "2")
    assert cached.get("a") == "1"
    now[0] = 10
    assert cached.get("a") is None


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("message_not_found", RefusalKind.MESSAGE_LOST),
        ("is_archived", RefusalKind.PLACE_LOST),
        ("invalid_blocks", RefusalKind.CONTENT_REFUSED),
        ("token_revoked", RefusalKind.BOT_BLOCKED),
        ("restricted_action_thread_locked", RefusalKind.THREAD_CLOSED),
        ("internal_error", RefusalKind.TRANSIENT),
        ("never_heard_of", RefusalKind.TRANSIENT),
    ],
)
def test_slack_errors_are_classified(name: str, meaning: RefusalKind) -> None:
    assert refusal_kind(name) is meaning


async def test_failing_work_is_logged_and_long_work_is_cancelled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    background_tasks = BackgroundTasks()

    async def fails() -> None:
        raise RuntimeError("no")

    async def lingers() -> None:
        await asyncio.Event().wait()

    background_tasks.start(fails(), name="the failing one")
    background_tasks.start(lingers(), name="the lingering one")
    cut_off = await background_tasks.drain(timedelta(milliseconds=10))

    assert cut_off == 1
    assert "the failing one failed" in caplog.text
    assert len(background_tasks) == 0


@pytest.mark.parametrize(
    "text",
    [
        "Unhandled request ({'type': 'event_callback', 'text': 'secret plan'})",
        "Unhandled request\n---\n[Suggestion] secret plan",
        'body: {"text": "secret plan"}',
        "Failed to connect (error: wss://x/link?ticket=secret plan)",
    ],
)
def test_text_of_people_is_removed_from_log_lines_of_libraries(text: str) -> None:
    record = logging.LogRecord("x", logging.WARNING, "", 0, text, (), None)

    PayloadFilter().filter(record)

    assert "secret" not in record.getMessage()


def test_a_librarys_exception_is_reduced_to_its_name() -> None:
    try:
        raise ValueError("secret plan")
    except ValueError as error:
        exc_info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("x", logging.ERROR, "", 0, "it broke", (), exc_info)

    PayloadFilter().filter(record)

    assert logging.Formatter().format(record) == "it broke (ValueError)"
    assert len(bolt_logger().filters) == len(bolt_logger().filters)


def test_a_proxy_and_unused_settings_cause_warnings() -> None:
    given = SlackCredentials(bot_token="xoxb-1", app_token="xapp-1")
    variable_names = {"HTTPS_PROXY", "SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET"}

    assert len(warnings_of(given, variable_names)) == 2
    assert warnings_of(given, ()) == ()
    assert "xoxb" not in repr(given)
