"""What a person says and does in the sandbox, by ids, and how it reaches the app."""

import asyncio
import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from bot.sandbox.slack.api.chat import changed, in_thread, remove
from bot.sandbox.slack.api.users import react
from bot.sandbox.slack.api.views import shown
from bot.sandbox.slack.blocks.check import new_block_id
from bot.sandbox.slack.delivery import events, payloads
from bot.sandbox.slack.delivery.delivery import Deliverer, Outcome
from bot.sandbox.slack.delivery.responses import answer as show_answer
from bot.sandbox.slack.errors import HumanRefused, SlackRefused
from bot.sandbox.slack.inspector import Inspector
from bot.sandbox.slack.people import BOT_USER_ID, Channel, Person
from bot.sandbox.slack.state import Document, Workspace
from bot.sandbox.slack.text import carried, mentions, rich_text, slash_text


@dataclass(frozen=True, kw_only=True)
class SlashResult:
    """What came of a slash command.

    Attributes:
        error: None, or the word the client shows: "operation_timeout", "dispatch_failed",
            "slash_in_thread", "no_such_command".
        response_text: The text the app put into its acknowledgement.
        response: The whole of that.
    """

    ok: bool
    ack_ms: float
    error: str | None = None
    response_text: str | None = None
    response: Document | None = None


def seen_error(outcome: Outcome) -> str:
    """What the client shows for a failed delivery."""
    failed = outcome.error in ("http_error", "connection_failed")
    return "dispatch_failed" if failed else "operation_timeout"


@contextlib.contextmanager
def answering(inspector: Inspector, name: str) -> Iterator[None]:
    """Complain when what the app put into an acknowledgement is nothing Slack understands."""
    try:
        yield
    except SlackRefused as refused:
        what = "; ".join(refused.detail.get("errors", ())) or refused.error
        inspector.complain(refused.error, name, f"in the acknowledgement: {what}")


