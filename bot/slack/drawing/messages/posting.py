"""Posts and updates single messages, so that each exists once even if responses are lost."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import uuid4

from bot.charts.children import ChartsFailed
from bot.charts.pictures import ChartPictures
from bot.slack.client.errors import SlackRefused
from bot.slack.client.rate_limits import Priority
from bot.slack.client.refusals import RefusalKind, refusal_kind
from bot.slack.client.upload import Upload
from bot.slack.client.web_api import Slack
from bot.slack.drawing.messages.forms import changed_forms, lost_charts, new_forms
from bot.slack.ports import MessageStore
from bot.slack.views.message import HomeView, Message, PictureFile, TextFile, ThreadFile
from core.domain.drawables import DrawableId, DrawableKind, SlackMessage, SlackMessageState

log = logging.getLogger(__name__)

# The type of the metadata that identifies a message after a lost response or a crash.
METADATA_EVENT_TYPE = "signalbox_message"
# `SlackMessage.error` of a message that Slack certainly does not have: it is posted without a
# search.
UNSENT = "unsent"
# That of a picture that could not be drawn.
NOT_DRAWN = "not_drawn"
# The defaults of `parse` and `link_names` differ between chat.update and chat.postMessage.
_MESSAGE_DEFAULTS: Mapping[str, Any] = {
    "parse": "none",
    "link_names": False,
    "unfurl_links": False,
    "unfurl_media": False,
}


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where a message is sent, into which slot, and for which version of its drawable.

    Attributes:
        channel_id: The channel; for a Home tab, the person.
        is_broadcast: Whether a reply is shown in the channel too.
    """

    drawable: DrawableId
    slot: str
    channel_id: str
    thread_ts: str | None
    version: int
    is_broadcast: bool = False


@dataclass(frozen=True)
class Poster:
    """Posts and updates messages, and stores their rows of `slack_messages`.

    Every method also raises `Unavailable` if the database cannot be reached.
    """

    slack: Slack
    store: MessageStore
    pictures: ChartPictures = field(default_factory=ChartPictures)

    async def post(
        self,
        message: Message,
        *,
        destination: Destination,
        previous: SlackMessage | None,
        now: datetime,
    ) -> SlackMessage:
        """Post a new message; the caller holds the permit.

        The row has the state `SENDING` before the call.  If the response is lost, the state
        stays; the caller must use `MessageFinder.find` before it tries again.  If Slack refuses
        the content, it is posted without its charts, if it has any, or as a plain text.

        Raises:
            SlackError: As `Slack.call`.
        """
        row = _sending_row(destination, previous, now)
        await self.store.save_message(row)
        is_broadcast = destination.is_broadcast and row.thread_ts is not None
        arguments: dict[str, Any] = {
            "channel": row.channel_id,
            "thread_ts": row.thread_ts,
            "reply_broadcast": True if is_broadcast else None,
            "metadata": metadata_of(row),
            **_MESSAGE_DEFAULTS,
        }
        has_permit = True
        answer: Mapping[str, Any] = {}
        for content in new_forms(message):
            try:
                answer = await self.slack.call(
                    "chat.postMessage",
                    priority=Priority.FINAL,
                    has_permit=has_permit,
                    **arguments,
                    **content,
                )
                break
            except SlackRefused as error:
                is_last = "blocks" not in content
                if refusal_kind(error.name) is not RefusalKind.CONTENT_REFUSED or is_last:
                    raise
                _log_refused_content(row, error)
                has_permit = False
        row = replace(row, error=lost_charts(message, content))
        return await self._record_shown(row, str(answer.get("ts", "")), content_hash(message), now)

    async def upload(
        self,
        file: TextFile | PictureFile,
        *,
        destination: Destination,
        previous: SlackMessage | None,
        now: datetime,
    ) -> SlackMessage:
        """Upload a file to the thread, with the same row states as `post`.

        Its name identifies it in later searches.  A picture that cannot be drawn is given up: its
        figures are in the thread's head in words.

        Raises:
            SlackError: As `Slack.call`.
        """
        row = _sending_row(destination, previous, now)
        try:
            upload = await self._upload_of(file)
        except ChartsFailed as error:
            log.warning(
                "%s of %s cannot be drawn: %s",
                row.slot,
                row.drawable,
                error,
                extra={"event": "picture.failed", "slot": row.slot, **row.drawable.log_fields},
            )
            return await self.mark_lost(row, NOT_DRAWN, now=now)
        await self.store.save_message(row)
        await self.slack.upload(upload, channel=row.channel_id, thread_ts=row.thread_ts)
        return await self._record_shown(row, "", file_hash(file), now)

    async def update(
        self, message: Message, shown: SlackMessage, *, version: int, now: datetime
    ) -> SlackMessage:
        """Update an existing message; the caller holds the permit.

        If Slack refuses the content, a shorter message replaces it (if it is too long), or a
        plain text.

        Raises:
            SlackError: As `Slack.call`.
        """
        arguments: dict[str, Any] = {
            "channel": shown.channel_id,
            "ts": shown.message_ts,
            "parse": "none",
            "link_names": False,
            "metadata": metadata_of(shown),
        }
        has_permit = True
        for content in changed_forms(message):
            try:
                await self.slack.call(
                    "chat.update",
                    priority=Priority.FINAL,
                    has_permit=has_permit,
                    **arguments,
                    **content,
                )
                break
            except SlackRefused as error:
                is_last = not content["blocks"]
                if refusal_kind(error.name) is not RefusalKind.CONTENT_REFUSED or is_last:
                    raise
                _log_refused_content(shown, error)
                has_permit = False
        lost = lost_charts(message, content)
        row = replace(shown, state=SlackMessageState.SHOWN, error=lost, version=version)
        return await self._record_shown(row, shown.message_ts or "", content_hash(message), now)

    async def publish(
        self,
        home: HomeView,
        *,
        destination: Destination,
        previous: SlackMessage | None,
        now: datetime,
    ) -> SlackMessage:
        """Publish a Home tab; the caller holds the permit.  The call is idempotent.

        Raises:
            SlackError: As `Slack.call`.
        """
        row = _sending_row(destination, previous, now)
        if previous is None:
            await self.store.save_message(row)
        await self.slack.call(
            "views.publish", has_permit=True, user_id=row.channel_id, view=home.view
        )
        return await self._record_shown(row, "", content_hash(home), now)

    async def mark_unsent(self, shown: SlackMessage, *, now: datetime) -> None:
        """Record that Slack certainly does not have a message (HTTP 429, or a refusal)."""
        await self.store.save_message(
            replace(shown, state=SlackMessageState.GONE, error=UNSENT, updated_at=now)
        )

    async def mark_lost(self, shown: SlackMessage, reason: str, *, now: datetime) -> SlackMessage:
        """Record that a message cannot be shown, and why."""
        row = replace(shown, state=SlackMessageState.GONE, error=reason, updated_at=now)
        await self.store.save_message(row)
        return row

    async def _upload_of(self, file: TextFile | PictureFile) -> Upload:
        if isinstance(file, TextFile):
            return Upload(name=file.name, title=file.title, content=file.content.encode())
        [picture] = await self.pictures.draw([file.spec])
        return Upload(name=file.name, title=file.title, content=picture, alt=file.alt)

    async def _record_shown(
        self, row: SlackMessage, ts: str, digest: str | None, now: datetime
    ) -> SlackMessage:
        row = replace(
            row, state=SlackMessageState.SHOWN, message_ts=ts, content_hash=digest, updated_at=now
        )
        await self.store.save_message(row)
        return row


