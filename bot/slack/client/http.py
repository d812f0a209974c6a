"""Slack's deliveries over HTTP, verified before anything reads them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.response import BoltResponse

from bot.slack.client.request_verifier import Refusal, RefusalReason, RequestVerifier

log = logging.getLogger(__name__)

EVENTS_PATH = "/slack/events"
# A text of 40,000 characters, twice in a message, in form encoding, is 1.3 MB: each half of an
# emoji takes 16 bytes.
MAX_BODY_BYTES = 2 * 1024 * 1024
# Slack waits 3 s for its answer.
_BODY_SECONDS = 5.0
# Reasons that somebody has to do something about.
_PROBLEMS = frozenset(
    {RefusalReason.WRONG_SECRET, RefusalReason.WRONG_CLOCK, RefusalReason.TOO_LARGE}
)

Receive = Callable[[bytes, str], Awaitable[BoltResponse]]
"""Handles the verified bytes of a request, given its content type."""


def slack_route(receive: Receive, *, signing_secret: str, now: Callable[[], float]) -> web.RouteDef:
    """The route `POST /slack/events` for commands, interactions and events alike.

    Its server must leave encoded bodies as they are, since Slack signs the bytes that it sends.
    """
    verifier = RequestVerifier(signing_secret, now=now)

    async def handle(request: web.Request) -> web.StreamResponse:
        signature = request.headers.get("X-Slack-Signature", "")
        refusal, body = await _verified_body(request, verifier, signature)
        if refusal is not None:
            return _answer(refusal, request.remote)
        try:
            answer = await receive(body, request.headers.get("Content-Type", ""))
        except BaseException:
            verifier.allow_retry(signature)
            raise
        if answer.status != HTTPStatus.OK:
            verifier.allow_retry(signature)
        return await to_aiohttp_response(answer)

    return web.post(EVENTS_PATH, handle)


async def _verified_body(
    request: web.Request, verifier: RequestVerifier, signature: str
) -> tuple[Refusal | None, bytes]:
    """The bytes of a request, and why it is refused, if it is."""
    timestamp = request.headers.get("X-Slack-Request-Timestamp", "")
    # What has no valid headers is refused before its body is read.
    refusal = verifier.check_headers(timestamp=timestamp, signature=signature)
    if refusal is not None:
        return refusal, b""
    if (request.content_length or 0) > MAX_BODY_BYTES:
        return _too_large(f"{request.content_length} bytes"), b""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            body = await _read(request)
    except web.RequestPayloadError:
        return _malformed("the body is not as its headers say"), b""
    except TimeoutError:
        return _malformed(f"the body did not arrive within {_BODY_SECONDS:g} s"), b""
    if len(body) > MAX_BODY_BYTES:
        return _too_large("more bytes than it announced"), b""
    refusal = verifier.check(timestamp=timestamp, signature=signature, body=body)
    if refusal is not None:
        return refusal, b""
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        return _malformed(f"the content encoding {encoding[:40]!r}, which Slack never uses"), b""
    return None, body


async def _read(request: web.Request) -> bytes:
    """The body, or its beginning if it is too large: the server's limit is for other routes."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            break
    return bytes(body)


def _too_large(size: str) -> Refusal:
    return Refusal(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        RefusalReason.TOO_LARGE,
        f"{size}, and the limit is {MAX_BODY_BYTES}: what it asked for is lost",
    )


def _malformed(words: str) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, RefusalReason.MALFORMED, words)


def _answer(refusal: Refusal, sender: str | None) -> web.Response:
    """A refusal that tells Slack not to retry; a duplicate is only acknowledged."""
    log.log(
        logging.WARNING if refusal.reason in _PROBLEMS else logging.INFO,
        "a request to %s from %s was refused with %d: %s",
        EVENTS_PATH,
        sender,
        refusal.status,
        refusal.words,
        extra={
            "event": "http_request.rejected",
            "path": EVENTS_PATH,
            "status": int(refusal.status),
            "reason": refusal.reason.value,
        },
    )
    if refusal.status is HTTPStatus.OK:
        return web.Response(status=HTTPStatus.OK)
    return web.json_response(
        {"error": refusal.status.phrase.lower()},
        status=refusal.status,
        headers={"X-Slack-No-Retry": "1"},
    )
