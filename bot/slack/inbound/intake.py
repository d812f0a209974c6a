"""The way in: stored before it is acknowledged, handled once, finished whoever dies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_bolt.kwargs_injection.async_args import AsyncArgs
from slack_bolt.response import BoltResponse

from bot.slack.inbound.request import Asked, Via, read
from bot.slack.ports import Inbox
from core.domain.errors import Unavailable

log = logging.getLogger(__name__)

# Slack waits 3 s for the acknowledgement.
STORE_LIMIT = timedelta(seconds=1.5)
_DONE_LIMIT = timedelta(seconds=5)
# With `ABANDONED_AFTER` (`core/services/intake.py`), within seconds of the bot's death.
REPLAY_EVERY = timedelta(seconds=2)
# After an outage every bot's word about what it handles is old: it gets this long to renew it.
_AFTER_OUTAGE = timedelta(seconds=10)
# Where `Asked` lies in Bolt's context, and the mark of a replay.
ASKED = "asked"
_REPLAYED = "replayed_key"

NOTHING_STARTED = (
    "Signalbox cannot reach its database just now: most likely nothing was started or changed. "
    "Please look in a minute, and try again if so."
)


class Intake:
    """The way in: Bolt's middleware, and the replay of what a dead bot left."""

    def __init__(
        self, inbox: Inbox, *, bot_user_id: str, tell: Callable[[Asked, str], None]
    ) -> None:
        """Args as attributes; `tell` starts a private answer and returns at once."""
        self._inbox = inbox
        self._bot_user_id = bot_user_id
        self._tell_person = tell
        # Being handled by this process.
        self._in_hand: set[str] = set()
        # Handled or refused, but the database could not be told; not to be replayed.
        self._untold: set[str] = set()
        self._has_untold = asyncio.Event()

    async def middleware(self, args: AsyncArgs) -> BoltResponse | None:
        """Store a delivery, drop a duplicate, and let the rest through to its listener."""
        replayed = args.context.get(_REPLAYED)
        asked = read(args.body, bot_user_id=self._bot_user_id, is_replay=replayed is not None)
        args.context[ASKED] = asked
        if asked.via is Via.OTHER:
            # Nothing for us: edits, joins, other people's talk, whatever is not even known.
            return BoltResponse(status=200, body="")
        if asked.key is not None and replayed is None:
            try:
                async with asyncio.timeout(STORE_LIMIT.total_seconds()):
                    is_new = await self._inbox.receive(asked.key, asked.body)
            except (Unavailable, TimeoutError) as error:
                log.warning("a delivery (%s) was not taken: %s", asked.via, type(error).__name__)
                return self._not_taken(asked.key, asked)
            if not is_new:
                log.info("duplicate delivery of %s dropped", asked.via)
                # Without a body of its own Bolt would answer 404, and Slack try again.
                return BoltResponse(status=200, body="")
        if asked.key is not None:
            self._in_hand.add(asked.key)
        await args.next()
        return None

    async def finish(self, asked: Asked) -> None:
        """Note that a delivery was handled."""
        if asked.key is None:
            return
        try:
            async with asyncio.timeout(_DONE_LIMIT.total_seconds()):
                await self._inbox.done(asked.key)
        except (Unavailable, TimeoutError):
            self._untold.add(asked.key)
            log.warning("a handled delivery could not be noted yet")
        else:
            self._untold.discard(asked.key)
        finally:
            self._in_hand.discard(asked.key)

    async def replay_unfinished(self, app: AsyncApp) -> int:
        """Handle what another bot accepted and left when it died; answers how many.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        count = 0
        for key, body in await self._inbox.claim_unfinished():
            if key in self._in_hand:
                # Ours, and only renewed too late.
                continue
            if key in self._untold:
                await self._tell(key)
                continue
            count += 1
            await app.async_dispatch(
                AsyncBoltRequest(mode="socket_mode", body=dict(body), context={_REPLAYED: key})
            )
        if count:
            log.info("took up %d deliveries that a bot had left unfinished", count)
        return count

    async def keep_replaying(self, app: AsyncApp, *, every: timedelta = REPLAY_EVERY) -> None:
        """Look for left deliveries for ever; an outage of the database is waited out."""
        while True:
            try:
                for key in list(self._untold):
                    await self._tell(key)
                await self.replay_unfinished(app)
            except Unavailable as error:
                log.warning("unfinished deliveries cannot be read: %s", error)
                await asyncio.sleep(_AFTER_OUTAGE.total_seconds())
            with suppress(TimeoutError):
                async with asyncio.timeout(every.total_seconds()):
                    await self._has_untold.wait()
            self._has_untold.clear()

    async def keep_hold(self, *, every: timedelta) -> None:
        """Say again and again what this process has in hand, so that no other takes it up."""
        while True:
            held = self._in_hand | self._untold
            if held:
                try:
                    async with asyncio.timeout(_DONE_LIMIT.total_seconds()):
                        await self._inbox.renew(held)
                except (Unavailable, TimeoutError):
                    log.warning("what is in hand could not be renewed")
            await asyncio.sleep(every.total_seconds())

    def _not_taken(self, key: str, asked: Asked) -> BoltResponse:
        """Answer a delivery that could not be stored.

        An event stays unacknowledged, so Slack sends it again.  A person is told at once;
        where Slack lets it, in the acknowledgement itself, which needs nothing else to work.
        """
        if asked.via in {Via.MESSAGE, Via.OTHER}:
            return BoltResponse(status=503, body="")
        # The row may have been stored after all, and is taken back at once: whoever finds it
        # after this bot's death would do what the person was told is most likely not done.
        self._untold.add(key)
        self._has_untold.set()
        if asked.via is Via.COMMAND:
            return _json({"response_type": "ephemeral", "text": NOTHING_STARTED})
        if asked.via is Via.SUBMISSION:
            return _json(
                {"response_action": "errors", "errors": {first_input(asked): NOTHING_STARTED}}
            )
        self._tell_person(asked, NOTHING_STARTED)
        return BoltResponse(status=200, body="")

    async def _tell(self, key: str) -> None:
        await self._inbox.done(key)
        self._untold.discard(key)


def first_input(asked: Asked) -> str:
    """The block of a form to which an error without a field of its own is attached."""
    view = asked.body.get("view") or {}
    blocks = view.get("blocks") or ()
    inputs = (block for block in blocks if block.get("type") == "input")
    return str(next((block.get("block_id") for block in inputs), ""))


def asked_of(args: AsyncArgs) -> Asked:
    """What the middleware read."""
    asked = args.context[ASKED]
    assert isinstance(asked, Asked)  # noqa: S101 - put there by the middleware
    return asked


def _json(body: dict[str, Any]) -> BoltResponse:
    return BoltResponse(status=200, body=body, headers={"content-type": "application/json"})


Listener = Callable[[AsyncArgs], Awaitable[None]]
