"""The Bolt app, the same for Socket Mode and HTTP, and everything around it put together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.client.cached import Kept
from bot.slack.client.client import Slack, is_loopback
from bot.slack.client.private_logs import bolt_logger
from bot.slack.drawing.drawing import ARRIVAL, Drawing
from bot.slack.drawing.finder import Finder
from bot.slack.drawing.lost_channels import Places
from bot.slack.drawing.owner_notices import Farewells
from bot.slack.drawing.posting import Poster
from bot.slack.drawing.reconciler import REFRESH_EVERY, Redraw
from bot.slack.drawing.uncertain_writes import LOOK_AGAIN_AFTER, Doubts
from bot.slack.inbound.access import Access, Installation
from bot.slack.inbound.answers import Answers
from bot.slack.inbound.error_boundary import Desk
from bot.slack.inbound.intake import Intake
from bot.slack.inbound.request import Asked
from bot.slack.inbound.roles import Roles
from bot.slack.inbound.supervised import Supervised
from bot.slack.listeners.actions import Acts
from bot.slack.listeners.kills import KillActs
from bot.slack.listeners.register import register
from bot.slack.ports import Inbox, KillsMany, People, Runs, ShowsStats, ShowsWorkers, Threads
from bot.slack.views.errors import private
from bot.slack.views.message import Message, TextFile
from bot.slack.views.thread.thread import thread_files, thread_messages
from core.domain.actor import Role
from core.domain.runs.snapshot import Thread

# Who has read a hint in a thread needs it no second time that day.
_HINT_TTL = timedelta(hours=12)
DRAIN = timedelta(seconds=8)


@dataclass(frozen=True, kw_only=True)
class Services:
    """What the Slack side works with; see `bot.slack.ports`."""

    runs: Runs
    kills: KillsMany
    stats: ShowsStats
    fleet: ShowsWorkers
    threads: Threads
    inbox: Inbox
    people: People


@dataclass(frozen=True, kw_only=True)
class SlackSide:
    """The parts of the Slack side that assembly runs.

    Attributes:
        app: Given to `open_sockets` or `slack_route`.
        redraw: `run()` is a task of its own.
        intake: `keep_replaying(app)` is another.
        supervised: What still goes on; drained when `open_slack_side` closes.
    """

    app: AsyncApp
    installation: Installation
    redraw: Redraw
    intake: Intake
    supervised: Supervised


def build_slack_app(slack: Slack, installation: Installation, *, signing_secret: str) -> AsyncApp:
    """Make a Bolt app without listeners.

    Bolt is told who it is (`authorize`) instead of finding out: it would else ask Slack
    within the first delivery's 3 seconds.  It gets a client without a token, since every
    call of ours goes through `Slack` and its budget.
    """

    async def authorize() -> AuthorizeResult:
        return AuthorizeResult(
            enterprise_id=None,
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
        # An empty secret refuses every HTTP request; `slack_route` refuses to exist with one.
        signing_secret=signing_secret,
        attaching_conversation_kwargs_enabled=False,
        attaching_function_token_enabled=False,
    )


def drawn(thread: Thread, now: datetime) -> Mapping[str, Message | TextFile]:
    """All that a thread should show."""
    return {**thread_messages(thread, now), **thread_files(thread)}


@asynccontextmanager
async def open_slack_side(
    slack: Slack,
    installation: Installation,
    services: Services,
    *,
    roles: Mapping[Role, tuple[str, ...]] | None,
    allowed_channels: frozenset[str] | None,
    clock: Callable[[], datetime],
    signing_secret: str = "",
    now: Callable[[], float] = time.monotonic,
    refresh_every: timedelta = REFRESH_EVERY,
    drain: timedelta = DRAIN,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    arrival: timedelta = ARRIVAL,
    doubted_for: timedelta = LOOK_AGAIN_AFTER,
) -> AsyncIterator[SlackSide]:
    """Put the Slack side together.  On leaving, work under way is drained.

    Args:
        slack: From `open_slack_client`.
        installation: From `check_slack`.
        services: The core's services.
        roles: The `[roles]` table; `None` without one.
        allowed_channels: `[channels] allow`; `None` without one.
        clock: Aware UTC now.
        signing_secret: For HTTP; empty in Socket Mode.
        now: A monotonic clock in seconds.
        refresh_every: How often elapsed times of live cards are brought up to date.
        drain: How long to wait for work under way.
        sleep: Sleeps that many seconds of `now`.
        arrival: How long a post without an answer may still arrive.
        doubted_for: When a call without an answer is looked at once more.
    """
    supervised = Supervised()
    answers = Answers(slack)

    def tell(asked: Asked, words: str) -> None:
        supervised.start(_told(answers, asked, words), name="slack answer")

    intake = Intake(services.inbox, bot_user_id=installation.bot_user_id, tell=tell)
    access = Access(
        installation=installation,
        slack=slack,
        roles=Roles(roles, slack=slack, now=now),
        people=services.people,
        allowed_channels=allowed_channels,
        now=now,
    )
    acts = Acts(
        runs=services.runs,
        kills=KillActs(
            runs=services.runs,
            many=services.kills,
            slack=slack,
            answers=answers,
            clock=clock,
        ),
        figures=services.stats,
        fleet=services.fleet,
        slack=slack,
        answers=answers,
        team_id=installation.team_id,
        bot_user_id=installation.bot_user_id,
        clock=clock,
    )
    app = build_slack_app(slack, installation, signing_secret=signing_secret)
    app.middleware(intake.middleware)
    register(
        app,
        Desk(access=access, answers=answers, intake=intake, supervised=supervised),
        acts,
        hinted=Kept(_HINT_TTL, now),
    )
    drawing = Drawing(
        threads=services.threads,
        poster=Poster(slack, services.threads),
        finder=Finder(slack, services.threads),
        doubts=Doubts(services.threads, clock, now, after=doubted_for),
        sleep=sleep,
        arrival=arrival,
        budget=slack.budget,
        draw=drawn,
        farewells=Farewells(services.threads, slack.direct_channel, clock),
        clock=clock,
        now=now,
    )
    redraw = Redraw(
        threads=services.threads,
        drawing=drawing,
        team_id=installation.team_id,
        places=Places(slack, services.threads, installation.team_id, sleep),
        now=now,
        sleep=sleep,
        refresh_every=refresh_every,
    )
    try:
        yield SlackSide(
            app=app,
            installation=installation,
            redraw=redraw,
            intake=intake,
            supervised=supervised,
        )
    finally:
        await supervised.drain(drain)


async def _told(answers: Answers, asked: Asked, words: str) -> None:
    await answers.privately(asked, private(words))
