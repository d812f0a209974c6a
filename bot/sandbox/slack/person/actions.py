"""A person's messages and actions, given by ids, and their delivery to the app."""

import asyncio
import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from bot.sandbox.slack.api.chat import record_edit, remove_message, thread_fields
from bot.sandbox.slack.api.users import add_reaction
from bot.sandbox.slack.api.views import view_with_state
from bot.sandbox.slack.blocks.block_check import new_block_id
from bot.sandbox.slack.delivery import events, payloads
from bot.sandbox.slack.delivery.dispatcher import Deliverer, DeliveryResult
from bot.sandbox.slack.delivery.responses import apply_response as show_answer
from bot.sandbox.slack.errors import ActionRefused, WebApiError
from bot.sandbox.slack.inspector import Inspector
from bot.sandbox.slack.people import BOT_USER_ID, Channel, Person
from bot.sandbox.slack.state import Document, Workspace
from bot.sandbox.slack.text import encode_text, mentions, rich_text, slash_text


@dataclass(frozen=True, kw_only=True)
class SlashResult:
    """The result of a slash command.

    Attributes:
        error: None, or the error the client shows: "operation_timeout", "dispatch_failed",
            "slash_in_thread", "no_such_command".
        response_text: The text in the app's acknowledgement.
        response: The app's whole acknowledgement.
    """

    ok: bool
    ack_ms: float
    error: str | None = None
    response_text: str | None = None
    response: Document | None = None


def client_error(outcome: DeliveryResult) -> str:
    """The error that the client shows for a failed delivery."""
    failed = outcome.error in ("http_error", "connection_failed")
    return "dispatch_failed" if failed else "operation_timeout"


@contextlib.contextmanager
def report_bad_acknowledgement(inspector: Inspector, name: str) -> Iterator[None]:
    """Record a problem if Slack would not understand the payload of an acknowledgement."""
    try:
        yield
    except WebApiError as refused:
        what = "; ".join(refused.detail.get("errors", ())) or refused.error
        inspector.add_problem(refused.error, name, f"in the acknowledgement: {what}")


