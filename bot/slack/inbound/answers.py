"""Answers that only the person who sent the request can see."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

from bot.slack.client.errors import RateLimited, SlackError, SlackUnreachable
from bot.slack.client.rate_limits import Priority
from bot.slack.client.ttl_cache import new_cache
from bot.slack.client.web_api import Slack
from bot.slack.inbound.request import RequestKind, SlackRequest
from bot.slack.inbound.run_linker import RunLinker
from bot.slack.views.blocks import has_charts
from bot.slack.views.message import Message
from bot.slack.views.replacement import without_charts

log = logging.getLogger(__name__)

# Slack accepts a response URL for 30 minutes.
_RESPONSE_URL_TTL = timedelta(minutes=25)
_MAX_TRIES = 3
# People do not wait longer for an answer.
_MAX_WAIT_SECONDS = 15.0
_EVENT_TYPE = "signalbox_answer"
# Allows for a difference between our clock and Slack's.
_SEARCH_BACK_SECONDS = 300


@dataclass(frozen=True)
class PrivateAnswers:
    """Sends private answers by the first way that reaches the person.

    Attributes:
        linker: Makes the runs that an answer names links to their threads; `None` leaves them.
        recent_urls: The response URLs of people's latest requests, by their ids.
    """

    slack: Slack
    linker: RunLinker | None = None
    recent_urls: MutableMapping[str, str] = field(
        default_factory=lambda: new_cache(_RESPONSE_URL_TTL, time.monotonic)
    )

    def remember(self, request: SlackRequest) -> None:
        """Keep the response URL of a request for later messages to its author."""
        if request.user_id is not None and request.response_url is not None:
            self.recent_urls[request.user_id] = request.response_url

    async def tell(self, user_id: str, message: Message, *, channel_id: str | None) -> bool:
        """Send a message that answers no request; return whether it was delivered.

        The person sees it in the channel.  If that does not work, it is sent through the response
        URL of the person's latest request, or as a direct message.
        """
        request = SlackRequest(
            kind=RequestKind.OTHER,
            body={},
            user_id=user_id,
            channel_id=channel_id,
            response_url=self.recent_urls.get(user_id),
        )
        return await self.send_private(request, message)

    async def tell_directly(self, user_id: str, message: Message) -> bool:
        """Send a direct message that answers no request; return whether it was delivered.

        For what must be found later, or is about a channel that the person sees no more.
        """
        request = SlackRequest(kind=RequestKind.OTHER, body={}, user_id=user_id)
        return await self._send_direct(request, await self._content(message))

    async def send_private(self, request: SlackRequest, message: Message | str) -> bool:
        """Answer privately; return whether the answer was delivered.

        A command is answered through its response URL, which works even where the bot is not
        a member.  Anything else is answered by an ephemeral message in its channel or thread.
        A direct message is the last resort.  Where charts are refused, their figures are in words.
        """
        contents = [await self._content(message)]
        if isinstance(message, Message) and has_charts(message.blocks):
            contents.append(await self._content(without_charts(message)))
        senders = (
            (self._send_by_response_url, self._send_ephemeral, self._send_direct)
            if request.kind is RequestKind.COMMAND
            else (self._send_ephemeral, self._send_by_response_url, self._send_direct)
        )
        for send in senders:
            for content in contents:
                if await send(request, content):
                    return True
        log.warning(
            "a private answer could not be delivered (%s)",
            request.kind,
            extra={"event": "answer.lost", **request.log_fields},
        )
        return False

    async def replace_question(self, request: SlackRequest, message: Message | str) -> bool:
        """Replace the private question whose button was pressed by an answer."""
        content = await self._content(message)
        if await self._send_by_response_url(request, content, replaces=True):
            return True
        return await self.send_private(request, message)

    async def post_in_thread(self, channel_id: str, thread_ts: str, message: Message) -> bool:
        """Post a message that all people in a thread see; return whether it was delivered."""
        return await self._post(channel_id, thread_ts, await self._content(message))

    async def post_in_channel(self, channel_id: str, message: Message) -> bool:
        """Post a message that all people in a channel see; return whether it was delivered."""
        return await self._post(channel_id, None, await self._content(message))

    async def _content(self, message: Message | str) -> dict[str, Any]:
        if self.linker is not None and isinstance(message, Message):
            message = await self.linker.linked(message)
        return _content(message)

    async def _send_by_response_url(
        self, request: SlackRequest, content: Mapping[str, Any], *, replaces: bool = False
    ) -> bool:
        if request.response_url is None:
            return False
        return await self.slack.respond(
            request.response_url,
            {**content, "response_type": "ephemeral", "replace_original": replaces},
        )

    async def _send_ephemeral(self, request: SlackRequest, content: Mapping[str, Any]) -> bool:
        # A direct conversation is private anyway, and an ephemeral message would disappear.
        if request.channel_id is None or request.user_id is None or request.is_direct:
            return False
        return await self._call_with_retries(
            "chat.postEphemeral",
            channel=request.channel_id,
            user=request.user_id,
            thread_ts=request.thread_ts,
            **content,
        )

    async def _send_direct(self, request: SlackRequest, content: Mapping[str, Any]) -> bool:
        if request.user_id is None:
            return False
        channel, thread_ts = request.channel_id, request.thread_ts
        if channel is None or not request.is_direct:
            try:
                channel, thread_ts = await self.slack.direct_channel(request.user_id), None
            except SlackError as error:
                log.info(
                    "no direct message: %s",
                    error,
                    extra={"event": "direct_channel.open_failed", **request.log_fields},
                )
                return False
        return await self._post(channel, thread_ts, content)

    async def _post(self, channel: str, thread_ts: str | None, content: Mapping[str, Any]) -> bool:
        # An ephemeral message disappears, so it may be sent twice.  A posted message stays, so
        # before a retry this looks whether the first one arrived.
        marker = uuid4().hex
        return await self._call_with_retries(
            "chat.postMessage",
            was_delivered=lambda: self._was_delivered(channel, thread_ts, marker),
            channel=channel,
            thread_ts=thread_ts,
            metadata={"event_type": _EVENT_TYPE, "event_payload": {"answer": marker}},
            **_NO_UNFURL,
            **content,
        )

    async def _was_delivered(self, channel: str, thread_ts: str | None, marker: str) -> bool:
        answer = await self.slack.call(
            "conversations.replies" if thread_ts else "conversations.history",
            channel=channel,
            ts=thread_ts,
            oldest=f"{time.time() - _SEARCH_BACK_SECONDS:.6f}",
            include_all_metadata=True,
        )
        payloads = (
            (message.get("metadata") or {}).get("event_payload") or {}
            for message in answer.get("messages") or ()
        )
        return any(payload.get("answer") == marker for payload in payloads)

    async def _call_with_retries(
        self,
        method: str,
        *,
        was_delivered: Callable[[], Awaitable[bool]] | None = None,
        **arguments: Any,
    ) -> bool:
        for attempt in range(1, _MAX_TRIES + 1):
            try:
                await self.slack.call(method, priority=Priority.ANSWER, **arguments)
            except RateLimited as error:
                if error.seconds > _MAX_WAIT_SECONDS:
                    return False
                # The rate limiter delays the next call until Slack accepts it.
            except SlackUnreachable as error:
                log.info(
                    "an answer may be lost: %s, try %d",
                    error,
                    attempt,
                    extra={"event": "answer.retried", "method": method, "try": attempt},
                )
                await asyncio.sleep(0.2 * attempt)
                try:
                    if was_delivered is not None and await was_delivered():
                        return True
                except SlackError as lookup_error:
                    log.info(
                        "not known whether an answer arrived: %s",
                        lookup_error,
                        extra={"event": "answer.lookup_failed", "method": method},
                    )
                    return False
            except SlackError as error:
                log.info(
                    "an answer was refused: %s",
                    error,
                    extra={"event": "answer.refused", "method": method},
                )
                return False
            else:
                return True
        return False


_NO_UNFURL: Mapping[str, Any] = {"unfurl_links": False, "unfurl_media": False}


def _content(message: Message | str) -> dict[str, Any]:
    content: dict[str, Any] = {"parse": "none", "link_names": False}
    if isinstance(message, str):
        return {**content, "text": message}
    return {**content, "text": message.text, "blocks": list(message.blocks)}
