"""Kills that are confirmed first: of somebody else's run, and of many runs.

A confirmation carries ids and no right: whoever confirms is judged again, run by run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bot.slack.client.client import Slack, SlackError
from bot.slack.commands.forms import read_kill_form, read_kill_many_form
from bot.slack.inbound.answers import Answers
from bot.slack.inbound.request import Asked
from bot.slack.ports import Kills, KillsMany
from bot.slack.views import receipts
from bot.slack.views.kills.questions import (
    kill_form,
    kill_many_form,
    kill_many_question,
    kill_question,
    killed_many,
    nothing_to_kill,
)
from bot.slack.views.message import View
from core.domain.actor import Actor
from core.domain.kills.selection import KillSelection
from core.domain.runs.request import KillRequest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KillActs:
    """Kills, asked about where that is due.

    Attributes:
        runs: Kills one run.
        many: Knows what would be killed, and kills many.
    """

    runs: Kills
    many: KillsMany
    slack: Slack
    answers: Answers
    clock: Callable[[], datetime]

    async def one(self, wish: KillRequest, asked: Asked, actor: Actor) -> None:
        """Kill one's own run at once; ask first when it is somebody else's."""
        snapshot = await self.many.look(wish.named, by=actor)
        run = snapshot.run
        is_own = run.user_id is not None and run.user_id == actor.user_id
        # What has ended or is being stopped needs no question: the answer says so.
        is_new = run.is_live and run.kill_requested_at is None
        if is_own or not (is_new or wish.force) or not run.is_live:
            await self._kill(wish, asked, actor)
            return
        channel = await self._channel(asked)
        view = kill_form(snapshot, wish, channel_id=channel, now=self.clock())
        if not await self._opened(view, asked):
            question = kill_question(snapshot, wish, now=self.clock())
            await self.answers.privately(asked, question)

    async def several(self, wish: KillSelection, asked: Asked, actor: Actor) -> None:
        """List what would be killed, and ask."""
        offer = await self.many.offer(wish, by=actor)
        if not offer.listed:
            await self.answers.privately(asked, nothing_to_kill(offer))
            return
        channel = await self._channel(asked)
        view = kill_many_form(offer, channel_id=channel, now=self.clock())
        if not await self._opened(view, asked):
            await self.answers.privately(asked, kill_many_question(offer))

    async def submitted_one(self, asked: Asked, actor: Actor) -> None:
        """Kill the run of a confirmed form."""
        await self._kill(read_kill_form(_view(asked)), asked, actor)

    async def submitted_several(self, asked: Asked, actor: Actor) -> None:
        """Kill the runs of a confirmed form, those and no others."""
        wish = replace(read_kill_many_form(_view(asked)), request_key=asked.key)
        outcome = await self.many.kill_many(wish, by=actor)
        await self.answers.privately(asked, killed_many(outcome))

    async def anyway(self, wish: KillRequest, asked: Asked, actor: Actor) -> None:
        """Kill the run of a private question, whose place the answer takes."""
        kill = await self.runs.kill(replace(wish, request_key=asked.key), by=actor)
        await self.answers.instead(asked, receipts.killing(wish.named, kill))

    async def _kill(self, wish: KillRequest, asked: Asked, actor: Actor) -> None:
        kill = await self.runs.kill(replace(wish, request_key=asked.key), by=actor)
        await self.answers.privately(asked, receipts.killing(wish.named, kill))

    async def _channel(self, asked: Asked) -> str:
        return asked.channel_id or await self.slack.direct_channel(asked.user_id or "")

    async def _opened(self, view: View, asked: Asked) -> bool:
        """Open a form; `False` where there is no trigger, or it is used up."""
        if asked.trigger_id is None or asked.is_replay:
            return False
        try:
            await self.slack.call("views.open", trigger_id=asked.trigger_id, view=view)
        except SlackError as error:
            log.info("no form could be opened: %s", error)
            return False
        return True


def _view(asked: Asked) -> dict[str, Any]:
    view = asked.body.get("view")
    return view if isinstance(view, dict) else {}
