"""Reactions on a message to the bot: seen at once, then answered or refused."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from bot.slack.client.errors import SlackError
from bot.slack.client.rate_limits import Priority
from bot.slack.client.web_api import Slack
from bot.slack.inbound.request import SlackRequest

log = logging.getLogger(__name__)

SEEN = "eyes"
ANSWERED = "white_check_mark"
REFUSED = "warning"
# A mark is a courtesy: no answer waits longer for one.
_LIMIT = timedelta(seconds=3)


@asynccontextmanager
async def marked(slack: Slack, request: SlackRequest) -> AsyncIterator[None]:
    """Mark a message as seen, and once the block has ended as answered, or refused by an error.

    The block does not wait for the first mark.  A mark that Slack refuses is left out.
    """
    seen = asyncio.create_task(_mark(slack, request, SEEN), name="mark seen")
    mark = REFUSED
    try:
        yield
        mark = ANSWERED
    finally:
        await seen
        await _mark(slack, request, mark)


async def _mark(slack: Slack, request: SlackRequest, name: str) -> None:
    try:
        async with asyncio.timeout(_LIMIT.total_seconds()):
            await slack.call(
                "reactions.add",
                priority=Priority.STEP,
                channel=request.channel_id,
                timestamp=request.message_ts,
                name=name,
            )
    except (SlackError, TimeoutError) as error:
        log.info(
            "a message got no mark %s: %s",
            name,
            error,
            extra={"event": "mark.lost", "mark": name, **request.log_fields},
        )
