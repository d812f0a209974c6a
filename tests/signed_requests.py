"""Requests signed as Slack signs them, for what the sandbox never sends."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import aiohttp

from bot.sandbox.slack.delivery.request_url import sign

JSON, FORM = "application/json", "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class SignedSender:
    """Sends signed requests to one URL."""

    session: aiohttp.ClientSession
    url: str
    secret: str

    async def send(
        self,
        body: bytes,
        *,
        content_type: str = JSON,
        age: int = 0,
        secret: str | None = None,
        **headers: str,
    ) -> tuple[int, Mapping[str, str]]:
        """Send bytes; return the status and the headers of the answer.

        Args:
            body: The bytes that are signed and sent.
            content_type: The header.
            age: Seconds by which the timestamp is old.
            secret: Signs instead of the right one.
            headers: Further headers, by their names with `_` for `-`.
        """
        timestamp = str(int(time.time()) - age)
        given = {
            "Content-Type": content_type,
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": sign(secret or self.secret, timestamp, body),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        async with self.session.post(self.url, data=io.BytesIO(body), headers=given) as answer:
            await answer.read()
            return answer.status, answer.headers

    async def send_json(self, payload: Any, **options: Any) -> int:
        """Send an event; return the status."""
        status, _ = await self.send(json.dumps(payload).encode(), **options)
        return status

    async def send_form(self, fields: Mapping[str, str], **options: Any) -> int:
        """Send a form; return the status."""
        status, _ = await self.send(urlencode(fields).encode(), content_type=FORM, **options)
        return status
