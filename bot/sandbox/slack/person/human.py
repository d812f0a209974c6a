"""The interface of tests: a person at Slack's client, addressed by names and labels."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from bot.sandbox.slack.api.views import view_with_state
from bot.sandbox.slack.errors import ActionRefused
from bot.sandbox.slack.person import interactions
from bot.sandbox.slack.person.actions import PersonActions, SlashResult
from bot.sandbox.slack.person.block_interactions import BlockInteractions
from bot.sandbox.slack.state import Document, OpenView
from bot.sandbox.slack.text import visible_text

T = TypeVar("T")


class Human:
    """A person; by default the first of the team, ada.

    People and channels are given by id or name ("ben", "#builds"; "@ben" is ben's direct
    message with the app).  Each action returns when the app has acknowledged it.

    Raises, in every action:
        ActionRefused: The error that Slack's client would show, mostly "operation_timeout",
            or the reason why the action is impossible.

    Attributes:
        confirmed_dialogs: The confirm dialogs that clicks accepted automatically.
    """

    def __init__(self, actions: PersonActions, block_interactions: BlockInteractions) -> None:
        self._actions = actions
        self._block_interactions = block_interactions
        self._workspace = actions.workspace
        self.confirmed_dialogs: list[Document] = []

    async def slash(
        self,
        channel: str,
        command: str,
        text: str = "",
        *,
        user: str | None = None,
        thread_ts: str | None = None,
    ) -> SlashResult:
        """Send a slash command; in a thread it is refused, as in Slack."""
        person, target_channel = self._workspace.person(user), self._workspace.channel(channel)
        return await self._actions.slash(
            person, target_channel, command, text, from_thread=thread_ts is not None
        )

    async def say(
        self, channel: str, text: str, *, thread_ts: str | None = None, user: str | None = None
    ) -> Document:
        """Write a message; "@signalbox" or `<@U…>` mentions the app."""
        person, target_channel = self._workspace.person(user), self._workspace.channel(channel)
        return await self._actions.say(person, target_channel, text, thread_ts=thread_ts)

    async def click(
        self,
        channel: str,
        ts: str,
        *,
        label: str | None = None,
        action_id: str | None = None,
        block_id: str | None = None,
        user: str | None = None,
        **entered: Any,
    ) -> None:
        """Press a button or choose an option in a message; confirm dialogs are accepted."""
        person, target_channel = self._workspace.person(user), self._workspace.channel(channel)
        message, _ = self._block_interactions.message_on_screen(person, target_channel, ts)
        found = interactions.find_element(
            message.get("blocks", []), label=label, action_id=action_id, block_id=block_id
        )
        self._record_confirm_dialog(found)
        await self._block_interactions.click(person, target_channel, ts, found, entered)

    def _record_confirm_dialog(self, found: interactions.FoundElement) -> None:
        if confirm := found.element.get("confirm"):
            self.confirmed_dialogs.append(confirm)

    async def click_view(
        self,
        view_id: str,
        *,
        label: str | None = None,
        action_id: str | None = None,
        user: str | None = None,
        **entered: Any,
    ) -> None:
        """Press a button or choose an option in a modal or the home tab."""
        person = self._workspace.person(user)
        view = self._block_interactions.view_on_screen(person, view_id)
        found = interactions.find_element(view.document["blocks"], label=label, action_id=action_id)
        self._record_confirm_dialog(found)
        await self._block_interactions.click_view(person, view_id, found, entered)

    async def submit(
        self, view_id: str, values: Mapping[str, Any] | None = None, user: str | None = None
    ) -> dict[str, str] | None:
        """Fill in a modal and submit it.

        Args:
            view_id: The modal.
            values: By label, block_id or action_id: text, or an option's text, or a list of them.
            user: The person; by default the one who has the modal open.

        Returns:
            The errors now shown, by block_id, or None.
        """
        view = self._view(view_id, user)
        person = self._workspace.person(view.user)
        typed: dict[str, dict[str, Document]] = {}
        for name, value in (values or {}).items():
            found = _find_input(view, name)
            block_id, action_id = found.block["block_id"], found.element["action_id"]
            entry = interactions.input_state(found.element, value)
            typed.setdefault(block_id, {})[action_id] = entry
        result = await self._block_interactions.submit(person, view_id, typed)
        return result.errors

    def _view(self, view_id: str, user: str | None) -> OpenView:
        if user is not None:
            return self._block_interactions.view_on_screen(self._workspace.person(user), view_id)
        view = self._workspace.view(view_id)
        if view is None:
            raise ActionRefused("view_not_found", view_id)
        return view

    async def close_view(self, view_id: str, user: str | None = None) -> None:
        """Cancel a modal."""
        view = self._view(view_id, user)
        await self._block_interactions.close(self._workspace.person(view.user), view_id)

    async def suggest(
        self, view_id: str, name: str, typed: str, user: str | None = None
    ) -> list[str]:
        """Type into a menu whose options come from the app; returns their texts."""
        view = self._view(view_id, user)
        options = await self._block_interactions.suggest(
            self._workspace.person(view.user), view_id, _find_input(view, name), typed
        )
        return [option["text"]["text"] for option in options]

    async def shortcut(
        self, callback_id: str, channel: str, ts: str, user: str | None = None
    ) -> None:
        """Use a message shortcut."""
        person, target_channel = self._workspace.person(user), self._workspace.channel(channel)
        await self._actions.shortcut(person, target_channel, ts, callback_id)

    async def global_shortcut(self, callback_id: str, user: str | None = None) -> None:
        """Use a global shortcut."""
        await self._actions.global_shortcut(self._workspace.person(user), callback_id)

    async def open_home(self, user: str | None = None) -> Document | None:
        """Open the home tab; returns its view after the app has received the event."""
        return await self._actions.open_home(self._workspace.person(user))

    async def invite(self, channel: str, user: str | None = None) -> None:
        """Invite the app into a channel."""
        person, target_channel = self._workspace.person(user), self._workspace.channel(channel)
        await self._actions.set_member(person, target_channel, member=True)

    async def kick(self, channel: str, user: str | None = None) -> None:
        """Remove the app from a channel."""
        person, target_channel = self._workspace.person(user), self._workspace.channel(channel)
        await self._actions.set_member(person, target_channel, member=False)

    async def archive(self, channel: str, user: str | None = None) -> None:
        """Archive a channel."""
        person, target_channel = self._workspace.person(user), self._workspace.channel(channel)
        await self._actions.archive(person, target_channel)

    async def unarchive(self, channel: str, user: str | None = None) -> None:
        """Unarchive a channel."""
        person, target_channel = self._workspace.person(user), self._workspace.channel(channel)
        await self._actions.unarchive(person, target_channel)

    async def delete_channel(self, channel: str) -> None:
        """Delete a channel."""
        await self._actions.delete_channel(self._workspace.channel(channel))

    async def react(self, channel: str, ts: str, name: str, user: str | None = None) -> None:
        """Add a reaction to a message."""
        person, target_channel = self._workspace.person(user), self._workspace.channel(channel)
        await self._actions.add_reaction(person, target_channel, ts, name)

    async def edit(self, channel: str, ts: str, text: str, user: str | None = None) -> None:
        """Edit one of the person's own messages."""
        person, target_channel = self._workspace.person(user), self._workspace.channel(channel)
        await self._actions.edit(person, target_channel, ts, text)

    async def delete(self, channel: str, ts: str, user: str | None = None) -> None:
        """Delete a message: one's own, or (as an admin, like ada) any message."""
        person, target_channel = self._workspace.person(user), self._workspace.channel(channel)
        await self._actions.delete(person, target_channel, ts)

    async def press_stop(self, channel: str, thread_ts: str, user: str | None = None) -> None:
        """Press the native stop button of an agent session."""
        person, target_channel = self._workspace.person(user), self._workspace.channel(channel)
        await self._actions.press_stop(person, target_channel, thread_ts)

    async def wait_for(
        self, predicate: Callable[[], T | None], *, timeout: float = 120, what: str = "it"
    ) -> T:
        """Wait until the predicate returns a true value; it is evaluated at every change.

        Raises:
            WaitTimeout: If it did not in time; the text lists the latest calls.
        """
        return await self._workspace.inspector.wait_until(predicate, timeout=timeout, what=what)

    def messages(self, channel: str) -> list[Document]:
        """A channel's messages, oldest first: replies only if also sent to the channel."""
        target_channel = self._workspace.channel(channel)
        return [
            self._workspace.with_reply_counts(target_channel.id, message)
            for message in self._workspace.messages.get(target_channel.id, {}).values()
            if message.get("thread_ts", message["ts"]) == message["ts"]
            or message.get("subtype") == "thread_broadcast"
        ]

    def thread(self, channel: str, ts: str) -> list[Document]:
        """The root and its replies, oldest first; empty if there is no such message."""
        target_channel = self._workspace.channel(channel)
        root = self._workspace.message(target_channel.id, ts)
        if root is None:
            return []
        replies = self._workspace.replies(target_channel.id, ts)
        return [self._workspace.with_reply_counts(target_channel.id, root), *replies]

    def ephemerals(self, user: str | None = None) -> list[Document]:
        """The ephemeral messages of this person in all channels, oldest first."""
        person = self._workspace.person(user)
        return [each for owner, _, each in self._workspace.ephemerals if owner == person.id]

    def modal(self, user: str | None = None) -> Document | None:
        """The topmost modal on a person's screen."""
        stack = self._workspace.stacks.get(self._workspace.person(user).id)
        return view_with_state(stack[-1]) if stack else None

    def home(self, user: str | None = None) -> Document | None:
        """The view published to a person's home tab."""
        home = self._workspace.homes.get(self._workspace.person(user).id)
        return view_with_state(home) if home else None

    def find(self, text: str, *, channel: str | None = None) -> Document | None:
        """The newest message, ephemeral ones included, that contains this text."""
        only_channel_id = self._workspace.channel(channel).id if channel else None
        everything = [
            message
            for channel_id, messages in self._workspace.messages.items()
            for message in messages.values()
            if only_channel_id in (None, channel_id)
        ]
        everything += [
            message
            for _, channel_id, message in self._workspace.ephemerals
            if only_channel_id in (None, channel_id)
        ]
        hits = [each for each in everything if text in visible_text(each)]
        return max(hits, key=lambda each: str(each["ts"]), default=None)

    def text(self, message: Mapping[str, Any]) -> str:
        """All visible text of a message."""
        return visible_text(message)

    def labels(self, message: Mapping[str, Any]) -> list[str]:
        """The labels of everything that can be pressed in a message or view."""
        return interactions.labels(message.get("blocks", []))


def _find_input(view: OpenView, name: str) -> interactions.FoundElement:
    for found in interactions.inputs(view.document["blocks"]):
        label = found.block.get("label", {}).get("text")
        if name in (label, found.block["block_id"], found.element["action_id"]):
            return found
    raise ActionRefused("no_such_input", name)
