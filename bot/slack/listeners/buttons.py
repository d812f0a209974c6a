"""The buttons of cards.  A button's value is a run id; everything else is read anew."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.slack import ids
from bot.slack.inbound.request import Asked
from bot.slack.listeners.actions import Acts
from core.domain.actor import Actor
from core.domain.kills.selection import KillSelection
from core.domain.runs.request import ContinueRequest, KillRequest


@dataclass(frozen=True)
class Buttons:
    """Pressed buttons.  The card shows what follows; nothing is answered."""

    acts: Acts

    async def kill(self, asked: Asked, actor: Actor) -> None:
        """Kill the run."""
        wish = KillRequest(named=asked.value, request_key=asked.key)
        await self.acts.runs.kill(wish, by=actor)

    async def force_kill(self, asked: Asked, actor: Actor) -> None:
        """Kill the run without grace."""
        wish = KillRequest(named=asked.value, force=True, request_key=asked.key)
        await self.acts.runs.kill(wish, by=actor)

    async def kill_anyway(self, asked: Asked, actor: Actor) -> None:
        """Kill the run of a private question: the button says again what was typed."""
        wish = await self.acts.understand(
            replace(asked, text=asked.value), thread_run=None, is_slash=True
        )
        if isinstance(wish, KillRequest):
            await self.acts.kills.anyway(wish, asked, actor)

    async def ask_which(self, asked: Asked, actor: Actor) -> None:
        """Open the form that a mention could not open, now that there is a trigger."""
        wish = await self.acts.understand(
            replace(asked, text=asked.value), thread_run=None, is_slash=True
        )
        if isinstance(wish, KillSelection):
            await self.acts.kills.several(wish, asked, actor)

    async def go_on(self, asked: Asked, actor: Actor) -> None:
        """Continue for as many turns as the button says."""
        wish = ContinueRequest(
            named=asked.value,
            request_key=asked.key or "",
            additional_turns=ids.CONTINUE_TURNS[asked.action_id],
        )
        await self.acts.go_on(wish, asked, actor)

    async def ask_how(self, asked: Asked, actor: Actor) -> None:
        """Ask in a modal for how long, and with which words, to continue."""
        await self.acts.open_continue_form(asked, actor, asked.value)
