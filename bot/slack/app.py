"""Construction of the Bolt app, the same for Socket Mode and HTTP, and of all it works with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.alert_ports import Alerts, Subscriptions
from bot.slack.client.private_logs import bolt_logger
from bot.slack.client.ttl_cache import new_cache
from bot.slack.client.web_api import Slack, is_loopback
from bot.slack.drawing.drawing import Drawer
from bot.slack.drawing.health import HealthReports
from bot.slack.drawing.kinds import DrawnKinds, drawn_kinds
from bot.slack.drawing.lag import DrawingLag
from bot.slack.drawing.lost_channels import LostChannels
from bot.slack.drawing.messages.finder import MessageFinder
from bot.slack.drawing.messages.posting import Poster
from bot.slack.drawing.messages.rechecks import Rechecks
from bot.slack.drawing.messages.refused import Refusals
from bot.slack.drawing.messages.sending import Sender
from bot.slack.drawing.messages.uncertain_writes import UncertainWrites
from bot.slack.drawing.notices import Notices
from bot.slack.drawing.permits import Permits
from bot.slack.drawing.places import PlaceFinder
from bot.slack.drawing.reconciler import RedrawLoop
from bot.slack.drawing.update_gaps import UpdateGaps
from bot.slack.inbound.access import Access, AccessPolicy
from bot.slack.inbound.answers import PrivateAnswers
from bot.slack.inbound.background_tasks import BackgroundTasks
from bot.slack.inbound.channel_access import ChannelAccess
from bot.slack.inbound.deliveries import Deliveries
from bot.slack.inbound.directory import Directory
from bot.slack.inbound.error_boundary import ErrorBoundary
from bot.slack.inbound.installation import Installation
from bot.slack.inbound.intake import Intake
from bot.slack.inbound.request import SlackRequest
from bot.slack.inbound.run_linker import RunLinker
from bot.slack.listeners.actions import BotActions
from bot.slack.listeners.alert_buttons import AlertButtons
from bot.slack.listeners.alerts import AlertActions
from bot.slack.listeners.kills import KillActions
from bot.slack.listeners.operator_requests import OperatorRequests
from bot.slack.listeners.register import register
from bot.slack.listeners.restarts import RestartActions
from bot.slack.listeners.sessions import NO_SESSIONS, SessionActions, Sessions
from bot.slack.ports import (
    NO_DIGESTS,
    BulkKiller,
    Dashboard,
    Digests,
    Drawables,
    FleetReader,
    Inbox,
    People,
    Restarter,
    RunOperations,
    StatsReader,
    Threads,
    WorkspaceReader,
)
from bot.slack.timing import Timing
from bot.slack.views.errors import private_message
from bot.slack.views.runs.links import ThreadLinks, archive_url

# A person sees the same hint in a thread once in this time.
_HINT_TTL = timedelta(hours=12)
# A person asks the operators for the same thing once in this time.
_ASKED_TTL = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True)
class Services:
    """The core's services as Slack uses them; see `bot.slack.ports`."""

    runs: RunOperations
    kills: BulkKiller
    restarts: Restarter
    stats: StatsReader
    fleet: FleetReader
    workspaces: WorkspaceReader
    threads: Threads
    alerts: Alerts
    drawables: Drawables
    inbox: Inbox
    people: People
    subscriptions: Subscriptions
    digests: Digests = NO_DIGESTS
    sessions: Sessions = NO_SESSIONS
    dashboard: Dashboard | None = None


@dataclass(frozen=True, kw_only=True)
class SlackRuntime:
    """The parts of the Slack surface that need a connection or a task.

    Attributes:
        app: Bolt, with all listeners.
        access: Knows the members and their roles.
        channels: Admits to channels that somebody names elsewhere.
        deliveries: Receives what `open_sockets` or `slack_route` deliver.
        redraw: Its `run()` needs a task.
        intake: Its `keep_replaying(app)` and `keep_renewing()` need a task each.
        background_tasks: Requests in progress; drained when `open_slack_runtime` closes.
    """

    app: AsyncApp
    access: Access
    channels: ChannelAccess
    deliveries: Deliveries
    installation: Installation
    redraw: RedrawLoop
    intake: Intake
    background_tasks: BackgroundTasks


def build_slack_app(slack: Slack, installation: Installation) -> AsyncApp:
    """Construct a Bolt app without listeners.

    `authorize` answers from what is known already.  Otherwise Bolt would call Slack during the
    first delivery, which has only 3 seconds.  Bolt's client has no token, since all calls go
    through `Slack` and its rate limiter.
    """

    async def authorize() -> AuthorizeResult:
        return AuthorizeResult(
            enterprise_id=installation.enterprise_id or None,
            team_id=installation.team_id,
            bot_user_id=installation.bot_user_id,
            bot_id=installation.bot_id or None,
            bot_token=slack.web.token,
        )

    logger = bolt_logger()
    web = AsyncWebClient(
        base_url=slack.web.base_url, session=slack.session, retry_handlers=[], logger=logger
    )
    if is_loopback(slack.web.base_url):
        web.proxy = None
    return AsyncApp(
        name="signalbox",
        logger=logger,
        client=web,
        authorize=authorize,
        # `slack_route` verifies requests.  Without a secret Bolt refuses any that come past it.
        signing_secret="",
        attaching_conversation_kwargs_enabled=False,
        attaching_function_token_enabled=False,
    )


