"""The buttons of messages about alerts; their value is the id of the message."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from uuid import UUID

from bot.slack import ids
from bot.slack.alert_ports import Alerts
from bot.slack.inbound.answers import PrivateAnswers
from bot.slack.inbound.request import SlackRequest
from bot.slack.views.alerts.receipts import already_ended
from core.domain.actor import Actor
from core.domain.alerts.channels.mornings import next_morning
from core.domain.alerts.episode import Episode
from core.domain.alerts.errors import AlertNotFound
from core.domain.alerts.kinds import AlertKind
from core.domain.alerts.message import AlertMessage

# How long each snooze lasts; `ALERT_SNOOZE_MORNING` depends on the time.
SNOOZES: Mapping[str, timedelta] = MappingProxyType(
    {ids.ALERT_SNOOZE_1H: timedelta(hours=1), ids.ALERT_SNOOZE_4H: timedelta(hours=4)}
)


@dataclass(frozen=True)
class AlertButtons:
    """Handlers of pressed buttons.

    The message shows the effect, so there is an answer only if all its alerts have ended.
    """

    alerts: Alerts
    answers: PrivateAnswers
    clock: Callable[[], datetime]

    async def acknowledge(self, request: SlackRequest, actor: Actor) -> None:
        """Take care of all open alerts of the message."""

        async def act(alert_ids: Collection[UUID]) -> list[Episode]:
            return await self.alerts.acknowledge(alert_ids, by=actor)

        await self._act(request, await self._message(request), act)

    async def still_fine(self, request: SlackRequest, actor: Actor) -> None:
        """Say that the silent runs of the message are fine."""

        async def act(alert_ids: Collection[UUID]) -> list[Episode]:
            return await self.alerts.still_fine(alert_ids, by=actor)

        message = await self._message(request)
        await self._act(request, message, act, kind=AlertKind.STALLED)

    async def snooze(self, request: SlackRequest, actor: Actor) -> None:
        """Leave the open alerts of the message untold for a time."""
        message = await self._message(request)
        duration = self._snooze(request.action_id, message)

        async def act(alert_ids: Collection[UUID]) -> list[Episode]:
            return await self.alerts.snooze(alert_ids, duration=duration, by=actor)

        await self._act(request, message, act)

    async def choose(self, request: SlackRequest, actor: Actor) -> None:
        """Do what the chosen option of the menu stands for."""
        action_id, group_id = ids.from_menu_value(request.value)
        chosen = replace(request, action_id=action_id, value=group_id)
        if action_id == ids.ALERT_ACKNOWLEDGE:
            await self.acknowledge(chosen, actor)
        elif action_id == ids.ALERT_STILL_FINE:
            await self.still_fine(chosen, actor)
        elif action_id in SNOOZES or action_id == ids.ALERT_SNOOZE_MORNING:
            await self.snooze(chosen, actor)

    async def _message(self, request: SlackRequest) -> AlertMessage:
        found = await self.alerts.message(request.value)
        if found is None:
            raise AlertNotFound(request.value[:40])
        return found

    async def _act(
        self,
        request: SlackRequest,
        message: AlertMessage,
        act: Callable[[Collection[UUID]], Awaitable[list[Episode]]],
        *,
        kind: AlertKind | None = None,
    ) -> None:
        """Act on the open alerts of a message; a press on what has ended is told privately."""
        wanted = [alert for alert in message.alerts if kind is None or alert.kind is kind]
        # Also without any: what the person may not do is refused, whatever the alerts' state.
        present = await act([alert.id for alert in wanted if alert.is_open])
        if not any(alert.is_open for alert in present):
            now = {alert.id: alert for alert in present}
            ended = [now.get(alert.id, alert) for alert in wanted or message.alerts]
            await self.answers.send_private(request, already_ended(ended))

    def _snooze(self, action_id: str, message: AlertMessage) -> timedelta:
        now = self.clock()
        found = SNOOZES.get(action_id)
        return next_morning(now, time_zone=message.time_zone) - now if found is None else found
