"""Envelopes of Socket Mode: checked before the SDK reads them, and acknowledged."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from time import time
from typing import Any

from slack_bolt.adapter.socket_mode.async_internals import send_async_response
from slack_bolt.response import BoltResponse
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.client.http import MAX_BODY_BYTES
from bot.slack.client.private_logs import bolt_logger

log = logging.getLogger(__name__)

Receive = Callable[[Mapping[str, Any]], Awaitable[BoltResponse]]
"""Handles a payload; a status from 400 to 499 refuses it for good."""


def parse_frame(frame: str) -> Mapping[str, Any] | None:
    """The object in a text frame; `None` if there is none."""
    try:
        message = json.loads(frame)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


class EnvelopeClient(SocketModeClient):
    """One connection, which refuses what it cannot handle without stopping for it.

    The SDK fails at a frame with broken JSON or with a payload that is not an object, and Slack
    sends an envelope again that was not acknowledged.
    """

    def __init__(
        self, receive: Receive, app_token: str, *, web: AsyncWebClient, ping_seconds: float
    ) -> None:
        """Requires a running event loop."""
        super().__init__(
            app_token=app_token, logger=bolt_logger(), web_client=web, ping_interval=ping_seconds
        )
        self._receive = receive
        self._handling: set[asyncio.Task[None]] = set()
        self.socket_mode_request_listeners.append(self._handle)

    async def process_message(self) -> None:
        """Handle the next frame, in a task of its own."""
        frame = await self.message_queue.get()
        message = await self._read(frame)
        if message is not None:
            task = asyncio.create_task(
                self.run_message_listeners(dict(message), frame), name="slack envelope"
            )
            self._handling.add(task)
            task.add_done_callback(self._handling.discard)

    async def _read(self, frame: str) -> Mapping[str, Any] | None:
        """The message of a frame; `None` if it was refused, and if possible acknowledged."""
        if not frame.strip():
            # Slack sends empty frames at times.
            return None
        message = parse_frame(frame)
        if message is None:
            _log_refusal("it is not a JSON object", frame)
            return None
        envelope_id = message.get("envelope_id")
        if envelope_id is None:
            return message
        if not isinstance(envelope_id, str):
            _log_refusal("its envelope_id is not a text", frame)
            return None
        if len(frame) > MAX_BODY_BYTES:
            _log_refusal(f"the limit is {MAX_BODY_BYTES}: what it asked for is lost", frame)
        elif isinstance(message.get("payload"), dict) and isinstance(message.get("type"), str):
            return message
        else:
            _log_refusal("its payload is not an object, or it has no type", frame)
        await self.send_socket_mode_response({"envelope_id": envelope_id})
        return None

    async def send_message(self, message: str) -> None:
        """Send an acknowledgement; if the connection is gone, Slack sends its envelope again."""
        try:
            await super().send_message(message)
        except ConnectionError as error:
            log.warning(
                "the connection closed before an acknowledgement; Slack delivers again: %s",
                error,
                extra={"event": "acknowledgement.lost"},
            )

    async def _handle(self, _: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        began = time()
        answer = await self._receive(request.payload)
        if HTTPStatus.BAD_REQUEST <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            # Slack would send it again, and it would be refused again.
            answer = BoltResponse(status=HTTPStatus.OK, body="")
        await send_async_response(self, request, answer, began)


def _log_refusal(reason: str, frame: str) -> None:
    log.warning(
        "a frame of %d characters was refused: %s",
        len(frame),
        reason,
        extra={"event": "socket_frame.refused", "characters": len(frame), "reason": reason},
    )
