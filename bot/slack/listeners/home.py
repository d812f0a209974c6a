"""The Home tab."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from bot.slack.drawing.kinds import home_request
from bot.slack.inbound.request import SlackRequest
from bot.slack.listeners.actions import BotActions
from core.domain.actor import Actor

# Slack does not tell when the tab is closed, and tells again when it is opened again.
HOME_DURATION = timedelta(minutes=10)


@dataclass(frozen=True)
class HomeTab:
    """Drawn anew when somebody opens it, and kept true for a while.

    Whether they may look is decided when they open it, and holds for that while.
    """

    actions: BotActions

    async def show(self, request: SlackRequest, actor: Actor) -> None:  # noqa: ARG002
        """Have the person's own runs, and what is live, shown."""
        if request.text != "home" or request.user_id is None:
            return
        await self.actions.drawables.activate(
            home_request(team_id=self.actions.team_id, user_id=request.user_id),
            duration=HOME_DURATION,
        )
