"""What a person presses, chooses and fills in, by ids, and how it reaches the app."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.sandbox.slack.api.views import answer_submission, close_top, shown
from bot.sandbox.slack.delivery import payloads
from bot.sandbox.slack.errors import HumanRefused
from bot.sandbox.slack.people import Channel, Person
from bot.sandbox.slack.person import interactions
from bot.sandbox.slack.person.actions import Acts, answering, seen_error
from bot.sandbox.slack.person.interactions import Found
from bot.sandbox.slack.state import Document, OpenView, Workspace

# More options than these an app may not give to a menu.
SUGGESTIONS = 100

Typed = Mapping[str, Mapping[str, Document]]


@dataclass(frozen=True, kw_only=True)
class SubmitResult:
    """What came of a submitted modal.

    Attributes:
        response_action: What the app answered: "errors", "update", "push", "clear" or None.
        errors: Per block what is wrong with it; None when the modal went through.
    """

    response_action: str | None
    errors: dict[str, str] | None


class Presses:
    """Each press returns when the app has acknowledged it.

    Raises, in every method:
        HumanRefused: "operation_timeout" or "dispatch_failed" as the client shows them; or
            the sandbox's own word where there is nothing to press.
    """

    def __init__(self, acts: Acts) -> None:
        self._acts = acts
        self._chosen: dict[tuple[str, str], dict[str, dict[str, Document]]] = {}

    @property
    def _workspace(self) -> Workspace:
        return self._acts.workspace

    def message_on_screen(self, person: Person, channel: Channel, ts: str) -> tuple[Document, bool]:
        """A message this person sees, and whether it is ephemeral."""
        if (message := self._workspace.message(channel.id, ts)) is not None:
            if person.id not in channel.members:
                raise HumanRefused("not_in_channel", channel.name)
            return message, False
        for user, channel_id, ephemeral in self._workspace.ephemerals:
            if (user, channel_id, ephemeral["ts"]) == (person.id, channel.id, ts):
                return ephemeral, True
        raise HumanRefused("message_not_found", ts)

    async def click(
        self,
        person: Person,
        channel: Channel,
        ts: str,
        found: Found,
        given: Mapping[str, Any] | None = None,
    ) -> None:
        """Press or choose something in a message."""
        message, is_ephemeral = self.message_on_screen(person, channel, ts)
        told = interactions.action(found, action_ts=self._workspace.new_ts(), given=given)
        state = self._chosen.setdefault((channel.id, ts), {})
        for block_id, entries in interactions.state_of(told).items():
            state.setdefault(block_id, {}).update(entries)
        payload = payloads.message_actions(
            person=person,
            channel=channel,
            message=message,
            is_ephemeral=is_ephemeral,
            actions=[told],
            state=state,
            response_url=self._acts.response_url(
                person, channel, message_ts=ts, thread_ts=message.get("thread_ts")
            ),
            trigger_id=self._workspace.new_trigger(person.id),
        )
        await self._interacted(told["action_id"], payload)

    async def _interacted(self, name: str, payload: Document) -> Document | None:
        outcome = await self._acts.deliverer.interact("interactive", name, payload)
        if outcome.error is not None:
            raise HumanRefused(seen_error(outcome), name)
        return outcome.answer

    def view_on_screen(self, person: Person, view_id: str) -> OpenView:
        """A view of this person's."""
        view = self._workspace.view(view_id)
        if view is None or view.user != person.id:
            raise HumanRefused("view_not_found", view_id)
        return view

    async def click_view(
        self, person: Person, view_id: str, found: Found, given: Mapping[str, Any] | None = None
    ) -> None:
        """Press or choose something in a modal or the home tab."""
        view = self.view_on_screen(person, view_id)
        told = interactions.action(found, action_ts=self._workspace.new_ts(), given=given)
        for block_id, entries in interactions.state_of(told).items():
            view.typed.setdefault(block_id, {}).update(entries)
        payload = payloads.view_actions(
            person=person,
            view=_shown(view),
            actions=[told],
            trigger_id=self._workspace.new_trigger(person.id),
        )
        await self._interacted(told["action_id"], payload)

    async def submit(self, person: Person, view_id: str, values: Typed) -> SubmitResult:
        """Submit a modal with these entries.

        Required fields and lengths are checked by the client first, as Slack's does.
        """
        view = self.view_on_screen(person, view_id)
        if view.document["type"] != "modal" or not view.document["submit"]:
            raise HumanRefused("nothing_to_click", "the view has no submit button")
        for block_id, entries in values.items():
            view.typed.setdefault(block_id, {}).update(dict(entries))
        blocks = view.document["blocks"]
        state = interactions.filled(blocks, view.typed)
        if errors := interactions.missing(blocks, state):
            return SubmitResult(response_action="errors", errors=errors)
        payload = payloads.view_submission(
            person=person,
            view=view.document | {"state": {"values": state}},
            trigger_id=self._workspace.new_trigger(person.id),
        )
        name = view.document["callback_id"] or "view_submission"
        answer = await self._interacted(name, payload)
        shown_errors = None
        with answering(self._workspace.inspector, name):
            shown_errors = answer_submission(self._workspace, view, answer)
        action = (answer or {}).get("response_action")
        return SubmitResult(response_action=action, errors=shown_errors)

    async def close(self, person: Person, view_id: str, *, clear: bool = False) -> None:
        """Close a modal by its cancel button, or all at once."""
        view = self.view_on_screen(person, view_id)
        stack = self._workspace.stacks.get(person.id, [])
        if not stack or stack[-1] is not view:
            raise HumanRefused("view_not_found", "it is not the topmost")
        clear = clear or bool(view.document["clear_on_close"])
        gone = close_top(self._workspace, person.id, clear=clear)
        await self._closed(person, gone, is_cleared=clear)

    async def _closed(self, person: Person, views: list[OpenView], *, is_cleared: bool) -> None:
        for view in views:
            if view.document["notify_on_close"]:
                payload = payloads.view_closed(
                    person=person, view=_shown(view), is_cleared=is_cleared
                )
                await self._interacted("view_closed", payload)

    async def suggest(
        self, person: Person, view_id: str, found: Found, typed: str
    ) -> list[Document]:
        """Type into a menu whose options the app gives; the options it shows."""
        view = self.view_on_screen(person, view_id)
        payload = payloads.block_suggestion(
            person=person,
            container={"type": "view", "view_id": view_id},
            action_id=found.element["action_id"],
            block_id=found.block["block_id"],
            value=typed,
            view=_shown(view),
        )
        answer = await self._interacted("block_suggestion", payload) or {}
        options = list(answer.get("options") or ())
        for group in answer.get("option_groups") or ():
            options += group.get("options", ())
        if len(options) > SUGGESTIONS:
            self._workspace.inspector.complain(
                "too_many_options", found.element["action_id"], f"{len(options)} options"
            )
        return options


def _shown(view: OpenView) -> Document:
    state = interactions.filled(view.document["blocks"], view.typed)
    return shown(view) | {"state": {"values": state}}