@asynccontextmanager
async def open_slack_runtime(
    slack: Slack,
    installation: Installation,
    services: Services,
    *,
    policy: AccessPolicy,
    timing: Timing,
    kinds: DrawnKinds | None = None,
) -> AsyncIterator[SlackRuntime]:
    """Construct the Slack surface; on exit, wait for the requests in progress.

    Args:
        slack: From `open_slack_client`.
        installation: From `check_slack`.
        services: The core's services.
        policy: The configured roles and channels.
        timing: The clocks and waits.
        kinds: What is drawn; `None` for all that the program knows.
    """
    background_tasks = BackgroundTasks()
    dashboard = services.dashboard
    links = ThreadLinks(
        archive_url=archive_url(installation.team_url),
        dashboard_url=(dashboard and dashboard.public_url) or "",
    )
    answers = PrivateAnswers(slack, RunLinker(services.threads, links))

    def notify(request: SlackRequest, words: str) -> None:
        background_tasks.start(_send_private(answers, request, words), name="slack answer")

    intake = Intake(services.inbox, bot_user_id=installation.bot_user_id, notify=notify)
    access = Access(
        installation=installation,
        slack=slack,
        policy=policy,
        people=services.people,
        now=timing.now,
    )
    app = build_slack_app(slack, installation)
    app.middleware(intake.middleware)
    register(
        app,
        ErrorBoundary(
            access=access, answers=answers, intake=intake, background_tasks=background_tasks
        ),
        _actions(slack, installation, services, answers, timing, links=links, policy=policy),
        AlertButtons(services.alerts, answers, timing.clock),
        hint_cache=new_cache(_HINT_TTL, timing.now),
    )
    try:
        yield SlackRuntime(
            app=app,
            access=access,
            channels=ChannelAccess(access, slack, services.people, timing.now),
            deliveries=Deliveries(app, installation),
            installation=installation,
            redraw=_redraw_loop(
                slack,
                installation,
                services,
                answers,
                timing,
                kinds=(
                    drawn_kinds(services.threads, services.alerts, links, digests=services.digests)
                    if kinds is None
                    else kinds
                ),
            ),
            intake=intake,
            background_tasks=background_tasks,
        )
    finally:
        await background_tasks.drain(timing.drain)


def _actions(
    slack: Slack,
    installation: Installation,
    services: Services,
    answers: PrivateAnswers,
    timing: Timing,
    *,
    links: ThreadLinks,
    policy: AccessPolicy,
) -> BotActions:
    return BotActions(
        runs=services.runs,
        kills=KillActions(
            runs=services.runs,
            bulk=services.kills,
            slack=slack,
            answers=answers,
            links=links,
            clock=timing.clock,
        ),
        restarts=RestartActions(
            restarts=services.restarts,
            runs=services.runs,
            slack=slack,
            answers=answers,
            team_id=installation.team_id,
        ),
        alerts=AlertActions(
            subscriptions=services.subscriptions,
            alerts=services.alerts,
            workflows=services.runs,
            people=services.people,
            slack=slack,
            answers=answers,
            directory=Directory.new(slack, installation, timing.now),
            team_id=installation.team_id,
            clock=timing.clock,
        ),
        sessions=SessionActions(services.sessions, links),
        operators=OperatorRequests(
            runs=services.runs,
            answers=answers,
            operators=policy.operators,
            asked=new_cache(_ASKED_TTL, timing.now),
        ),
        stats=services.stats,
        fleet=services.fleet,
        dashboard=services.dashboard,
        workspaces=services.workspaces,
        drawables=services.drawables,
        slack=slack,
        answers=answers,
        team_id=installation.team_id,
        bot_user_id=installation.bot_user_id,
        links=links,
        clock=timing.clock,
    )


def _redraw_loop(
    slack: Slack,
    installation: Installation,
    services: Services,
    answers: PrivateAnswers,
    timing: Timing,
    *,
    kinds: DrawnKinds,
) -> RedrawLoop:
    drawables = services.drawables
    finder = MessageFinder(slack, drawables)
    uncertain_writes = UncertainWrites(
        drawables, timing.clock, timing.now, after=timing.recheck_after
    )
    poster = Poster(slack, drawables)
    notices = Notices(slack.limits, answers, timing.clock)
    drawing = Drawer(
        drawables=drawables,
        kinds=kinds,
        sender=Sender(
            drawables=drawables,
            poster=poster,
            finder=finder,
            uncertain_writes=uncertain_writes,
            refusals=Refusals(drawables, poster, notices, timing.clock, timing.now),
            clock=timing.clock,
            now=timing.now,
            sleep=timing.sleep,
            arrival_window=timing.arrival_window,
        ),
        rechecks=Rechecks(drawables, finder, uncertain_writes, timing.clock),
        places=PlaceFinder(drawables, slack.direct_channel, timing.clock),
        uncertain_writes=uncertain_writes,
        notices=notices,
        archive_url=archive_url(installation.team_url),
        permits=Permits(timing.now),
        gaps=UpdateGaps(timing.now, timing.sleep),
        rate_limiter=slack.rate_limiter,
        clock=timing.clock,
        now=timing.now,
    )
    lag = DrawingLag(slack.meter, timing.now)
    return RedrawLoop(
        drawables=drawables,
        drawing=drawing,
        team_id=installation.team_id,
        lost_channels=LostChannels(slack, drawables, installation.team_id, timing.sleep),
        lag=lag,
        health=HealthReports(
            drawables, lag, notices, installation.team_id, timing.clock, timing.sleep
        ),
        now=timing.now,
        sleep=timing.sleep,
        refresh_every=timing.refresh_every,
    )


async def _send_private(answers: PrivateAnswers, request: SlackRequest, words: str) -> None:
    await answers.send_private(request, private_message(words))
