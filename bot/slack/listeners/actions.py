"""The execution of commands, the same for slash commands and mentions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from bot.slack.client.web_api import Slack
from bot.slack.commands.alerts.values import AlertCommand
from bot.slack.commands.command import (
    AskRestart,
    ChangeSession,
    Command,
    CommandContext,
    ListRuns,
    ListSessions,
    OfferKill,
    OpenRunForm,
    ShowDashboard,
    ShowHelp,
    ShowSession,
    ShowStats,
    ShowStatus,
    ShowWorkers,
    ShowWorkflows,
    ShowWorkspaces,
)
from bot.slack.commands.misplaced import flags_at_end, turns_at_end, without_flags_at_end
from bot.slack.commands.parser import parse_mention, parse_slash
from bot.slack.inbound.answers import PrivateAnswers
from bot.slack.inbound.request import SlackRequest
from bot.slack.listeners.alerts import AlertActions
from bot.slack.listeners.kills import KillActions
from bot.slack.listeners.operator_requests import OperatorRequests
from bot.slack.listeners.restarts import RestartActions
from bot.slack.listeners.sessions import SessionActions
from bot.slack.ports import (
    Dashboard,
    Drawables,
    FleetReader,
    RunOperations,
    StatsReader,
    WorkspaceReader,
)
from bot.slack.views import receipts
from bot.slack.views.dashboard import dashboard_message, no_dashboard_message
from bot.slack.views.details import details_view
from bot.slack.views.fleet import fleet_message, workspaces_message
from bot.slack.views.help import help_message
from bot.slack.views.lists import (
    Reader,
    overview_message,
    run_list_message,
    status_message,
    workflow_list_message,
)
from bot.slack.views.message import Message
from bot.slack.views.modals import run_form
from bot.slack.views.notices import started_without_card
from bot.slack.views.runs.continue_form import continue_form
from bot.slack.views.runs.links import ThreadLinks
from bot.slack.views.runs.misplaced import flags_in_task, turns_in_message
from bot.slack.views.stats import stats_message
from core.domain.actor import Action, Actor
from core.domain.kills.bulk_kill import KillSelection
from core.domain.runs.request import (
    ContinueRequest,
    KillRequest,
    Place,
    RunFilter,
    StartRequest,
    StartResult,
)

_RECENT = 8


@dataclass(frozen=True)
class BotActions:
    """The actions that commands, mentions, buttons and forms share.

    Attributes:
        bot_user_id: The bot; a mention of it starts a command.
        team_id: The workspace of the bot.
        links: Makes links to the threads of runs.
        dashboard: `None` if this program serves none.
    """

    runs: RunOperations
    kills: KillActions
    restarts: RestartActions
    alerts: AlertActions
    sessions: SessionActions
    operators: OperatorRequests
    stats: StatsReader
    fleet: FleetReader
    workspaces: WorkspaceReader
    dashboard: Dashboard | None
    drawables: Drawables
    slack: Slack
    answers: PrivateAnswers
    team_id: str
    bot_user_id: str
    links: ThreadLinks
    clock: Callable[[], datetime]

    def place_of(self, request: SlackRequest) -> Place | None:
        """Where a run started by this request has its thread."""
        if request.channel_id is None:
            return None
        return Place(team_id=self.team_id, channel_id=request.channel_id)

    async def parse(
        self, request: SlackRequest, *, thread_run_id: str | None, is_slash: bool
    ) -> Command:
        """Parse the text of a command.

        Raises:
            BadCommand: If the text is not valid.
        """
        names = {
            name
            for definition in self.runs.workflows
            for name in (definition.name, *definition.aliases)
        }
        context = CommandContext(
            request_key=request.key or "",
            place=Place(team_id=self.team_id, channel_id=request.channel_id or ""),
            thread_run_id=thread_run_id,
            has_forms=is_slash,
            workflow_names=names,
        )
        if is_slash:
            return parse_slash(request.text, context)
        return parse_mention(request.text, context, bot_user_id=self.bot_user_id)

    async def execute(self, command: Command, request: SlackRequest, actor: Actor) -> None:
        """Execute a command, and answer the person privately where the channel does not show it."""
        if isinstance(command, AlertCommand):
            await self.alerts.execute(command, request, actor)
            return
        match command:
            case OpenRunForm():
                await self.open_run_form(request, actor)
            case StartRequest():
                await self._start(command, request, actor)
            case OfferKill():
                await self.kills.offer(command, request, actor)
            case KillRequest():
                await self.kills.kill_one(command, request, actor)
            case KillSelection():
                await self.kills.ask_kill_many(command, request, actor)
            case AskRestart():
                await self.restarts.ask(command, request, actor)
            case ContinueRequest():
                is_in_thread = request.thread_ts is not None
                await self.continue_run(command, request, actor, is_in_thread=is_in_thread)
            case ListSessions() | ShowSession() | ChangeSession() | ShowDashboard():
                answer = (
                    await self._dashboard_link(actor)
                    if isinstance(command, ShowDashboard)
                    else await self.sessions.answer(command, actor)
                )
                await self.answers.send_private(request, answer)
            case _:
                await self.answers.send_private(request, await self._answer_to(command, actor))

    async def _start(self, command: StartRequest, request: SlackRequest, actor: Actor) -> None:
        """Start a run; point out what was typed where it is not read."""
        started = await self.runs.start(command, by=actor)
        if not await self._answer_without_card(started, request) and not started.is_new:
            await self.answers.send_private(request, receipts.started(started))
        flags = flags_at_end(command.task)
        if flags and started.is_new:
            task = without_flags_at_end(command.task)
            await self.answers.send_private(request, flags_in_task(started.run, flags, task))

    async def continue_run(
        self,
        command: ContinueRequest,
        request: SlackRequest,
        actor: Actor,
        *,
        is_in_thread: bool = False,
    ) -> None:
        """Continue a session.

        Args:
            command: What to continue.
            request: The request to answer.
            actor: The person.
            is_in_thread: Whether the request was made in the run's own thread, which shows that it
                goes on: then only a request that started nothing is answered.
        """
        started = await self.runs.continue_run(command, by=actor, place=self.place_of(request))
        is_answered = await self._answer_without_card(started, request)
        is_seen = is_in_thread and started.run.slack_channel_id == request.channel_id
        if not is_answered and not (started.is_new and is_seen):
            receipt = receipts.continued(started, target=command.target)
            await self.answers.send_private(request, receipt)
        turns = turns_at_end(command.message or "") if command.additional_turns is None else None
        if turns is not None and started.is_new:
            await self.answers.send_private(request, turns_in_message(started.run, turns))

    async def _answer_without_card(self, started: StartResult, request: SlackRequest) -> bool:
        """Answer privately if Slack does not let the bot draw the card; return whether it did."""
        channel_id = started.run.slack_channel_id
        methods = ("chat.postMessage", "chat.update")
        limits = (self.slack.limits.of(method, channel_id) for method in methods)
        limit = next((limit for limit in limits if limit is not None), None)
        if limit is None or not started.is_new:
            return False
        if request.user_id is not None:
            self.slack.limits.claim_notice(request.user_id)
        await self.answers.send_private(request, started_without_card(started, limit))
        return True

    async def open_run_form(self, request: SlackRequest, actor: Actor, *, task: str = "") -> None:
        """Open the modal that starts a run, unless the request is a replay: its trigger expired.

        Somebody who may not start runs is refused, not asked what to start.
        """
        await self.runs.require_start(by=actor)
        if request.trigger_id is None or request.is_replay:
            return
        channel = request.channel_id or await self.slack.direct_channel(request.user_id or "")
        view = run_form(self.runs.workflows, channel_id=channel, task=task)
        await self.slack.call("views.open", trigger_id=request.trigger_id, view=view)

    async def open_continue_form(
        self, request: SlackRequest, actor: Actor, target: str, *, is_recovery: bool = False
    ) -> None:
        """Open the modal that asks how to continue, for somebody who may."""
        snapshot = await self.runs.snapshot(target, by=actor, action=Action.CONTINUE)
        if request.trigger_id is None or request.is_replay:
            return
        view = continue_form(
            snapshot,
            channel_id=request.channel_id or snapshot.run.slack_channel_id or "",
            is_recovery=is_recovery,
        )
        await self.slack.call("views.open", trigger_id=request.trigger_id, view=view)

    async def open_details(self, request: SlackRequest, actor: Actor, target: str) -> None:
        """Open the modal with all figures of a run."""
        if request.trigger_id is None or request.is_replay:
            return
        snapshot = await self.runs.snapshot(target, by=actor)
        view = details_view(snapshot, now=self.clock())
        await self.slack.call("views.open", trigger_id=request.trigger_id, view=view)

    async def _answer_to(
        self,
        command: (
            ShowStatus
            | ListRuns
            | ShowStats
            | ShowWorkers
            | ShowWorkspaces
            | ShowWorkflows
            | ShowHelp
        ),
        actor: Actor,
    ) -> Message:
        match command:
            case ShowStatus(target=str() as target):
                session = await self.sessions.status(target, actor)
                if session is not None:
                    return session
                snapshot = await self.runs.snapshot(target, by=actor)
                return status_message(snapshot, now=self.clock(), links=self.links)
            case ShowStatus():
                live = await self.runs.list_runs(RunFilter(live=True), by=actor)
                recent = await self.runs.list_runs(RunFilter(), by=actor, limit=_RECENT)
                reader = Reader(actor=actor, links=self.links)
                return overview_message(live, recent, reader=reader, now=self.clock())
            case ListRuns(run_filter=run_filter):
                found = await self.runs.list_runs(run_filter, by=actor)
                reader = Reader(actor=actor, links=self.links)
                return run_list_message(
                    found, run_filter=run_filter, reader=reader, now=self.clock()
                )
            case ShowStats(period=period):
                return stats_message(await self.stats.stats(period, by=actor))
            case ShowWorkers():
                return fleet_message(await self.fleet.workers(by=actor))
            case ShowWorkspaces():
                return workspaces_message(await self.workspaces.view(by=actor))
            case ShowWorkflows():
                return workflow_list_message(self.runs.workflows)
            case ShowHelp(topic=topic, is_complete=is_complete):
                return help_message(topic, is_complete=is_complete)

    async def _dashboard_link(self, actor: Actor) -> Message:
        if self.dashboard is None:
            return no_dashboard_message()
        url = await self.dashboard.sign_in_url(by=actor)
        return dashboard_message(url, is_public=self.dashboard.public_url is not None)
