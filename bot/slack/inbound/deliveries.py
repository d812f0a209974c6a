"""The way of a delivery from a transport to its listener, the same for HTTP and Socket Mode."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_bolt.response import BoltResponse

from bot.slack.inbound.body import BadDelivery, read_body, storable
from bot.slack.inbound.installation import Installation
from bot.slack.inbound.request import RequestKind, parse_request
from bot.slack.inbound.shapes import read_delivery

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Deliveries:
    """Checks deliveries before Bolt sees them: their shape, the app and the workspace they name.

    Bolt reads fields before any middleware runs, and answers 500 if one has an unexpected type.
    """

    app: AsyncApp
    installation: Installation

    async def receive_body(self, raw: bytes, content_type: str) -> BoltResponse:
        """Handle the body of a signed HTTP request."""
        try:
            body = read_body(raw, content_type)
        except BadDelivery as error:
            return _refuse(HTTPStatus.BAD_REQUEST, str(error))
        return await self.receive(body)

    async def receive(self, body: Mapping[str, Any]) -> BoltResponse:
        """Handle a delivery; a status of 400 or more refuses it for good, except 503."""
        if _is_check(body):
            return _answer_check(body)
        try:
            tidy: Mapping[str, Any] = storable(dict(body))
            foreign_app = self._foreign_app(tidy)
            if foreign_app is not None:
                return _refuse(HTTPStatus.FORBIDDEN, foreign_app)
            delivery = read_delivery(tidy)
        except BadDelivery as error:
            return _refuse(HTTPStatus.BAD_REQUEST, str(error))
        if delivery is None:
            return BoltResponse(status=HTTPStatus.OK, body="")
        request = parse_request(delivery, bot_user_id=self.installation.bot_user_id)
        if request.kind is RequestKind.OTHER:
            return BoltResponse(status=HTTPStatus.OK, body="")
        if not (request.origin.team_ids or request.origin.enterprise_ids):
            return _refuse(HTTPStatus.BAD_REQUEST, "it names no workspace (team_id)")
        # The transport has verified it, and no signature covers a dict.
        return await self.app.async_dispatch(
            AsyncBoltRequest(mode="socket_mode", body=dict(delivery))
        )

    def _foreign_app(self, body: Mapping[str, Any]) -> str | None:
        own, named = self.installation.app_id, body.get("api_app_id")
        if not own or named in (None, "", own):
            return None
        return (
            f"it is for the app {str(named)[:40]!r}, and this bot is {own}: check the app's "
            "request URL, signing secret and tokens"
        )


def _is_check(body: Mapping[str, Any]) -> bool:
    """Whether Slack only tests the address: when it is configured, and at times its certificate."""
    return body.get("type") == "url_verification" or (
        body.get("ssl_check") == "1" and "command" not in body
    )


def _answer_check(body: Mapping[str, Any]) -> BoltResponse:
    challenge = body.get("challenge")
    return BoltResponse(
        status=HTTPStatus.OK,
        body={"challenge": challenge} if isinstance(challenge, str) else "",
    )


def _refuse(status: HTTPStatus, reason: str) -> BoltResponse:
    log.warning(
        "a delivery was refused: %s",
        reason,
        extra={"event": "delivery.refused", "status": int(status), "reason": reason},
    )
    return BoltResponse(
        status=status,
        body={"error": reason},
        headers={"content-type": "application/json", "x-slack-no-retry": "1"},
    )
