"""The kinds of drawables: for each, how to read it, how to draw it, and its priorities.

A new kind needs a query in a service, a view, and an entry in the table of `drawn_kinds`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from bot.slack.alert_ports import Alerts
from bot.slack.client.rate_limits import Priority
from bot.slack.drawing.alert_priority import ALERT_REFRESH_GAP, alert_priority
from bot.slack.drawing.diff import DELETED, ActionKind, DrawAction, is_lost
from bot.slack.ports import NO_DIGESTS, Digests, Threads
from bot.slack.views.alerts.digest import DIGEST, ShownDigest, digest_contents
from bot.slack.views.alerts.message import ALERT, alert_messages
from bot.slack.views.home import home_view
from bot.slack.views.message import Content, HomeView
from bot.slack.views.owner_notice import owner_notice
from bot.slack.views.runs.links import NO_LINKS, ThreadLinks
from bot.slack.views.thread.slots import CARD, thread_files, thread_messages
from core.domain.alerts.posts.digest_figures import DigestFigures
from core.domain.drawables import (
    DrawableId,
    DrawableKind,
    DrawablePlace,
    DrawableRequest,
    SlackMessage,
)
from core.domain.feed import ChangeKind
from core.domain.runs.snapshot import PersonalRuns, RunSnapshot, Thread

_NOTICE = "notice"
_HOME = "home"

Subject = TypeVar("Subject")


def _never(_: Any) -> bool:
    return False


def _no_leg(_: Any) -> RunSnapshot | None:
    return None


def _no_requests(_: Any, __: Mapping[str, SlackMessage]) -> Sequence[DrawableRequest]:
    return ()


@dataclass(frozen=True, kw_only=True)
class DrawnKind(Generic[Subject]):
    """How one kind is drawn.

    A subject is the value from which a drawable is drawn.

    Attributes:
        head: The slot of its first message.
        read: Reads the subject for a key; `None` if there is none.
        draw: The view: the desired contents by slot, the head first.  Pure.
        priority: The priority of an action.  The last argument says whether only elapsed times
            need a refresh.
        is_live: Whether the subject is still in progress, so that elapsed times need refreshes.
        leg: The run whose owner is told if Slack does not let the bot draw; `None` tells nobody.
        requests: Other drawables to request when this one is up to date.
        find_urgent: Returns those of the given keys whose subject has ended, or of which a person
            waits to see something; they are drawn first.
        depends_on: After a change of these kinds, all active drawables of this kind count as
            outdated.  Empty if the desired version rises together with the rows it depends on.
        refresh_method: The Web API method whose spare permits a refresh may use.
        refresh_gap: The least time between two refreshes of one drawable of this kind.
    """

    head: str
    read: Callable[[str], Awaitable[Subject | None]]
    draw: Callable[[Subject, datetime], Mapping[str, Content]]
    priority: Callable[[Subject, DrawAction, bool], Priority]
    is_live: Callable[[Subject], bool] = _never
    leg: Callable[[Subject], RunSnapshot | None] = _no_leg
    requests: Callable[[Subject, Mapping[str, SlackMessage]], Sequence[DrawableRequest]] = (
        _no_requests
    )
    find_urgent: Callable[[Collection[str]], Awaitable[frozenset[str]]] | None = None
    depends_on: frozenset[ChangeKind] = frozenset()
    refresh_method: str = "chat.update"
    refresh_gap: timedelta = timedelta(0)


DrawnKinds = Mapping[str, DrawnKind[Any]]


def drawn_kinds(
    threads: Threads,
    alerts: Alerts,
    links: ThreadLinks = NO_LINKS,
    *,
    digests: Digests = NO_DIGESTS,
) -> DrawnKinds:
    """The table of all kinds that the program draws, by the name of the kind."""

    def draw_home(runs: PersonalRuns, now: datetime) -> Mapping[str, Content]:
        view = home_view(mine=runs.mine, live=runs.live, now=now, links=links)
        return {_HOME: HomeView(view=view)}

    async def read_digest(key: str) -> ShownDigest | None:
        digest = await digests.digest(key)
        if digest is None:
            return None
        figures = DigestFigures.of_json(digest.figures)
        cards = await threads.cards([run.run_id for run in figures.slowest])
        return ShownDigest(digest=digest, figures=figures, cards=cards)

    return {
        DrawableKind.THREAD: DrawnKind(
            head=CARD,
            read=threads.thread,
            draw=lambda thread, now: {
                **thread_messages(thread, now, links),
                **thread_files(thread),
            },
            priority=thread_priority,
            is_live=_is_thread_live,
            leg=lambda thread: thread.legs[-1],
            requests=owner_notice_requests,
            find_urgent=threads.urgent,
        ),
        DrawableKind.OWNER_NOTICE: DrawnKind(
            head=_NOTICE,
            read=threads.thread_up_to,
            draw=lambda thread, _: {_NOTICE: owner_notice(thread, links)},
            priority=lambda _, __, ___: Priority.FINAL,
            leg=lambda thread: thread.legs[-1],
        ),
        DrawableKind.HOME: DrawnKind(
            head=_HOME,
            read=threads.personal_runs,
            draw=draw_home,
            priority=_home_priority,
            is_live=lambda runs: bool(runs.live),
            depends_on=frozenset({ChangeKind.RUN}),
            refresh_method="views.publish",
        ),
        DrawableKind.ALERT: DrawnKind(
            head=ALERT,
            read=alerts.message,
            draw=lambda message, now: alert_messages(message, now, links),
            priority=alert_priority,
            is_live=lambda message: message.is_open,
            find_urgent=alerts.urgent,
            refresh_gap=ALERT_REFRESH_GAP,
        ),
        DrawableKind.DIGEST: DrawnKind(
            head=DIGEST,
            read=read_digest,
            draw=lambda shown, _: digest_contents(shown, links),
            priority=lambda _, __, ___: Priority.STEP,
        ),
    }


def home_request(*, team_id: str, user_id: str) -> DrawableRequest:
    """The request to draw a person's Home tab."""
    return DrawableRequest(
        drawable=DrawableId(DrawableKind.HOME, f"{team_id}:{user_id}"),
        place=DrawablePlace(team_id=team_id, user_id=user_id),
    )


