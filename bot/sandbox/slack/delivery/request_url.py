"""Delivery by HTTP: signed requests to the app's request URL."""

import asyncio
import hashlib
import hmac
import io
import json
import secrets
import time
from collections.abc import Callable
from urllib.parse import urlencode

import aiohttp

from bot.sandbox.slack.delivery import payloads
from bot.sandbox.slack.delivery.dispatcher import DeliveryResult, as_json
from bot.sandbox.slack.state import Document


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """Slack's v0 signature of a request."""
    base = b"v0:" + timestamp.encode() + b":" + body
    return "v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()


def body_of(kind: str, payload: Document) -> tuple[bytes, str]:
    """The body of a delivery and its content type."""
    if kind == "events_api":
        return as_json(payload).encode(), "application/json"
    form = payload if kind == "slash_commands" else {"payload": as_json(payload)}
    return urlencode(form).encode(), "application/x-www-form-urlencoded"


class RequestUrl:
    """Delivers by POST to one URL."""

    def __init__(
        self, session: aiohttp.ClientSession, *, url: Callable[[], str], secret: str
    ) -> None:
        self._session = session
        self._url = url
        self._secret = secret

    async def attempt(
        self, kind: str, payload: Document, *, retry: int, reason: str, timeout: float
    ) -> DeliveryResult:
        """POST once; a 200 in time is the acknowledgement, its body the app's payload."""
        body, content_type = body_of(kind, payload)
        # Real time, not the sandbox's: the receiver compares it with its own clock.
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": content_type,
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": sign(self._secret, timestamp, body),
        }
        if retry:
            headers |= {"X-Slack-Retry-Num": str(retry), "X-Slack-Retry-Reason": reason}
        began = time.monotonic()
        try:
            async with asyncio.timeout(timeout):
                # aiohttp warns of large bodies that are bytes.
                async with self._session.post(
                    self._url(), data=io.BytesIO(body), headers=headers
                ) as response:
                    text = await response.text()
        except TimeoutError:
            return DeliveryResult(error="operation_timeout", ms=_elapsed_ms(began), status=0)
        except aiohttp.ClientConnectorError:
            return DeliveryResult(error="not_connected", ms=_elapsed_ms(began), status=0)
        except aiohttp.ClientError:
            return DeliveryResult(error="connection_failed", ms=_elapsed_ms(began), status=0)
        if response.status != 200:
            return DeliveryResult(
                error="http_error",
                ms=_elapsed_ms(began),
                status=response.status,
                can_retry=response.headers.get("X-Slack-No-Retry") != "1",
            )
        return DeliveryResult(error=None, ms=_elapsed_ms(began), answer=_parse_answer(text))

    async def verify(self, *, timeout: float) -> bool:
        """Send the URL a challenge and check its answer, as Slack does on configuration."""
        challenge = secrets.token_urlsafe(16)
        payload = payloads.url_verification(challenge)
        outcome = await self.attempt("events_api", payload, retry=0, reason="", timeout=timeout)
        answer = outcome.answer or {}
        return challenge in (answer.get("challenge"), answer.get("text"))


def _parse_answer(text: str) -> Document | None:
    if not text.strip():
        return None
    try:
        parsed = json.loads(text)
    except ValueError:
        return {"text": text}
    return parsed if isinstance(parsed, dict) else {"text": text}


def _elapsed_ms(began: float) -> float:
    return (time.monotonic() - began) * 1000
