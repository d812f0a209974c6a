"""The workspace's data: conversations, messages, views, files, triggers.

It stores and finds; the rules about permissions are in the modules of `api`.
"""

import asyncio
import random
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox.slack import people
from bot.sandbox.slack.acting_page import acting_page
from bot.sandbox.slack.clock import Clock
from bot.sandbox.slack.errors import ActionRefused
from bot.sandbox.slack.inspector import Inspector
from bot.sandbox.slack.manifest import Manifest
from bot.sandbox.slack.organisation import Organisation
from bot.sandbox.slack.people import BOT_ID, BOT_USER_ID, Channel, Group, Person

Document = dict[str, Any]
Emit = Callable[[Document, Channel | None], "asyncio.Future[None] | None"]

# A trigger is valid for 3 s; a response_url for half an hour and five uses.
TRIGGER_SECONDS = 3.0
RESPONSE_SECONDS = 30 * 60.0
RESPONSE_USES = 5

_ID_CHARACTERS = string.ascii_uppercase + string.digits


def new_id(prefix: str) -> str:
    """A new id in Slack's form."""
    return prefix + "0" + "".join(secrets.choice(_ID_CHARACTERS) for _ in range(9))


@dataclass(kw_only=True)
class OpenView:
    """A modal on a person's screen, or a person's home tab.

    Attributes:
        document: The view as the Web API returns it, without state.
        entered: The values entered so far: block_id → action_id → value.
        page: The page that opened it and shows it; empty if every page of the person does.
    """

    document: Document
    user: str
    page: str = ""
    entered: dict[str, dict[str, Document]] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The view's id."""
        return str(self.document["id"])


@dataclass(kw_only=True)
class ResponseUrl:
    """A permission to answer one interaction without a token."""

    user: str
    channel: str
    created_at: float
    thread_ts: str | None = None
    message_ts: str | None = None
    uses: int = 0


@dataclass(kw_only=True)
class StoredFile:
    """A file from its announcement over its upload to its sharing."""

    id: str
    name: str
    length: int
    snippet_type: str | None
    alt: str | None = None
    content: bytes | None = None
    title: str | None = None
    is_shared: bool = False


@dataclass(kw_only=True)
class Trigger:
    """The right to open one view, valid for a few seconds."""

    user: str
    created_at: float
    page: str = ""
    is_used: bool = False


