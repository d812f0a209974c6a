"""Slack's deliveries over HTTP, verified before Bolt sees them."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncApp

log = logging.getLogger(__name__)

EVENTS_PATH = "/slack/events"
# Slack's own bodies are far smaller; a message has at most 40,000 characters.
MAX_BODY_BYTES = 256 * 1024
# Slack's rule: an older request must be refused, since it may be a replay.
MAX_AGE_SECONDS = 300
# A little longer than a signature is valid, so that no request can be replayed.
_REPLAY_SECONDS = 360
_MAX_SIGNATURES = 20_000


class RequestVerifier:
    """Checks of a request before Bolt sees it.

    Bolt alone is not enough.  It answers 500 to a malformed timestamp or broken JSON before it
    checks the signature, logs the body of a wrongly signed request, and accepts replays.
    """

    def __init__(self, signing_secret: str, *, now: Callable[[], float]) -> None:
        """`now` is the wall clock in Unix seconds."""
        if not signing_secret:
            raise ValueError("an empty signing secret would let everybody in")
        self._secret = signing_secret.encode()
        self._now = now
        self._seen: OrderedDict[str, float] = OrderedDict()

    def rejection(self, *, timestamp: str, signature: str, body: bytes) -> HTTPStatus | None:
        """The status to refuse a request with; `None` accepts it, but only once."""
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
            return HTTPStatus.BAD_REQUEST
        now = self._now()
        if abs(now - int(timestamp)) > MAX_AGE_SECONDS:
            return HTTPStatus.UNAUTHORIZED
        signed = b"v0:" + timestamp.encode() + b":" + body
        expected = "v0=" + hmac.new(self._secret, signed, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            return HTTPStatus.UNAUTHORIZED
        self._drop_expired(now)
        if signature in self._seen:
            return HTTPStatus.CONFLICT
        self._seen[signature] = now
        return None

    def allow_retry(self, signature: str) -> None:
        """Accept the same request again, since it was not handled."""
        self._seen.pop(signature, None)

    def _drop_expired(self, now: float) -> None:
        while self._seen:
            signature, at = next(iter(self._seen.items()))
            if now - at <= _REPLAY_SECONDS and len(self._seen) < _MAX_SIGNATURES:
                return
            del self._seen[signature]


def slack_route(app: AsyncApp, *, signing_secret: str, now: Callable[[], float]) -> web.RouteDef:
    """The route `POST /slack/events` for commands, interactions and events alike."""
    verifier = RequestVerifier(signing_secret, now=now)

    async def receive(request: web.Request) -> web.StreamResponse:
        timestamp = request.headers.get("X-Slack-Request-Timestamp", "")
        signature = request.headers.get("X-Slack-Signature", "")
        if not timestamp or not signature:
            return _refusal(HTTPStatus.UNAUTHORIZED)
        body = await _body(request)
        if body is None:
            return _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        status = verifier.rejection(timestamp=timestamp, signature=signature, body=body)
        if status is HTTPStatus.CONFLICT:
            # A duplicate: nothing to do, and Slack must not send it again.
            return web.Response(status=HTTPStatus.OK)
        if status is not None:
            log.info(
                "a request to %s was refused with %d",
                EVENTS_PATH,
                status,
                extra={
                    "event": "http_request.rejected",
                    "path": EVENTS_PATH,
                    "status": int(status),
                },
            )
            return _refusal(status)
        answer = await app.async_dispatch(await to_bolt_request(request))
        if answer.status != HTTPStatus.OK:
            verifier.allow_retry(signature)
        return await to_aiohttp_response(answer)

    return web.post(EVENTS_PATH, receive)


async def _body(request: web.Request) -> bytes | None:
    """The body, which Bolt can still read afterwards; `None` if it is too large."""
    if (request.content_length or 0) > MAX_BODY_BYTES:
        return None
    # The server's own limit applies to bodies that declare no length.
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        return None
    return body if len(body) <= MAX_BODY_BYTES else None


def _refusal(status: HTTPStatus) -> web.Response:
    """A refusal that tells Slack not to retry."""
    return web.json_response(
        {"error": status.phrase.lower()}, status=status, headers={"X-Slack-No-Retry": "1"}
    )
