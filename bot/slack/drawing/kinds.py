"""The kinds of drawables: for each what it is drawn from, how, and how important it is.

A new kind needs a query in a service, a view, and a line in the table that `drawn_kinds` makes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from bot.slack.client.rate_limits import Priority
from bot.slack.drawing.diff import DELETED, ActionKind, DrawAction, is_lost
from bot.slack.ports import Threads
from bot.slack.views.home import home_view
from bot.slack.views.message import Content, HomeView
from bot.slack.views.owner_notice import owner_notice
from bot.slack.views.thread.slots import CARD, thread_files, thread_messages
from core.domain.drawables import (
    DrawableId,
    DrawableKind,
    DrawablePlace,
    DrawableRequest,
    SlackMessage,
)
from core.domain.feed import ChangeKind
from core.domain.runs.snapshot import PersonalRuns, Thread

_NOTICE = "notice"
_HOME = "home"

Subject = TypeVar("Subject")


def _never(_: Any) -> bool:
    return False


def _no_requests(_: Any, __: Mapping[str, SlackMessage]) -> Sequence[DrawableRequest]:
    return ()


@dataclass(frozen=True, kw_only=True)
class DrawnKind(Generic[Subject]):
    """How one kind is drawn.

    Attributes:
        head: The slot of its first message.
        read: Reads what one of them is drawn from, by its key; `None` if there is nothing.
        draw: The view: what it should show, by slot, the head first.  Pure.
        priority: How important an action is, given whether only a clock is to be refreshed.
        is_live: Whether it shows what still goes on, and so a clock that is to be refreshed.
        requests: What else is to be drawn once this is drawn as far as it can be.
        find_ended: Those of some keys whose next drawing shows an end: they go first.
        depends_on: Changes after which all that is kept true for a while may be behind.  A
            kind whose rows are raised where they are written needs none.
        refresh_method: The method whose spare permits a refreshed clock may use.
    """

    head: str
    read: Callable[[str], Awaitable[Subject | None]]
    draw: Callable[[Subject, datetime], Mapping[str, Content]]
    priority: Callable[[Subject, DrawAction, bool], Priority]
    is_live: Callable[[Subject], bool] = _never
    requests: Callable[[Subject, Mapping[str, SlackMessage]], Sequence[DrawableRequest]] = (
        _no_requests
    )
    find_ended: Callable[[Collection[str]], Awaitable[frozenset[str]]] | None = None
    depends_on: frozenset[ChangeKind] = frozenset()
    refresh_method: str = "chat.update"


DrawnKinds = Mapping[str, DrawnKind[Any]]


def drawn_kinds(threads: Threads) -> DrawnKinds:
    """The table of all kinds that the program draws."""
    return {
        DrawableKind.THREAD: DrawnKind(
            head=CARD,
            read=threads.thread,
            draw=_draw_thread,
            priority=thread_priority,
            is_live=_is_thread_live,
            requests=owner_notice_requests,
            find_ended=threads.without_live_run,
        ),
        DrawableKind.OWNER_NOTICE: DrawnKind(
            head=_NOTICE,
            read=threads.thread_up_to,
            draw=lambda thread, _: {_NOTICE: owner_notice(thread)},
            priority=lambda _, __, ___: Priority.FINAL,
        ),
        DrawableKind.HOME: DrawnKind(
            head=_HOME,
            read=threads.personal_runs,
            draw=_draw_home,
            priority=_home_priority,
            is_live=lambda runs: bool(runs.live),
            depends_on=frozenset({ChangeKind.RUN}),
            refresh_method="views.publish",
        ),
    }


def home_request(*, team_id: str, user_id: str) -> DrawableRequest:
    """Have a person's Home tab drawn."""
    return DrawableRequest(
        drawable=DrawableId(DrawableKind.HOME, f"{team_id}:{user_id}"),
        place=DrawablePlace(team_id=team_id, user_id=user_id),
    )


def thread_priority(thread: Thread, action: DrawAction, is_idle: bool) -> Priority:
    """Ends go before answers (a first card, a kill, a question), answers before steps."""
    run = thread.legs[-1].run
    if not run.is_live:
        return Priority.FINAL
    if action.kind is not ActionKind.UPDATE or run.kill_requested_at or run.waiting_on:
        return Priority.ANSWER
    return Priority.IDLE if is_idle else Priority.STEP


def owner_notice_requests(
    thread: Thread, messages: Mapping[str, SlackMessage]
) -> Sequence[DrawableRequest]:
    """A notice to the owner, if the newest leg has ended and its thread takes no word of that.

    Where somebody deleted a message, they have read it.
    """
    leg = thread.legs[-1]
    owner = leg.owner.slack_user_id if leg.owner is not None else None
    ends = (messages.get(CARD), messages.get(f"result:{leg.run.run_id}"))
    is_untold = any(row is not None and is_lost(row) and row.error != DELETED for row in ends)
    if leg.run.is_live or owner is None or not is_untold:
        return ()
    return (
        DrawableRequest(
            drawable=DrawableId(DrawableKind.OWNER_NOTICE, leg.run.run_id),
            place=DrawablePlace(team_id=thread.team_id, user_id=owner),
        ),
    )


def _draw_thread(thread: Thread, now: datetime) -> Mapping[str, Content]:
    return {**thread_messages(thread, now), **thread_files(thread)}


def _is_thread_live(thread: Thread) -> bool:
    return thread.legs[-1].run.is_live


def _draw_home(runs: PersonalRuns, now: datetime) -> Mapping[str, Content]:
    return {_HOME: HomeView(view=home_view(mine=runs.mine, live=runs.live, now=now))}


def _home_priority(_: PersonalRuns, action: DrawAction, __: bool) -> Priority:
    """Somebody who has just opened it waits for it."""
    return Priority.ANSWER if action.current is None else Priority.IDLE