class Acts:
    """Each act returns when the app has acknowledged it, or had its time to."""

    def __init__(self, workspace: Workspace, deliverer: Deliverer, url: str) -> None:
        self.workspace = workspace
        self.deliverer = deliverer
        self._url = url

    def response_url(
        self,
        person: Person,
        channel: Channel,
        *,
        message_ts: str | None = None,
        thread_ts: str | None = None,
    ) -> str:
        """A new response_url for one interaction."""
        name = self.workspace.new_response_url(
            user=person.id, channel=channel.id, message_ts=message_ts, thread_ts=thread_ts
        )
        return f"{self._url}/response/{name}"

    async def slash(
        self, person: Person, channel: Channel, command: str, text: str, *, from_thread: bool
    ) -> SlashResult:
        """Send a slash command, and show what the acknowledgement says."""
        if from_thread:
            return SlashResult(ok=False, ack_ms=0, error="slash_in_thread")
        known = {each.command: each for each in self.workspace.manifest.commands}
        if command not in known:
            return SlashResult(ok=False, ack_ms=0, error="no_such_command")
        people, channels = self.workspace.names()
        url = self.response_url(person, channel)
        payload = payloads.slash_command(
            person=person,
            channel=channel,
            command=command,
            text=slash_text(
                text.strip(),
                people=people,
                channels=channels,
                should_escape=known[command].should_escape,
            ),
            response_url=url,
            trigger_id=self.workspace.new_trigger(person.id),
        )
        outcome = await self.deliverer.interact("slash_commands", command, payload)
        if outcome.error is not None:
            return SlashResult(ok=False, ack_ms=outcome.ms, error=seen_error(outcome))
        if outcome.answer:
            place = self.workspace.response_urls[url.rsplit("/", 1)[1]]
            with answering(self.workspace.inspector, command):
                show_answer(self.workspace, place, outcome.answer)
        text_of_answer = str(outcome.answer.get("text", "")) if outcome.answer else None
        return SlashResult(
            ok=True, ack_ms=outcome.ms, response=outcome.answer, response_text=text_of_answer
        )

    async def say(
        self, person: Person, channel: Channel, text: str, *, thread_ts: str | None
    ) -> Document:
        """Write a message; a mention of the app reaches it twice."""
        if channel.is_archived:
            raise HumanRefused("is_archived", channel.name)
        if person.id not in channel.members:
            raise HumanRefused("not_in_channel", f"{person.name} is not in {channel.name}")
        people, channels = self.workspace.names()
        written = carried(text, people=people, channels=channels)
        try:
            place = in_thread(self.workspace, channel, thread_ts or "")
        except SlackRefused:
            raise HumanRefused("thread_not_found", str(thread_ts)) from None
        message: Document = {
            "user": person.id,
            "type": "message",
            "ts": self.workspace.new_ts(),
            "client_msg_id": str(uuid.uuid4()),
            "text": written,
            "team": person.team_id,
            "blocks": [rich_text(written, new_block_id())],
            **place,
        }
        self.workspace.add(channel, message)
        told = [events.message_event(message, channel)]
        if BOT_USER_ID in mentions(written) and not channel.is_im:
            told.append(events.app_mention_event(message, channel))
        await self._delivered(told, channel)
        return message

    async def _delivered(self, told: list[Document], channel: Channel | None) -> None:
        tried = [self.workspace.emit(event, channel) for event in told]
        await asyncio.gather(*(each for each in tried if each is not None))

    async def edit(self, person: Person, channel: Channel, ts: str, text: str) -> None:
        """Edit one's own message."""
        message = self._message(channel, ts)
        if message["user"] != person.id:
            raise HumanRefused("cant_update_message")
        people, channels = self.workspace.names()
        previous = dict(message)
        message["text"] = carried(text, people=people, channels=channels)
        message["blocks"] = [rich_text(message["text"], new_block_id())]
        message["edited"] = {"user": person.id, "ts": self.workspace.new_ts()}
        changed(self.workspace, channel, message, previous)

    async def delete(self, person: Person, channel: Channel, ts: str) -> None:
        """Delete a message: one's own, or any as an admin."""
        message = self._message(channel, ts)
        if message["user"] != person.id and not person.is_admin:
            raise HumanRefused("cant_delete_message")
        remove(self.workspace, channel, message)

    async def react(self, person: Person, channel: Channel, ts: str, name: str) -> None:
        """Add a reaction."""
        message = self._message(channel, ts)
        if not react(self.workspace, channel, message, user=person.id, name=name.strip(":")):
            raise HumanRefused("already_reacted")

    def _message(self, channel: Channel, ts: str) -> Document:
        message = self.workspace.message(channel.id, ts)
        if message is None:
            raise HumanRefused("message_not_found", ts)
        return message

    async def shortcut(self, person: Person, channel: Channel, ts: str, callback_id: str) -> None:
        """Use a message shortcut of the app."""
        message = self._message(channel, ts)
        kinds = {each.callback_id: each.type for each in self.workspace.manifest.shortcuts}
        if kinds.get(callback_id) != "message":
            raise HumanRefused("no_such_shortcut", callback_id)
        payload = payloads.message_action(
            person=person,
            channel=channel,
            message=message,
            callback_id=callback_id,
            action_ts=self.workspace.new_ts(),
            response_url=self.response_url(person, channel, message_ts=ts),
            trigger_id=self.workspace.new_trigger(person.id),
        )
        await self._interacted(callback_id, payload)

    async def global_shortcut(self, person: Person, callback_id: str) -> None:
        """Use a global shortcut of the app."""
        kinds = {each.callback_id: each.type for each in self.workspace.manifest.shortcuts}
        if kinds.get(callback_id) != "global":
            raise HumanRefused("no_such_shortcut", callback_id)
        payload = payloads.global_shortcut(
            person=person,
            callback_id=callback_id,
            action_ts=self.workspace.new_ts(),
            trigger_id=self.workspace.new_trigger(person.id),
        )
        await self._interacted(callback_id, payload)

    async def _interacted(self, name: str, payload: Document) -> None:
        outcome = await self.deliverer.interact("interactive", name, payload)
        if outcome.error is not None:
            raise HumanRefused(seen_error(outcome), name)

    async def open_home(self, person: Person, *, tab: str = "home") -> Document | None:
        """Look at the app's home (or messages) tab; what is published there now."""
        home = self.workspace.homes.get(person.id)
        channel = self.workspace.direct_message(person)
        view = shown(home) if home else None
        event = events.app_home_opened_event(
            user=person.id, channel=channel, tab=tab, view=view, ts=self.workspace.new_ts()
        )
        await self._delivered([event], channel)
        home = self.workspace.homes.get(person.id)
        return shown(home) if home else None

    async def set_member(self, person: Person, channel: Channel, *, member: bool) -> None:
        """Invite the app into a channel, or remove it."""
        if member == (BOT_USER_ID in channel.members):
            return
        ts = self.workspace.new_ts()
        if member:
            channel.members.add(BOT_USER_ID)
            event = events.member_joined_event(
                user=BOT_USER_ID, channel=channel, inviter=person.id, ts=ts
            )
            self.workspace.inspector.changed("channel", channel=channel.id)
            await self._delivered([event], channel)
            return
        channel.members.discard(BOT_USER_ID)
        self.workspace.inspector.changed("channel", channel=channel.id)
        # The last thing the app hears of a channel, so membership is not asked for.
        await self._delivered([events.bot_left_event(channel=channel, ts=ts)], None)

    async def archive(self, person: Person, channel: Channel) -> None:
        """Archive a channel."""
        channel.is_archived = True
        self.workspace.inspector.changed("channel", channel=channel.id)
        event = events.channel_archive_event(
            channel=channel, user=person.id, ts=self.workspace.new_ts()
        )
        await self._delivered([event], channel)

    async def unarchive(self, person: Person, channel: Channel) -> None:
        """Take a channel out of the archive; the app stays a member, as it was."""
        channel.is_archived = False
        self.workspace.inspector.changed("channel", channel=channel.id)
        event = events.channel_archive_event(
            channel=channel, user=person.id, ts=self.workspace.new_ts(), is_back=True
        )
        await self._delivered([event], channel)

    async def press_stop(self, person: Person, channel: Channel, thread_ts: str) -> None:
        """Press the native stop button of an agent session; it exists only while it works."""
        session = self.workspace.sessions.get((channel.id, thread_ts))
        if session is None or session["status"] != "processing":
            raise HumanRefused("nothing_to_click", "no session is processing here")
        streaming = []
        for message in self.workspace.replies(channel.id, thread_ts):
            if message.get("streaming_state") == "in_progress":
                message["stopped_by_user"] = True
                streaming.append(message["ts"])
        event = events.agent_session_stopped_event(
            channel=channel.id,
            thread_ts=thread_ts,
            user=person.id,
            streaming=streaming,
            ts=self.workspace.new_ts(),
        )
        await self._delivered([event], channel)
