"""The Home tab."""

from __future__ import annotations

from dataclasses import dataclass

from bot.slack.inbound.request import Asked
from bot.slack.listeners.actions import Acts
from bot.slack.views.home import home
from core.domain.actor import Actor
from core.domain.runs.request import RunFilter

_SHOWN = 10


@dataclass(frozen=True)
class HomeTab:
    """Drawn anew whenever somebody opens it."""

    acts: Acts

    async def opened(self, asked: Asked, actor: Actor) -> None:
        """Show the person's own runs, and what is live."""
        if asked.text != "home":
            return
        runs = self.acts.runs
        mine = await runs.list_runs(RunFilter(mine=True), by=actor, limit=_SHOWN)
        live = await runs.list_runs(RunFilter(live=True), by=actor, limit=_SHOWN)
        view = home(mine=mine, live=live, now=self.acts.clock())
        await self.acts.slack.call("views.publish", user_id=asked.user_id, view=view)
