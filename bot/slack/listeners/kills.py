"""Kills that need a confirmation: of somebody else's run, and of many runs.

A confirmation contains only ids.  Permissions are checked again for each run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bot.slack.client.web_api import Slack
from bot.slack.commands.command import OfferKill
from bot.slack.commands.forms import read_kill_form, read_kill_many_form
from bot.slack.inbound.answers import PrivateAnswers
from bot.slack.inbound.request import SlackRequest
from bot.slack.listeners.open_form import open_form
from bot.slack.ports import BulkKiller, RunOperations
from bot.slack.views import receipts
from bot.slack.views.kill_questions import (
    kill_form,
    kill_many_form,
    kill_many_question,
    kill_question,
    killed_many,
    nothing_to_kill,
)
from bot.slack.views.lists import Reader, kill_offer
from bot.slack.views.message import Message
from bot.slack.views.runs.links import ThreadLinks
from core.domain.actor import Action, Actor
from core.domain.kills.bulk_kill import KillSelection
from core.domain.kills.termination import Termination
from core.domain.runs.request import KillRequest, RunFilter
from core.domain.runs.snapshot import RunSnapshot


@dataclass(frozen=True)
class KillActions:
    """Kills, with a question first where one is needed.

    Attributes:
        runs: Kills one run, and lists what can be killed.
        bulk: Decides whether to ask, lists what would be killed, and kills many runs.
    """

    runs: RunOperations
    bulk: BulkKiller
    slack: Slack
    answers: PrivateAnswers
    links: ThreadLinks
    clock: Callable[[], datetime]

    async def kill_one(self, command: KillRequest, request: SlackRequest, actor: Actor) -> None:
        """Kill the person's own run at once; ask first if it is somebody else's.

        Somebody who may not kill it is refused, not asked.
        """
        named = await self._named(command, actor)
        exact = replace(command, target=named.run.run_id, request_key=request.key)
        found = await self.bulk.kill_or_ask(exact, by=actor)
        if isinstance(found, Termination):
            await self.answers.send_private(request, receipts.kill_requested(named, found))
            return
        channel = await self._channel(request)
        view = kill_form(found, exact, channel_id=channel, now=self.clock())
        if not await open_form(self.slack, view, request):
            question = kill_question(found, exact, now=self.clock())
            await self.answers.send_private(request, question)

    async def ask_kill_many(
        self, command: KillSelection, request: SlackRequest, actor: Actor
    ) -> None:
        """List the runs that would be killed, and ask."""
        preview = await self.bulk.preview(command, by=actor)
        if not preview.runs:
            await self.answers.send_private(request, nothing_to_kill(preview))
            return
        channel = await self._channel(request)
        view = kill_many_form(preview, channel_id=channel, now=self.clock())
        if not await open_form(self.slack, view, request):
            await self.answers.send_private(request, kill_many_question(preview))

    async def submit_kill(self, request: SlackRequest, actor: Actor) -> None:
        """Kill the run of a confirmed form."""
        receipt = await self._kill(read_kill_form(_view(request)), request, actor)
        await self.answers.send_private(request, receipt)

    async def submit_kill_many(self, request: SlackRequest, actor: Actor) -> None:
        """Kill exactly the runs that a confirmed form listed."""
        command = replace(read_kill_many_form(_view(request)), request_key=request.key)
        outcome = await self.bulk.kill_many(command, by=actor)
        await self.answers.send_private(request, killed_many(outcome))

    async def kill_confirmed(
        self, command: KillRequest, request: SlackRequest, actor: Actor
    ) -> None:
        """Kill the run of a private question, and replace the question by the answer."""
        await self.answers.replace_question(request, await self._kill(command, request, actor))

    async def offer(self, command: OfferKill, request: SlackRequest, actor: Actor) -> None:
        """Offer the person's own live runs."""
        mine = await self.runs.list_runs(RunFilter(mine=True, live=True), by=actor)
        reader = Reader(actor=actor, links=self.links)
        message = kill_offer(mine, force=command.force, reader=reader, now=self.clock())
        await self.answers.send_private(request, message)

    async def _named(self, command: KillRequest, actor: Actor) -> RunSnapshot:
        return await self.runs.snapshot(command.target, by=actor, action=Action.KILL)

    async def _kill(self, command: KillRequest, request: SlackRequest, actor: Actor) -> Message:
        named = await self._named(command, actor)
        exact = replace(command, target=named.run.run_id, request_key=request.key)
        return receipts.kill_requested(named, await self.runs.kill(exact, by=actor))

    async def _channel(self, request: SlackRequest) -> str:
        return request.channel_id or await self.slack.direct_channel(request.user_id or "")


def _view(request: SlackRequest) -> dict[str, Any]:
    view = request.body.get("view")
    return view if isinstance(view, dict) else {}