class PersonActions:
    """Each action returns when the app has acknowledged it or its time is over."""

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
        """Send a slash command and show the response in its acknowledgement."""
        if from_thread:
            return SlashResult(ok=False, ack_ms=0, error="slash_in_thread")
        commands = {each.command: each for each in self.workspace.manifest.commands}
        if command not in commands:
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
                groups={group.handle: group.id for group in self.workspace.groups.values()},
                should_escape=commands[command].should_escape,
            ),
            response_url=url,
            trigger_id=self.workspace.new_trigger(person.id),
        )
        outcome = await self.deliverer.interact("slash_commands", command, payload)
        if outcome.error is not None:
            return SlashResult(ok=False, ack_ms=outcome.ms, error=client_error(outcome))
        if outcome.answer:
            target = self.workspace.response_urls[url.rsplit("/", 1)[1]]
            with report_bad_acknowledgement(self.workspace.inspector, command):
                show_answer(self.workspace, target, outcome.answer)
        text_of_answer = str(outcome.answer.get("text", "")) if outcome.answer else None
        return SlashResult(
            ok=True, ack_ms=outcome.ms, response=outcome.answer, response_text=text_of_answer
        )

    async def say(
        self, person: Person, channel: Channel, text: str, *, thread_ts: str | None
    ) -> Document:
        """Write a message; a mention of the app sends it two events."""
        if channel.is_archived:
            raise ActionRefused("is_archived", channel.name)
        if person.id not in channel.members:
            raise ActionRefused("not_in_channel", f"{person.name} is not in {channel.name}")
        people, channels = self.workspace.names()
        encoded = encode_text(text, people=people, channels=channels)
        try:
            fields = thread_fields(self.workspace, channel, thread_ts or "")
        except WebApiError:
            raise ActionRefused("thread_not_found", str(thread_ts)) from None
        message: Document = {
            "user": person.id,
            "type": "message",
            "ts": self.workspace.new_ts(),
            "client_msg_id": str(uuid.uuid4()),
            "text": encoded,
            "team": person.team_id,
            "blocks": [rich_text(encoded, new_block_id())],
            **fields,
        }
        self.workspace.add(channel, message)
        new_events = [events.message_event(message, channel)]
        if BOT_USER_ID in mentions(encoded) and not channel.is_im:
            new_events.append(events.app_mention_event(message, channel))
        await self._deliver(new_events, channel)
        return message

    async def _deliver(self, new_events: list[Document], channel: Channel | None) -> None:
        first_attempts = [self.workspace.emit(event, channel) for event in new_events]
        await asyncio.gather(*(each for each in first_attempts if each is not None))

    async def edit(self, person: Person, channel: Channel, ts: str, text: str) -> None:
        """Edit one of the person's own messages."""
        message = self._message(channel, ts)
        if message["user"] != person.id:
            raise ActionRefused("cant_update_message")
        people, channels = self.workspace.names()
        previous = dict(message)
        message["text"] = encode_text(text, people=people, channels=channels)
        message["blocks"] = [rich_text(message["text"], new_block_id())]
        message["edited"] = {"user": person.id, "ts": self.workspace.new_ts()}
        record_edit(self.workspace, channel, message, previous)

    async def delete(self, person: Person, channel: Channel, ts: str) -> None:
        """Delete a message: one's own, or as an admin any message."""
        message = self._message(channel, ts)
        if message["user"] != person.id and not person.is_admin:
            raise ActionRefused("cant_delete_message")
        remove_message(self.workspace, channel, message)

    async def add_reaction(self, person: Person, channel: Channel, ts: str, name: str) -> None:
        """Add a reaction."""
        message = self._message(channel, ts)
        if not add_reaction(self.workspace, channel, message, user=person.id, name=name.strip(":")):
            raise ActionRefused("already_reacted")

    def _message(self, channel: Channel, ts: str) -> Document:
        message = self.workspace.message(channel.id, ts)
        if message is None:
            raise ActionRefused("message_not_found", ts)
        return message

    async def shortcut(self, person: Person, channel: Channel, ts: str, callback_id: str) -> None:
        """Use a message shortcut of the app."""
        message = self._message(channel, ts)
        kinds = {each.callback_id: each.type for each in self.workspace.manifest.shortcuts}
        if kinds.get(callback_id) != "message":
            raise ActionRefused("no_such_shortcut", callback_id)
        payload = payloads.message_action(
            person=person,
            channel=channel,
            message=message,
            callback_id=callback_id,
            action_ts=self.workspace.new_ts(),
            response_url=self.response_url(person, channel, message_ts=ts),
            trigger_id=self.workspace.new_trigger(person.id),
        )
        await self._deliver_interaction(callback_id, payload)

    async def global_shortcut(self, person: Person, callback_id: str) -> None:
        """Use a global shortcut of the app."""
        kinds = {each.callback_id: each.type for each in self.workspace.manifest.shortcuts}
        if kinds.get(callback_id) != "global":
            raise ActionRefused("no_such_shortcut", callback_id)
        payload = payloads.global_shortcut(
            person=person,
            callback_id=callback_id,
            action_ts=self.workspace.new_ts(),
            trigger_id=self.workspace.new_trigger(person.id),
        )
        await self._deliver_interaction(callback_id, payload)

    async def _deliver_interaction(self, name: str, payload: Document) -> None:
        outcome = await self.deliverer.interact("interactive", name, payload)
        if outcome.error is not None:
            raise ActionRefused(client_error(outcome), name)

    async def open_home(self, person: Person, *, tab: str = "home") -> Document | None:
        """Open the app's home (or messages) tab; returns the view published there."""
        home = self.workspace.homes.get(person.id)
        channel = self.workspace.direct_message(person)
        view = view_with_state(home) if home else None
        event = events.app_home_opened_event(
            user=person.id, channel=channel, tab=tab, view=view, ts=self.workspace.new_ts()
        )
        await self._deliver([event], channel)
        home = self.workspace.homes.get(person.id)
        return view_with_state(home) if home else None

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
            self.workspace.inspector.publish_change("channel", channel=channel.id)
            await self._deliver([event], channel)
            return
        channel.members.discard(BOT_USER_ID)
        self.workspace.inspector.publish_change("channel", channel=channel.id)
        # It is the last event the app gets about a channel, so membership is not checked.
        await self._deliver([events.bot_left_event(channel=channel, ts=ts)], None)

    async def archive(self, person: Person, channel: Channel) -> None:
        """Archive a channel."""
        channel.is_archived = True
        self.workspace.inspector.publish_change("channel", channel=channel.id)
        event = events.channel_archive_event(
            channel=channel, user=person.id, ts=self.workspace.new_ts()
        )
        await self._deliver([event], channel)

    async def unarchive(self, person: Person, channel: Channel) -> None:
        """Unarchive a channel; the app is still a member if it was one."""
        channel.is_archived = False
        self.workspace.inspector.publish_change("channel", channel=channel.id)
        event = events.channel_archive_event(
            channel=channel, user=person.id, ts=self.workspace.new_ts(), is_unarchived=True
        )
        await self._deliver([event], channel)

    async def delete_channel(self, channel: Channel) -> None:
        """Delete a channel with all its messages."""
        had_app = BOT_USER_ID in channel.members
        del self.workspace.channels[channel.id]
        self.workspace.messages.pop(channel.id, None)
        self.workspace.inspector.publish_change("channel", channel=channel.id)
        if had_app:
            event = events.channel_deleted_event(channel=channel, ts=self.workspace.new_ts())
            await self._deliver([event], None)

    async def press_stop(self, person: Person, channel: Channel, thread_ts: str) -> None:
        """Press the native stop button of an agent session; only a working session has one."""
        session = self.workspace.sessions.get((channel.id, thread_ts))
        if session is None or session["status"] != "processing":
            raise ActionRefused("nothing_to_click", "no session is processing here")
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
        await self._deliver([event], channel)
