"""Repairs the effects of calls whose results are uncertain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from bot.slack.client.errors import RateLimited
from bot.slack.drawing.messages.finder import MessageFinder
from bot.slack.drawing.messages.uncertain_writes import UncertainWrites
from bot.slack.drawing.scene import Scene
from bot.slack.ports import Drawables
from bot.slack.views.message import ThreadFile
from core.domain.drawables import SlackMessage, SlackMessageState, UncertainWriteKind

# The slots that were checked, and what was uncertain of them.
Rechecked = set[tuple[str, UncertainWriteKind]]


@dataclass(frozen=True)
class Rechecks:
    """Checks uncertain writes when they are due.

    Attributes:
        clock: The current time, in UTC.
    """

    drawables: Drawables
    finder: MessageFinder
    uncertain_writes: UncertainWrites
    clock: Callable[[], datetime]

    async def repair_due(self, scene: Scene, rechecked: Rechecked) -> bool:
        """Repair the effects of calls that Slack executed late.

        The writes stay recorded as uncertain until the drawable is up to date again, in case
        this process dies before that.

        Returns:
            Whether there was anything to check.
        """
        due = set(self.uncertain_writes.due(scene.drawable.id)) - rechecked
        for slot, kind in sorted(due):
            row = scene.drawable.messages.get(slot)
            if row is None or row.state is not SlackMessageState.SHOWN:
                continue
            try:
                await self._repair(scene, row, kind)
            except RateLimited as error:
                if not error.is_long:
                    raise
                # Drawing does not wait for it: the write is checked again in a minute.
                await self.uncertain_writes.add(scene.drawable.id, slot, kind)
        rechecked |= due
        return bool(due)

    async def _repair(self, scene: Scene, row: SlackMessage, kind: UncertainWriteKind) -> None:
        if kind is UncertainWriteKind.OVERWRITTEN:
            await self.drawables.save_message(replace(row, content_hash=None))
            return
        file = scene.kind.draw(scene.subject, self.clock()).get(row.slot)
        await self.finder.delete_duplicates(
            row, file=file if isinstance(file, ThreadFile) else None, now=self.clock()
        )