def thread_priority(thread: Thread, action: DrawAction, is_idle: bool) -> Priority:
    """The priority of an action: ends of runs, then responses to people, then steps.

    Responses are a first card, a kill, and a question of the agent.
    """
    run = thread.legs[-1].run
    if not run.is_live:
        return Priority.FINAL
    if action.kind is not ActionKind.UPDATE or run.kill_requested_at or run.waiting_on:
        return Priority.ANSWER
    return Priority.IDLE if is_idle else Priority.STEP


def owner_notice_requests(
    thread: Thread, messages: Mapping[str, SlackMessage]
) -> Sequence[DrawableRequest]:
    """A notice to the owner, if the newest leg has ended and its thread cannot show that.

    A message that somebody deleted counts as read.  A card that can only not be changed matters
    if the result is not shown below it.
    """
    leg = thread.legs[-1]
    owner = leg.owner.slack_user_id if leg.owner is not None else None
    card, result = messages.get(CARD), messages.get(f"result:{leg.run.run_id}")
    ends = (result,) if result is not None and not is_lost(result) else (card, result)
    is_end_lost = any(row is not None and is_lost(row) and row.error != DELETED for row in ends)
    if leg.run.is_live or owner is None or not is_end_lost:
        return ()
    return (
        DrawableRequest(
            drawable=DrawableId(DrawableKind.OWNER_NOTICE, leg.run.run_id),
            place=DrawablePlace(team_id=thread.team_id, user_id=owner),
        ),
    )


def _is_thread_live(thread: Thread) -> bool:
    return thread.legs[-1].run.is_live


def _home_priority(_: PersonalRuns, action: DrawAction, __: bool) -> Priority:
    """A person who has just opened the tab waits for the first view."""
    return Priority.ANSWER if action.current is None else Priority.IDLE
