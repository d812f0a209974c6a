"""The durable intake: deliveries are stored before they are acknowledged, and handled once.

If a bot dies, another one finishes the deliveries that it had accepted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_bolt.kwargs_injection.async_args import AsyncArgs
from slack_bolt.response import BoltResponse

from bot.slack.inbound.request import RequestKind, SlackRequest, parse_request
from bot.slack.ports import Inbox
from core.domain.errors import Unavailable
from core.waiting import wait_for_any

log = logging.getLogger(__name__)

# Slack waits 3 s for the acknowledgement.
STORE_LIMIT = timedelta(seconds=1.5)
_RECORD_LIMIT = timedelta(seconds=5)
# Together with `ABANDONED_AFTER` (`core/services/intake.py`), deliveries of a bot that died are
# handled within seconds.
REPLAY_EVERY = timedelta(seconds=2)
# After an outage of the database all claims are old; each bot gets this long to renew its own.
_OUTAGE_GRACE = timedelta(seconds=10)
# Keys of Bolt's context: the `SlackRequest`, and the mark of a replay.
REQUEST_KEY = "signalbox_request"
_REPLAYED_KEY = "replayed_key"

NOTHING_STARTED = (
    "Signalbox cannot reach its database just now: most likely nothing was started or changed. "
    "Please look in a minute, and try again if so."
)


class Intake:
    """Bolt's middleware that stores deliveries, and the replay of those that a dead bot left."""

    def __init__(
        self, inbox: Inbox, *, bot_user_id: str, notify: Callable[[SlackRequest, str], None]
    ) -> None:
        """`notify` starts a private answer and returns at once."""
        self._inbox = inbox
        self._bot_user_id = bot_user_id
        self._notify_person = notify
        # Deliveries that this process handles.
        self._in_progress: set[str] = set()
        # Handled or refused, but not yet marked in the database; they must not be replayed.
        self._unrecorded: set[str] = set()
        self._has_unrecorded = asyncio.Event()

    async def middleware(self, args: AsyncArgs) -> BoltResponse | None:
        """Store a delivery and pass it on to its listener; drop a duplicate."""
        replayed = args.context.get(_REPLAYED_KEY)
        request = parse_request(
            args.body, bot_user_id=self._bot_user_id, is_replay=replayed is not None
        )
        args.context[REQUEST_KEY] = request
        if request.kind is RequestKind.OTHER:
            # Edits, joins, messages that do not address the bot, unknown types.
            return BoltResponse(status=200, body="")
        if request.key is not None and replayed is None:
            try:
                async with asyncio.timeout(STORE_LIMIT.total_seconds()):
                    is_new = await self._inbox.receive(request.key, request.body)
            except (Unavailable, TimeoutError) as error:
                log.warning(
                    "a delivery (%s) was not stored: %s",
                    request.kind,
                    type(error).__name__,
                    extra={
                        "event": "delivery.store_failed",
                        "error": type(error).__name__,
                        **request.log_fields,
                    },
                )
                return self._answer_unstored(request.key, request)
            if not is_new:
                log.info(
                    "duplicate delivery of %s dropped",
                    request.kind,
                    extra={"event": "delivery.deduplicated", **request.log_fields},
                )
                # Without a response here Bolt would answer 404, and Slack would retry.
                return BoltResponse(status=200, body="")
        if request.key is not None:
            self._in_progress.add(request.key)
        await args.next()
        return None

    async def finish(self, request: SlackRequest) -> None:
        """Mark a delivery as handled; if that fails, `keep_replaying` tries it again."""
        if request.key is None:
            return
        try:
            async with asyncio.timeout(_RECORD_LIMIT.total_seconds()):
                await self._inbox.mark_done(request.key)
        except (Unavailable, TimeoutError):
            self._unrecorded.add(request.key)
            log.warning(
                "a handled delivery could not be marked as done yet",
                extra={"event": "delivery.record_failed", **request.log_fields},
            )
        else:
            self._unrecorded.discard(request.key)
        finally:
            self._in_progress.discard(request.key)

    async def replay_unfinished(self, app: AsyncApp) -> int:
        """Handle deliveries that a bot accepted and left when it died; return how many.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        count = 0
        for key, body in await self._inbox.claim_unfinished():
            if key in self._in_progress:
                # This process handles it; the claim was renewed too late.
                continue
            if key in self._unrecorded:
                await self._record_done(key)
                continue
            count += 1
            await app.async_dispatch(
                AsyncBoltRequest(mode="socket_mode", body=dict(body), context={_REPLAYED_KEY: key})
            )
        if count:
            log.info(
                "replayed %d deliveries that a bot had left unfinished",
                count,
                extra={"event": "deliveries.replayed", "count": count},
            )
        return count

    async def keep_replaying(self, app: AsyncApp, *, every: timedelta = REPLAY_EVERY) -> None:
        """Replay unfinished deliveries periodically, until cancelled, also across outages."""
        while True:
            try:
                for key in list(self._unrecorded):
                    await self._record_done(key)
                await self.replay_unfinished(app)
            except Unavailable as error:
                log.warning(
                    "unfinished deliveries cannot be read: %s",
                    error,
                    extra={"event": "deliveries.read_failed"},
                )
                await asyncio.sleep(_OUTAGE_GRACE.total_seconds())
            await wait_for_any(self._has_unrecorded, seconds=every.total_seconds())
            self._has_unrecorded.clear()

    async def keep_renewing(self, *, every: timedelta) -> None:
        """Renew the claims on the deliveries in progress, so that no other bot replays them."""
        while True:
            claimed = self._in_progress | self._unrecorded
            if claimed:
                try:
                    async with asyncio.timeout(_RECORD_LIMIT.total_seconds()):
                        await self._inbox.renew_claims(claimed)
                except (Unavailable, TimeoutError):
                    log.warning(
                        "claims on %d deliveries could not be renewed",
                        len(claimed),
                        extra={"event": "delivery_claims.renew_failed", "count": len(claimed)},
                    )
            await asyncio.sleep(every.total_seconds())

    def _answer_unstored(self, key: str, request: SlackRequest) -> BoltResponse:
        """Answer a delivery that could not be stored.

        An event stays unacknowledged, so Slack sends it again.  A person gets an answer at
        once, if possible in the acknowledgement itself, which needs no further call.
        """
        if request.kind in {RequestKind.MESSAGE, RequestKind.CHANNEL, RequestKind.OTHER}:
            return BoltResponse(status=503, body="")
        # The row may have been stored after all.  It is marked as done soon: otherwise another bot
        # could replay it, although the person read that most likely nothing was started.
        self._unrecorded.add(key)
        self._has_unrecorded.set()
        if request.kind is RequestKind.COMMAND:
            return _json({"response_type": "ephemeral", "text": NOTHING_STARTED})
        if request.kind is RequestKind.SUBMISSION:
            return _json(
                {
                    "response_action": "errors",
                    "errors": {first_input_block(request): NOTHING_STARTED},
                }
            )
        self._notify_person(request, NOTHING_STARTED)
        return BoltResponse(status=200, body="")

    async def _record_done(self, key: str) -> None:
        await self._inbox.mark_done(key)
        self._unrecorded.discard(key)


def first_input_block(request: SlackRequest) -> str:
    """The block of a form to which an error without a field of its own is attached."""
    view = request.body.get("view") or {}
    blocks = view.get("blocks") or ()
    inputs = (block for block in blocks if block.get("type") == "input")
    return str(next((block.get("block_id") for block in inputs), ""))


def request_of(args: AsyncArgs) -> SlackRequest:
    """The request that the middleware parsed."""
    request = args.context[REQUEST_KEY]
    assert isinstance(request, SlackRequest)  # noqa: S101 - put there by the middleware
    return request


def _json(body: dict[str, Any]) -> BoltResponse:
    return BoltResponse(status=200, body=body, headers={"content-type": "application/json"})


Listener = Callable[[AsyncArgs], Awaitable[None]]
