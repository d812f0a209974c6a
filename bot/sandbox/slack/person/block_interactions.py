"""A person's clicks, choices and entries, given by ids, and their delivery to the app."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.sandbox.slack.api.views import apply_submission_response, close_views, view_with_state
from bot.sandbox.slack.delivery import payloads
from bot.sandbox.slack.errors import ActionRefused
from bot.sandbox.slack.people import Channel, Person
from bot.sandbox.slack.person import interactions
from bot.sandbox.slack.person.actions import PersonActions, client_error, report_bad_acknowledgement
from bot.sandbox.slack.person.interactions import FoundElement
from bot.sandbox.slack.state import Document, OpenView, Workspace

# The most options that an app may return for a menu.
MAX_SUGGESTIONS = 100

ViewEntries = Mapping[str, Mapping[str, Document]]


@dataclass(frozen=True, kw_only=True)
class SubmitResult:
    """The result of a submitted modal.

    Attributes:
        response_action: The app's answer: "errors", "update", "push", "clear" or None.
        errors: Error text by block; None if the modal was accepted.
    """

    response_action: str | None
    errors: dict[str, str] | None


class BlockInteractions:
    """Each action returns when the app has acknowledged it.

    Raises, in every method:
        ActionRefused: "operation_timeout" or "dispatch_failed" as the client shows them; or
            the sandbox's own code if there is nothing to press.
    """

    def __init__(self, actions: PersonActions) -> None:
        self._actions = actions
        self._message_states: dict[tuple[str, str], dict[str, dict[str, Document]]] = {}

    @property
    def _workspace(self) -> Workspace:
        return self._actions.workspace

    def message_on_screen(self, person: Person, channel: Channel, ts: str) -> tuple[Document, bool]:
        """A message that this person sees, and whether it is ephemeral."""
        if (message := self._workspace.message(channel.id, ts)) is not None:
            if person.id not in channel.members:
                raise ActionRefused("not_in_channel", channel.name)
            return message, False
        for user, channel_id, ephemeral in self._workspace.ephemerals:
            if (user, channel_id, ephemeral["ts"]) == (person.id, channel.id, ts):
                return ephemeral, True
        raise ActionRefused("message_not_found", ts)

    async def click(
        self,
        person: Person,
        channel: Channel,
        ts: str,
        found: FoundElement,
        entered: Mapping[str, Any] | None = None,
    ) -> None:
        """Press or choose something in a message."""
        message, is_ephemeral = self.message_on_screen(person, channel, ts)
        action_document = interactions.action_payload(
            found, action_ts=self._workspace.new_ts(), entered=entered
        )
        state = self._message_states.setdefault((channel.id, ts), {})
        for block_id, entries in interactions.action_state(action_document).items():
            state.setdefault(block_id, {}).update(entries)
        payload = payloads.message_actions(
            person=person,
            channel=channel,
            message=message,
            is_ephemeral=is_ephemeral,
            actions=[action_document],
            state=state,
            response_url=self._actions.response_url(
                person, channel, message_ts=ts, thread_ts=message.get("thread_ts")
            ),
            trigger_id=self._workspace.new_trigger(person.id),
        )
        await self._deliver_interaction(action_document["action_id"], payload)

    async def _deliver_interaction(self, name: str, payload: Document) -> Document | None:
        outcome = await self._actions.deliverer.interact("interactive", name, payload)
        if outcome.error is not None:
            raise ActionRefused(client_error(outcome), name)
        return outcome.answer

    def view_on_screen(self, person: Person, view_id: str) -> OpenView:
        """A view that is open for this person."""
        view = self._workspace.view(view_id)
        if view is None or view.user != person.id:
            raise ActionRefused("view_not_found", view_id)
        return view

    async def click_view(
        self,
        person: Person,
        view_id: str,
        found: FoundElement,
        entered: Mapping[str, Any] | None = None,
    ) -> None:
        """Press or choose something in a modal or the home tab."""
        view = self.view_on_screen(person, view_id)
        action_document = interactions.action_payload(
            found, action_ts=self._workspace.new_ts(), entered=entered
        )
        for block_id, entries in interactions.action_state(action_document).items():
            view.entered.setdefault(block_id, {}).update(entries)
        payload = payloads.view_actions(
            person=person,
            view=_view_document(view),
            actions=[action_document],
            trigger_id=self._workspace.new_trigger(person.id),
        )
        await self._deliver_interaction(action_document["action_id"], payload)

    async def submit(self, person: Person, view_id: str, values: ViewEntries) -> SubmitResult:
        """Submit a modal with these entries.

        First the required fields and lengths are checked, as Slack's client does.
        """
        view = self.view_on_screen(person, view_id)
        if view.document["type"] != "modal" or not view.document["submit"]:
            raise ActionRefused("nothing_to_click", "the view has no submit button")
        for block_id, entries in values.items():
            view.entered.setdefault(block_id, {}).update(dict(entries))
        blocks = view.document["blocks"]
        state = interactions.view_state(blocks, view.entered)
        if errors := interactions.validation_errors(blocks, state):
            return SubmitResult(response_action="errors", errors=errors)
        payload = payloads.view_submission(
            person=person,
            view=view.document | {"state": {"values": state}},
            trigger_id=self._workspace.new_trigger(person.id),
        )
        name = view.document["callback_id"] or "view_submission"
        answer = await self._deliver_interaction(name, payload)
        shown_errors = None
        with report_bad_acknowledgement(self._workspace.inspector, name):
            shown_errors = apply_submission_response(self._workspace, view, answer)
        action = (answer or {}).get("response_action")
        return SubmitResult(response_action=action, errors=shown_errors)

    async def close(self, person: Person, view_id: str, *, clear: bool = False) -> None:
        """Close a modal by its cancel button, or all modals at once."""
        view = self.view_on_screen(person, view_id)
        stack = self._workspace.stacks.get(person.id, [])
        if not stack or stack[-1] is not view:
            raise ActionRefused("view_not_found", "it is not the topmost")
        clear = clear or bool(view.document["clear_on_close"])
        closed_views = close_views(self._workspace, person.id, clear=clear)
        await self._notify_closed(person, closed_views, is_cleared=clear)

    async def _notify_closed(
        self, person: Person, views: list[OpenView], *, is_cleared: bool
    ) -> None:
        for view in views:
            if view.document["notify_on_close"]:
                payload = payloads.view_closed(
                    person=person, view=_view_document(view), is_cleared=is_cleared
                )
                await self._deliver_interaction("view_closed", payload)

    async def suggest(
        self, person: Person, view_id: str, found: FoundElement, typed: str
    ) -> list[Document]:
        """Type into a menu whose options come from the app; returns the options."""
        view = self.view_on_screen(person, view_id)
        payload = payloads.block_suggestion(
            person=person,
            container={"type": "view", "view_id": view_id},
            action_id=found.element["action_id"],
            block_id=found.block["block_id"],
            value=typed,
            view=_view_document(view),
        )
        answer = await self._deliver_interaction("block_suggestion", payload) or {}
        options = list(answer.get("options") or ())
        for group in answer.get("option_groups") or ():
            options += group.get("options", ())
        if len(options) > MAX_SUGGESTIONS:
            self._workspace.inspector.add_problem(
                "too_many_options", found.element["action_id"], f"{len(options)} options"
            )
        return options


def _view_document(view: OpenView) -> Document:
    state = interactions.view_state(view.document["blocks"], view.entered)
    return view_with_state(view) | {"state": {"values": state}}