def content_hash(message: Message | HomeView) -> str:
    """Digest of the visible content of a message."""
    if isinstance(message, HomeView):
        return _digest(message.view)
    return _digest({"text": message.text, "blocks": list(message.blocks)})


def file_hash(file: ThreadFile) -> str:
    """Digest of a file's name; a posted file never changes, so its content does not count."""
    return _digest({"name": file.name})


def _digest(shown: object) -> str:
    text = json.dumps(shown, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _sending_row(
    destination: Destination, previous: SlackMessage | None, now: datetime
) -> SlackMessage:
    return SlackMessage(
        id=previous.id if previous else uuid4(),
        drawable_kind=destination.drawable.kind,
        thread_key=destination.drawable.key,
        slot=destination.slot,
        channel_id=destination.channel_id,
        state=SlackMessageState.SENDING,
        updated_at=now,
        thread_ts=destination.thread_ts,
        version=destination.version,
        attempts=previous.attempts if previous else 0,
        # Of a message that was not posted yet: the one that it replaces.
        message_ts=previous.message_ts if previous else None,
    )


def _log_refused_content(row: SlackMessage, error: SlackRefused) -> None:
    log.warning(
        "%s of %s was refused by slack: %s",
        row.slot,
        row.drawable,
        error.name,
        extra={
            "event": "message_content.refused",
            "slot": row.slot,
            "error": error.name,
            **row.drawable.log_fields,
        },
    )


def metadata_of(message: SlackMessage) -> dict[str, Any]:
    """The metadata that identifies a message in Slack.

    It omits the kind for threads of runs, because messages without it already exist in Slack.
    """
    payload = {"thread_key": message.thread_key, "slot": message.slot}
    if message.drawable_kind != DrawableKind.THREAD:
        payload["kind"] = message.drawable_kind
    if message.attempts:
        # A message that replaces another one must not be taken for it.
        payload["attempt"] = str(message.attempts)
    return {"event_type": METADATA_EVENT_TYPE, "event_payload": payload}
