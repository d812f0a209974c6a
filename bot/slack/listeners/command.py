"""The slash command."""

from __future__ import annotations

from dataclasses import dataclass

from bot.slack.inbound.request import Asked
from bot.slack.listeners.actions import Acts
from core.domain.actor import Actor


@dataclass(frozen=True)
class Command:
    """`/workflow …`."""

    acts: Acts

    async def typed(self, asked: Asked, actor: Actor) -> None:
        """Understand and obey."""
        wish = await self.acts.understand(asked, thread_run=None, is_slash=True)
        await self.acts.fulfil(wish, asked, actor)