class Workspace:
    """All data of team Acme.

    Attributes:
        messages: Per channel, by timestamp, oldest first.
        ephemerals: Messages that only one person sees: (user, channel, message).
        stacks: Open modals by person, the topmost last.
        homes: Published home tab by person.
        sessions: Agent sessions and assistant threads: (channel, thread) → status and title.
        organisation: The organisation that the team belongs to, if it does.
        emit: Called with every event and its channel; returns a future that is done after
            the app's first chance to acknowledge.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        manifest: Manifest,
        inspector: Inspector,
        organisation: Organisation | None = None,
    ) -> None:
        self.clock = clock
        self.manifest = manifest
        self.inspector = inspector
        self.organisation = organisation
        self.emit: Emit = lambda _event, _channel: None
        self._last_ts = 0
        self.seed()

    def seed(self) -> None:
        """Discard everything and create the initial state."""
        seeded = people.seed_people(self.manifest.bot_name)
        self.people: dict[str, Person] = {each.id: each for each in seeded}
        self.channels: dict[str, Channel] = {each.id: each for each in people.seed_channels(seeded)}
        if self.organisation is not None:
            self.organisation.join(self.people, self.channels)
        self.groups: dict[str, Group] = {each.id: each for each in people.seed_groups()}
        self.messages: dict[str, dict[str, Document]] = {}
        self.ephemerals: list[tuple[str, str, Document]] = []
        self.stacks: dict[str, list[OpenView]] = {}
        self.homes: dict[str, OpenView] = {}
        self.triggers: dict[str, Trigger] = {}
        self.response_urls: dict[str, ResponseUrl] = {}
        self.files: dict[str, StoredFile] = {}
        self.sessions: dict[tuple[str, str], Document] = {}

    def new_ts(self) -> str:
        """A timestamp later than all earlier ones; it is a message's id."""
        self._last_ts = max(self._last_ts + 1, round(self.clock.now() * 1_000_000))
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def person(self, identifier: str | None) -> Person:
        """A person by id or name; by default the first one.

        Raises:
            ActionRefused: If nobody has this name.
        """
        if identifier is None:
            return next(iter(self.people.values()))
        for person in self.people.values():
            if identifier.lstrip("@") in (person.id, person.name):
                return person
        raise ActionRefused("user_not_found", identifier)

    def channel(self, identifier: str) -> Channel:
        """A channel by id, name or "@person" (the direct message with the bot).

        Raises:
            ActionRefused: If there is no such channel.
        """
        if identifier in self.channels:
            return self.channels[identifier]
        if identifier.startswith("@"):
            return self.direct_message(self.person(identifier))
        for channel in self.channels.values():
            if not channel.is_im and channel.name == identifier.lstrip("#"):
                return channel
        raise ActionRefused("channel_not_found", identifier)

    def direct_message(self, person: Person) -> Channel:
        """The conversation of a person with the bot; created if missing."""
        channel = people.direct_message(person)
        return self.channels.setdefault(channel.id, channel)

    def names(self) -> tuple[dict[str, str], dict[str, str]]:
        """Ids by name: of the people, and of the channels."""
        return (
            {each.name: each.id for each in self.people.values()},
            {each.name: each.id for each in self.channels.values() if not each.is_im},
        )

    def add(self, channel: Channel, message: Document) -> None:
        """Add a message to a channel."""
        self.messages.setdefault(channel.id, {})[message["ts"]] = message
        self.publish_message_change(channel.id, message)

    def publish_message_change(self, channel_id: str, message: Document) -> None:
        """Notify the screens of a new or changed message."""
        self.inspector.publish_change(
            "message", channel=channel_id, ts=message["ts"], thread_ts=message.get("thread_ts")
        )

    def message(self, channel_id: str, ts: str) -> Document | None:
        """A message that everybody in the channel sees."""
        return self.messages.get(channel_id, {}).get(ts)

    def ephemeral(self, channel_id: str, ts: str) -> Document | None:
        """A message that one person sees."""
        for _, channel, message in self.ephemerals:
            if channel == channel_id and message["ts"] == ts:
                return message
        return None

    def replies(self, channel_id: str, root_ts: str) -> list[Document]:
        """The replies of a thread, oldest first, without the root."""
        return [
            each
            for each in self.messages.get(channel_id, {}).values()
            if each.get("thread_ts") == root_ts and each["ts"] != root_ts
        ]

    def thread_root_ts(self, channel_id: str, ts: str) -> str:
        """The root of a timestamp's thread: a reply to a reply belongs to the same root."""
        message = self.message(channel_id, ts)
        return str(message.get("thread_ts", ts)) if message else ts

    def with_reply_counts(self, channel_id: str, message: Document) -> Document:
        """A message as it is read: a root contains its number of replies."""
        replies = self.replies(channel_id, message["ts"])
        if not replies:
            return message
        return message | {
            "thread_ts": message["ts"],
            "reply_count": len(replies),
            "reply_users_count": len({each["user"] for each in replies}),
            "reply_users": list(dict.fromkeys(each["user"] for each in replies)),
            "latest_reply": replies[-1]["ts"],
            "is_locked": False,
            "subscribed": True,
        }

    def new_trigger(self, user: str) -> str:
        """A trigger id for a person's action."""
        trigger = f"{random.randrange(10**12, 10**13)}.{random.randrange(10**12)}"  # noqa: S311
        trigger += "." + secrets.token_hex(16)
        self.triggers[trigger] = Trigger(
            user=user, created_at=self.clock.now(), page=acting_page.get()
        )
        return trigger

    def new_response_url(
        self,
        *,
        user: str,
        channel: str,
        thread_ts: str | None = None,
        message_ts: str | None = None,
    ) -> str:
        """The id of a new response_url."""
        name = secrets.token_urlsafe(18)
        self.response_urls[name] = ResponseUrl(
            user=user,
            channel=channel,
            thread_ts=thread_ts,
            message_ts=message_ts,
            created_at=self.clock.now(),
        )
        return name

    def view(self, view_id: str) -> OpenView | None:
        """A view that is open or published to a home tab."""
        on_screens = [each for stack in self.stacks.values() for each in stack]
        for view in [*on_screens, *self.homes.values()]:
            if view.id == view_id:
                return view
        return None

    def bot_author(self) -> Document:
        """The author fields of every message of the bot."""
        return {
            "user": BOT_USER_ID,
            "type": "message",
            "bot_id": BOT_ID,
            "app_id": people.APP_ID,
            "team": people.TEAM_ID,
            "bot_profile": self.bot_profile(),
        }

    def bot_profile(self) -> Document:
        """The bot's profile as messages contain it."""
        return {
            "id": BOT_ID,
            "deleted": False,
            "name": self.manifest.name,
            "updated": 1_767_225_600,
            "app_id": people.APP_ID,
            "user_id": BOT_USER_ID,
            "icons": {},
            "team_id": people.TEAM_ID,
        }
