"""The Home tab."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from bot.slack.drawing.kinds import home_request
from bot.slack.inbound.request import SlackRequest
from bot.slack.listeners.actions import BotActions
from core.domain.actor import Actor

# Slack sends an event when a person opens the tab, but none when the person closes it.
HOME_DURATION = timedelta(minutes=10)


@dataclass(frozen=True)
class HomeTab:
    """Draws the tab when a person opens it, and keeps it up to date for `HOME_DURATION`.

    The permission to view it is checked when the tab is opened, and is valid for that time.
    """

    actions: BotActions

    async def show(self, request: SlackRequest, actor: Actor) -> None:  # noqa: ARG002
        """Request a drawing of the Home tab; other tabs of the app are ignored."""
        if request.text != "home" or request.user_id is None:
            return
        await self.actions.drawables.activate(
            home_request(team_id=self.actions.team_id, user_id=request.user_id),
            duration=HOME_DURATION,
        )
