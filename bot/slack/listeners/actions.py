"""Wishes fulfilled: the same for commands and for mentions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from bot.slack.client.client import Slack
from bot.slack.commands.command import (
    Context,
    ListRuns,
    OpenRunForm,
    ShowHelp,
    ShowStats,
    ShowStatus,
    ShowWorkers,
    ShowWorkflows,
    Wish,
)
from bot.slack.commands.parser import parse_mention, parse_slash
from bot.slack.inbound.answers import Answers
from bot.slack.inbound.request import Asked
from bot.slack.listeners.kills import KillActs
from bot.slack.ports import Runs, ShowsStats, ShowsWorkers
from bot.slack.views import receipts
from bot.slack.views.fleet import fleet_message
from bot.slack.views.help import help_message
from bot.slack.views.lists import overview, run_list, status, workflow_list
from bot.slack.views.message import Message
from bot.slack.views.modals import continue_form, run_form
from bot.slack.views.stats import stats_message
from core.domain.actor import Actor
from core.domain.kills.selection import KillSelection
from core.domain.runs.request import ContinueRequest, KillRequest, Place, RunFilter, StartRequest

_RECENT = 8


@dataclass(frozen=True)
class Acts:
    """What people can do, by whichever way they ask.

    Attributes:
        bot_user_id: Whose mention begins a command.
        team_id: The own workspace.
    """

    runs: Runs
    kills: KillActs
    figures: ShowsStats
    fleet: ShowsWorkers
    slack: Slack
    answers: Answers
    team_id: str
    bot_user_id: str
    clock: Callable[[], datetime]

    def place_of(self, asked: Asked) -> Place | None:
        """Where a run started by this would have its thread."""
        if asked.channel_id is None:
            return None
        return Place(team_id=self.team_id, channel_id=asked.channel_id)

    async def understand(self, asked: Asked, *, thread_run: str | None, is_slash: bool) -> Wish:
        """Parse what was typed.

        Raises:
            BadCommand: With what was not understood.
        """
        names = {
            name
            for definition in self.runs.workflows
            for name in (definition.name, *definition.aliases)
        }
        context = Context(
            request_key=asked.key or "",
            place=Place(team_id=self.team_id, channel_id=asked.channel_id or ""),
            thread_run=thread_run,
            has_forms=is_slash,
            workflow_names=names,
        )
        if is_slash:
            return parse_slash(asked.text, context)
        return parse_mention(asked.text, context, bot_user_id=self.bot_user_id)

    async def fulfil(self, wish: Wish, asked: Asked, actor: Actor) -> None:
        """Do what was wished, and say so to the person alone."""
        match wish:
            case OpenRunForm():
                await self.open_run_form(asked)
            case StartRequest():
                started = await self.runs.start(wish, by=actor)
                if not started.is_new:
                    await self.answers.privately(asked, receipts.started(started))
            case KillRequest():
                await self.kills.one(wish, asked, actor)
            case KillSelection():
                await self.kills.several(wish, asked, actor)
            case ContinueRequest():
                await self.go_on(wish, asked, actor)
            case _:
                await self.answers.privately(asked, await self._shown(wish, actor))

    async def go_on(self, wish: ContinueRequest, asked: Asked, actor: Actor) -> None:
        """Continue a session; its thread shows it, so only what is odd is said."""
        started = await self.runs.continue_run(wish, by=actor, place=self.place_of(asked))
        is_seen = started.run.slack_channel_id == asked.channel_id
        if not started.is_new or not is_seen:
            await self.answers.privately(asked, receipts.continued(started))

    async def open_run_form(self, asked: Asked, *, task: str = "") -> None:
        """Open the modal that starts a run; a replayed wish has no trigger left for it."""
        if asked.trigger_id is None or asked.is_replay:
            return
        channel = asked.channel_id or await self.slack.direct_channel(asked.user_id or "")
        view = run_form(self.runs.workflows, channel_id=channel, task=task)
        await self.slack.call("views.open", trigger_id=asked.trigger_id, view=view)

    async def open_continue_form(self, asked: Asked, actor: Actor, named: str) -> None:
        """Open the modal that asks how to continue."""
        if asked.trigger_id is None or asked.is_replay:
            return
        snapshot = await self.runs.snapshot(named, by=actor)
        view = continue_form(
            snapshot.run, channel_id=asked.channel_id or snapshot.run.slack_channel_id or ""
        )
        await self.slack.call("views.open", trigger_id=asked.trigger_id, view=view)

    async def _shown(
        self,
        wish: ShowStatus | ListRuns | ShowStats | ShowWorkers | ShowWorkflows | ShowHelp,
        actor: Actor,
    ) -> Message:
        match wish:
            case ShowStatus(named=str() as named):
                return status(await self.runs.snapshot(named, by=actor), now=self.clock())
            case ShowStatus():
                live = await self.runs.list_runs(RunFilter(live=True), by=actor)
                recent = await self.runs.list_runs(RunFilter(), by=actor, limit=_RECENT)
                return overview(live, recent, now=self.clock())
            case ListRuns(wanted=wanted):
                found = await self.runs.list_runs(wanted, by=actor)
                return run_list(found, wanted=wanted, now=self.clock())
            case ShowStats(period=period):
                return stats_message(await self.figures.stats(period, by=actor))
            case ShowWorkers():
                return fleet_message(await self.fleet.workers(by=actor))
            case ShowWorkflows():
                return workflow_list(self.runs.workflows)
            case ShowHelp(topic=topic):
                return help_message(topic)
