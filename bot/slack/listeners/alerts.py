"""Subscriptions to alerts: the commands, the buttons and the form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from bot.slack import dates, ids
from bot.slack.alert_ports import Alerts, Subscriptions
from bot.slack.client.web_api import Slack
from bot.slack.commands.alerts.form import AlertForm, read_alert_form
from bot.slack.commands.alerts.values import (
    AlertCommand,
    AlertWishes,
    EditAlerts,
    ListAlerts,
    MuteAlerts,
    OpenAlertForm,
    ShowExampleAlert,
    SubscribeAlerts,
    UnsubscribeAlerts,
)
from bot.slack.commands.forms import BadForm
from bot.slack.inbound.answers import PrivateAnswers
from bot.slack.inbound.directory import Directory, UnknownGroup
from bot.slack.inbound.request import SlackRequest
from bot.slack.listeners.open_form import open_form
from bot.slack.ports import People, WorkflowCatalog
from bot.slack.views.alerts.example import example_answer
from bot.slack.views.alerts.form import FormChoices, alert_form
from bot.slack.views.alerts.message import alert_messages
from bot.slack.views.alerts.subscriptions import (
    changed_message,
    muted_message,
    no_form_message,
    no_subscription_message,
    public_line,
    public_subscription_words,
    subscribed_message,
    subscription_list_message,
    unsubscribed_message,
)
from core.domain.actor import Actor
from core.domain.alerts.channels.subscription import (
    Source,
    Subscription,
    SubscriptionFixed,
    SubscriptionNotFound,
)
from core.domain.alerts.example import example_message
from core.domain.alerts.kinds import AlertKind
from core.domain.runs.request import Place

# The slot of the message itself in what the view of alerts draws.
_HEAD = "alert"
# A public line names so many subscriptions.
_MAX_NAMED = 3


@dataclass(frozen=True)
class AlertActions:
    """What people do with the subscriptions of channels.

    Attributes:
        directory: Checks that a person is in a channel that they did not type in.
        team_id: The workspace of the bot.
    """

    subscriptions: Subscriptions
    alerts: Alerts
    workflows: WorkflowCatalog
    people: People
    slack: Slack
    answers: PrivateAnswers
    directory: Directory
    team_id: str
    clock: Callable[[], datetime]

    async def execute(self, command: AlertCommand, request: SlackRequest, actor: Actor) -> None:
        """Execute a command in the channel where it was typed."""
        place = self.place(request.channel_id or "")
        match command:
            case OpenAlertForm():
                await self._open_form(request, actor, channel_id=place.channel_id)
            case SubscribeAlerts(wishes=wishes):
                completed = await self._completed(wishes, request)
                await self._subscribe(completed, place, request, actor)
            case ListAlerts():
                await self._list(command, place, request, actor)
            case EditAlerts(number=number):
                await self._edit(number, place, request, actor)
            case MuteAlerts():
                await self._mute(command, place, request, actor)
            case UnsubscribeAlerts():
                await self._unsubscribe(command, place, request, actor)
            case ShowExampleAlert(kind=kind):
                await self._show_example(kind, place, request, actor)

    async def open_subscribe_form(self, request: SlackRequest, actor: Actor) -> None:
        """Open the form for the channel of the button; the submission checks it."""
        channel_id = request.value or request.channel_id or ""
        await self._open_form(request, actor, channel_id=channel_id)

    async def open_edit_form(self, request: SlackRequest, actor: Actor) -> None:
        """Open the form for the subscription of the button."""
        found = await self._of_button(request, actor)
        await self._open_edit_form(found, request, actor)

    async def unsubscribe_listed(self, request: SlackRequest, actor: Actor) -> None:
        """End the subscription of the button."""
        found = await self._of_button(request, actor)
        await self._end([found], self.place(found.channel_id), request, actor)

    async def submit_form(self, request: SlackRequest, actor: Actor) -> None:
        """Subscribe the channel of the form, or change the subscription of the form."""
        view = request.body.get("view")
        form = read_alert_form(view if isinstance(view, dict) else {})
        await self.directory.require_member(form.channel_id, request.user_id)
        try:
            wishes = await self._completed(form.wishes, request)
        except UnknownGroup as error:
            raise BadForm({ids.FIELD_GROUP: error.user_message}) from error
        if form.subscription_id is None:
            await self._subscribe(wishes, self.place(form.channel_id), request, actor)
        else:
            await self._change(form, form.subscription_id, wishes, request, actor)

    async def _subscribe(
        self, wishes: AlertWishes, place: Place, request: SlackRequest, actor: Actor
    ) -> None:
        known = {one.id for one in await self.subscriptions.of_channel(place, by=actor)}
        wanted = wishes.subscription(place, now=self.clock())
        made = await self.subscriptions.subscribe(wanted, by=actor)
        present = await self.subscriptions.of_channel(place, by=actor)
        number = next((n for n, one in enumerate(present, 1) if one.id == made.id), len(present))
        is_new = made.id not in known
        await self.answers.send_private(
            request, subscribed_message(made, number=number, is_new=is_new)
        )
        if is_new:
            words = f"subscribed this channel to alerts: {public_subscription_words(made)}"
            await self._announce(words, place, actor)

    async def _change(
        self,
        form: AlertForm,
        subscription_id: UUID,
        wishes: AlertWishes,
        request: SlackRequest,
        actor: Actor,
    ) -> None:
        present = await self.subscriptions.get(subscription_id, by=actor)
        if present.channel_id != form.channel_id or present.team_id != self.team_id:
            raise SubscriptionNotFound(str(subscription_id))
        changed = await self.subscriptions.edit(wishes.applied_to(present), by=actor)
        await self.answers.send_private(request, changed_message(changed))
        words = f"changed a subscription of this channel: {public_subscription_words(changed)}"
        await self._announce(words, self.place(form.channel_id), actor)

    async def _list(
        self, command: ListAlerts, place: Place, request: SlackRequest, actor: Actor
    ) -> None:
        present = await self.subscriptions.of_channel(place, by=actor)
        if present:
            message = subscription_list_message(
                present,
                now=self.clock(),
                readiness=await self.alerts.trend_readiness(by=actor),
            )
            await self.answers.send_private(request, message)
        elif command.opens_form and request.trigger_id is not None:
            await self._open_form(request, actor, channel_id=place.channel_id)
        else:
            await self.answers.send_private(request, no_subscription_message())

    async def _edit(
        self, number: int | None, place: Place, request: SlackRequest, actor: Actor
    ) -> None:
        present = await self.subscriptions.of_channel(place, by=actor)
        if not present or (number is None and len(present) > 1):
            await self._list(ListAlerts(), place, request, actor)
        else:
            await self._open_edit_form(_numbered(present, number), request, actor)

    async def _mute(
        self, command: MuteAlerts, place: Place, request: SlackRequest, actor: Actor
    ) -> None:
        muted = await self.subscriptions.mute(place, duration=command.duration, by=actor)
        await self.answers.send_private(request, muted_message(muted))
        until = muted[0].muted_until
        words = (
            "ended the mute of alerts in this channel"
            if until is None
            else f"muted alerts in this channel until {dates.date_time(until)}"
        )
        await self._announce(words, place, actor)

    async def _unsubscribe(
        self, command: UnsubscribeAlerts, place: Place, request: SlackRequest, actor: Actor
    ) -> None:
        present = await self.subscriptions.of_channel(place, by=actor)
        if not present:
            await self.answers.send_private(request, no_subscription_message())
        elif command.is_all:
            own = [one for one in present if one.source is not Source.CONFIG]
            if not own:
                raise SubscriptionFixed(present[0].id)
            await self._end(own, place, request, actor)
        elif command.number is None and len(present) > 1:
            question = "*Which subscription shall I end?* Nothing has been ended yet."
            message = subscription_list_message(present, now=self.clock(), question=question)
            await self.answers.send_private(request, message)
        else:
            await self._end([_numbered(present, command.number)], place, request, actor)

    async def _end(
        self, ended: list[Subscription], place: Place, request: SlackRequest, actor: Actor
    ) -> None:
        await self.subscriptions.unsubscribe([one.id for one in ended], by=actor)
        left = await self.subscriptions.of_channel(place, by=actor)
        await self.answers.send_private(request, unsubscribed_message(ended, left=left))
        words = "ended subscriptions of this channel to alerts: "
        words += "; ".join(public_subscription_words(one) for one in ended[:_MAX_NAMED])
        await self._announce(words, place, actor)

    async def _show_example(
        self, kind: AlertKind | None, place: Place, request: SlackRequest, actor: Actor
    ) -> None:
        """Show an example; without a kind, of the first one that the channel is subscribed to."""
        present = await self.subscriptions.of_channel(place, by=actor)
        told = [one for one in AlertKind if any(one in each.chosen_kinds for each in present)]
        chosen = kind or (told[0] if told else AlertKind.FAILED)
        mention = next((one.mention for one in present if chosen in one.chosen_kinds), None)
        now = self.clock()
        example = example_message(chosen, place=place, now=now, mention=mention)
        head = alert_messages(example, now)[_HEAD]
        answer = example_answer(head, example.alerts[0], present, now=now)
        await self.answers.send_private(request, answer)

    async def _open_edit_form(
        self, subscription: Subscription, request: SlackRequest, actor: Actor
    ) -> None:
        if subscription.source is Source.CONFIG:
            raise SubscriptionFixed(subscription.id)
        await self._open_form(
            request, actor, channel_id=subscription.channel_id, subscription=subscription
        )

    async def _open_form(
        self,
        request: SlackRequest,
        actor: Actor,
        *,
        channel_id: str,
        subscription: Subscription | None = None,
    ) -> None:
        """Open the form for somebody who may; where none can open, say what to type."""
        await self.subscriptions.require_subscribe(by=actor)
        has_group = subscription is not None and "subteam" in (subscription.mention or "")
        choices = FormChoices(
            workflows=self.workflows.workflows,
            time_zone=await self.directory.time_zone(request.user_id),
            group_names=await self.directory.group_names(request) if has_group else {},
        )
        view = alert_form(choices, channel_id=channel_id, subscription=subscription)
        if not await open_form(self.slack, view, request):
            await self.answers.send_private(request, no_form_message(subscription))

    async def _completed(self, wishes: AlertWishes, request: SlackRequest) -> AlertWishes:
        """The wishes with what only Slack knows: the group's id, and the person's time zone."""
        mention = await self.directory.mention(wishes.mention, request)
        is_zone_needed = wishes.time_zone is None and (wishes.quiet_hours or wishes.digest)
        zone = await self.directory.time_zone(request.user_id) if is_zone_needed else "UTC"
        return wishes.for_person(user_id=request.user_id or "", mention=mention, time_zone=zone)

    async def _of_button(self, request: SlackRequest, actor: Actor) -> Subscription:
        """The subscription that a button names, for a member of its channel."""
        try:
            subscription_id = UUID(request.value)
        except ValueError as error:
            raise SubscriptionNotFound(request.value[:40]) from error
        found = await self.subscriptions.get(subscription_id, by=actor)
        if found.channel_id != request.channel_id:
            await self.directory.require_member(found.channel_id, request.user_id)
        return found

    async def _announce(self, words: str, place: Place, actor: Actor) -> None:
        """Tell a channel what somebody did to its alerts; a direct conversation knows."""
        if not place.channel_id.startswith("D"):
            await self.answers.post_in_channel(place.channel_id, public_line(words, actor))

    def place(self, channel_id: str) -> Place:
        """A channel of the workspace."""
        return Place(team_id=self.team_id, channel_id=channel_id)


def _numbered(present: list[Subscription], number: int | None) -> Subscription:
    """The subscription with a number of the list; the first one without a number."""
    if number is None:
        return present[0]
    if number not in range(1, len(present) + 1):
        raise SubscriptionNotFound(str(number))
    return present[number - 1]
