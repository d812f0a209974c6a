"""Answers that only the person who asked can see."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from bot.slack.client.client import RateLimited, Slack, SlackError, SlackUnreachable
from bot.slack.client.rate_limits import Priority
from bot.slack.inbound.request import Asked, Via
from bot.slack.views.message import Message

log = logging.getLogger(__name__)

_TRIES = 3
# Longer than this nobody waits for an answer.
_LONGEST_WAIT = 15.0
_EVENT_TYPE = "signalbox_answer"
# Seconds, with what may lie between our clock and Slack's.
_LOOKED_BACK = 300


@dataclass(frozen=True)
class Answers:
    """Private answers, by whichever way reaches the person."""

    slack: Slack

    async def privately(self, asked: Asked, message: Message | str) -> bool:
        """Tell the person who asked, and nobody else; `False` if no way led to them.

        A command is answered through its response URL (it works where the bot is not a
        member); what happens in a channel or thread, by an ephemeral message there; a
        direct message is the last resort.
        """
        content = _content(message)
        ways = (
            (self._by_url, self._ephemerally, self._directly)
            if asked.via is Via.COMMAND
            else (self._ephemerally, self._by_url, self._directly)
        )
        for way in ways:
            if await way(asked, content):
                return True
        log.warning("a private answer found no way (%s)", asked.via)
        return False

    async def instead(self, asked: Asked, message: Message | str) -> bool:
        """Put an answer in the place of the private question whose button was pressed."""
        if await self._by_url(asked, _content(message), replaces=True):
            return True
        return await self.privately(asked, message)

    async def _by_url(
        self, asked: Asked, content: Mapping[str, Any], *, replaces: bool = False
    ) -> bool:
        if asked.response_url is None:
            return False
        return await self.slack.respond(
            asked.response_url,
            {**content, "response_type": "ephemeral", "replace_original": replaces},
        )

    async def _ephemerally(self, asked: Asked, content: Mapping[str, Any]) -> bool:
        # In a conversation of two everything is private, and an ephemeral message vanishes.
        if asked.channel_id is None or asked.user_id is None or asked.is_direct:
            return False
        return await self._send(
            "chat.postEphemeral",
            channel=asked.channel_id,
            user=asked.user_id,
            thread_ts=asked.thread_ts,
            **content,
        )

    async def _directly(self, asked: Asked, content: Mapping[str, Any]) -> bool:
        if asked.user_id is None:
            return False
        channel, thread_ts = asked.channel_id, asked.thread_ts
        if channel is None or not asked.is_direct:
            try:
                channel, thread_ts = await self.slack.direct_channel(asked.user_id), None
            except SlackError as error:
                log.info("no direct message: %s", error)
                return False
        # An ephemeral message may be told twice when its answer is lost, and vanishes; this
        # one stays, so it is looked for before it is sent again.
        mark = uuid4().hex
        return await self._send(
            "chat.postMessage",
            is_there=lambda: self._is_there(channel, thread_ts, mark),
            channel=channel,
            thread_ts=thread_ts,
            metadata={"event_type": _EVENT_TYPE, "event_payload": {"answer": mark}},
            **_CALM,
            **content,
        )

    async def _is_there(self, channel: str, thread_ts: str | None, mark: str) -> bool:
        answer = await self.slack.call(
            "conversations.replies" if thread_ts else "conversations.history",
            channel=channel,
            ts=thread_ts,
            oldest=f"{time.time() - _LOOKED_BACK:.6f}",
            include_all_metadata=True,
        )
        payloads = (
            (message.get("metadata") or {}).get("event_payload") or {}
            for message in answer.get("messages") or ()
        )
        return any(payload.get("answer") == mark for payload in payloads)

    async def _send(
        self,
        method: str,
        *,
        is_there: Callable[[], Awaitable[bool]] | None = None,
        **arguments: Any,
    ) -> bool:
        for attempt in range(1, _TRIES + 1):
            try:
                await self.slack.call(method, priority=Priority.ANSWER, **arguments)
            except RateLimited as error:
                if error.seconds > _LONGEST_WAIT:
                    return False
                # The budget holds the next call back until Slack takes it.
            except SlackUnreachable as error:
                log.info("%s, try %d", error, attempt)
                await asyncio.sleep(0.2 * attempt)
                try:
                    if is_there is not None and await is_there():
                        return True
                except SlackError as error_of_look:
                    log.info("not known whether an answer arrived: %s", error_of_look)
                    return False
            except SlackError as error:
                log.info("no answer by %s", error)
                return False
            else:
                return True
        return False


_CALM: Mapping[str, Any] = {"unfurl_links": False, "unfurl_media": False}


def _content(message: Message | str) -> dict[str, Any]:
    content: dict[str, Any] = {"parse": "none", "link_names": False}
    if isinstance(message, str):
        return {**content, "text": message}
    return {**content, "text": message.text, "blocks": list(message.blocks)}
