"""The slash command."""

from __future__ import annotations

from dataclasses import dataclass

from bot.slack.inbound.request import SlackRequest
from bot.slack.listeners.actions import BotActions
from core.domain.actor import Actor


@dataclass(frozen=True)
class SlashCommand:
    """The handler of `/workflow …`."""

    actions: BotActions

    async def handle(self, request: SlackRequest, actor: Actor) -> None:
        """Parse and execute the command."""
        command = await self.actions.parse(request, thread_run_id=None, is_slash=True)
        await self.actions.execute(command, request, actor)
