"""Searches Slack for messages whose post had an unknown result: a lost response, or a crash.

A message is identified by its metadata, a file by its name.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from bot.slack.client.errors import SlackRefused
from bot.slack.client.rate_limits import Priority
from bot.slack.client.refusals import RefusalKind, refusal_kind
from bot.slack.client.web_api import Slack
from bot.slack.drawing.messages.posting import file_hash, metadata_of
from bot.slack.ports import MessageStore
from bot.slack.views.message import ThreadFile
from core.domain.drawables import (
    SlackMessage,
    SlackMessageState,
)

log = logging.getLogger(__name__)

# How far before the row's last change the search begins.  It covers the time of a call, some
# retries, and the difference between our clock and Slack's.
_SEARCH_WINDOW = timedelta(minutes=10)
_PAGE = 200
_MAX_PAGES = 20
_DUPLICATED = 2


@dataclass(frozen=True)
class MessageFinder:
    """Finds messages that may have been posted, and deletes duplicates."""

    slack: Slack
    store: MessageStore

    async def find(
        self, shown: SlackMessage, *, file: ThreadFile | None, now: datetime
    ) -> SlackMessage | None:
        """Search Slack for a message whose post had no response.

        The row of a message that is found has no content hash, so the message is updated next.

        Args:
            shown: The row of the message.
            file: The file, if the slot contains one.
            now: The current time.

        Returns:
            The new row; `None` if Slack does not have the message.

        Raises:
            SlackError: As `Slack.call`.
        """
        async for ts in self._marked_messages(shown, file):
            log.info(
                "%s of %s was posted already",
                shown.slot,
                shown.drawable,
                extra={"event": "message.found", "slot": shown.slot, **shown.drawable.log_fields},
            )
            digest = file_hash(file) if file is not None else None
            return await self._record_found(shown, ts, digest, now)
        return None

    async def delete_duplicates(
        self, shown: SlackMessage, *, file: ThreadFile | None, now: datetime
    ) -> None:
        """Delete the extra copies of a message, which a late execution of a post has caused.

        Raises:
            SlackError: As `Slack.call`.
        """
        found = sorted([ts async for ts in self._marked_messages(shown, file)])
        if len(found) < _DUPLICATED:
            return
        kept_ts = shown.message_ts if shown.message_ts in found else found[0]
        for ts in found:
            if ts != kept_ts:
                log.warning(
                    "%s of %s was posted twice",
                    shown.slot,
                    shown.drawable,
                    extra={
                        "event": "message.duplicated",
                        "slot": shown.slot,
                        **shown.drawable.log_fields,
                    },
                )
                await self.delete(shown.channel_id, ts)
        if kept_ts != shown.message_ts and file is None:
            await self._record_found(shown, kept_ts, None, now)

    async def delete(self, channel_id: str, ts: str) -> None:
        """Delete a message, if it is still there.

        Raises:
            SlackError: As `Slack.call`.
        """
        try:
            await self.slack.call("chat.delete", priority=Priority.STEP, channel=channel_id, ts=ts)
        except SlackRefused as error:
            if refusal_kind(error.name) is not RefusalKind.MESSAGE_LOST:
                raise

    async def _marked_messages(
        self, shown: SlackMessage, file: ThreadFile | None
    ) -> AsyncIterator[str]:
        """Yield the `ts` of each message that belongs to the slot, page by page."""
        oldest = f"{(shown.updated_at - _SEARCH_WINDOW).timestamp():.6f}"
        method = "conversations.replies" if shown.thread_ts else "conversations.history"
        cursor: str | None = None
        for _ in range(_MAX_PAGES):
            answer = await self.slack.call(
                method,
                priority=Priority.ANSWER,
                channel=shown.channel_id,
                ts=shown.thread_ts,
                oldest=oldest,
                limit=_PAGE,
                cursor=cursor,
                include_all_metadata=True,
            )
            for ts in _marked_messages(answer.get("messages") or (), shown, file):
                yield ts
            cursor = (answer.get("response_metadata") or {}).get("next_cursor") or None
            if cursor is None:
                return

    async def _record_found(
        self, shown: SlackMessage, ts: str, digest: str | None, now: datetime
    ) -> SlackMessage:
        row = replace(
            shown, state=SlackMessageState.SHOWN, message_ts=ts, content_hash=digest, updated_at=now
        )
        await self.store.save_message(row)
        return row


def _marked_messages(
    messages: Iterable[Mapping[str, Any]], shown: SlackMessage, file: ThreadFile | None
) -> Iterator[str]:
    """Yield the `ts` of the messages with the metadata of this slot, or with the file."""
    marker = metadata_of(shown)
    for message in messages:
        metadata = message.get("metadata") or {}
        is_marked = (
            metadata.get("event_type") == marker["event_type"]
            and metadata.get("event_payload") == marker["event_payload"]
        )
        names = [attached.get("name") for attached in message.get("files") or ()]
        if is_marked or (file is not None and file.name in names):
            yield str(message.get("ts"))
