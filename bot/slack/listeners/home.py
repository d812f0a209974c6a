"""The Home tab."""

from __future__ import annotations

from dataclasses import dataclass

from bot.slack.inbound.request import SlackRequest
from bot.slack.listeners.actions import BotActions
from bot.slack.views.home import home_view
from core.domain.actor import Actor
from core.domain.runs.request import RunFilter

_SHOWN = 10


@dataclass(frozen=True)
class HomeTab:
    """Drawn anew whenever somebody opens it."""

    actions: BotActions

    async def show(self, request: SlackRequest, actor: Actor) -> None:
        """Show the person's own runs, and what is live."""
        if request.text != "home":
            return
        runs = self.actions.runs
        mine = await runs.list_runs(RunFilter(mine=True), by=actor, limit=_SHOWN)
        live = await runs.list_runs(RunFilter(live=True), by=actor, limit=_SHOWN)
        view = home_view(mine=mine, live=live, now=self.actions.clock())
        await self.actions.slack.call("views.publish", user_id=request.user_id, view=view)
