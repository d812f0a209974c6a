"""Sessions in Slack: a list of them, and one with its legs and what each cost."""

from __future__ import annotations

from collections.abc import Sequence

from bot.slack import dates, ids, text
from bot.slack.mrkdwn import MRKDWN
from bot.slack.views import blocks
from bot.slack.views.message import Block, Message
from bot.slack.views.runs.continue_buttons import continue_buttons
from bot.slack.views.runs.links import ThreadLinks
from bot.words import counts
from bot.words.runs.names import leg_suffix, task_name
from bot.words.runs.states import state_of
from bot.words.spending import spent_figures, spent_tokens, spent_words
from core.domain.runs.session import Session
from core.domain.runs.snapshot import RunSnapshot
from core.domain.sessions.ledger import LedgerSum
from core.services.sessions import Leg, SessionHistory, SessionOverview

MAX_ROWS = 15
_LEGS_SHOWN = 25
_TASK_LIMIT = 90
_NAME_LIMIT = 90
_LINES_LIMIT = 6500
_ID_DIGITS = 8


def session_list_message(found: Sequence[SessionOverview], *, kind: str) -> Message:
    """`sessions`: those that were used last, a line each.

    Args:
        found: The sessions, the last used one first.
        kind: Which ones they are, as `open sessions of yours`.
    """
    if not found:
        words = (
            f"There are no {kind}. `/workflow run <workflow> --session <name> <task>` starts one "
            "with a name."
        )
        return Message(text=words, blocks=(blocks.section(text.escape(words)),))
    shown = found[:MAX_ROWS]
    lines = blocks.fit_lines([_overview_line(one) for one in shown], _LINES_LIMIT)
    hint = text.escape(
        "`/workflow status <session>` shows one with its legs, `/workflow continue <session>` goes "
        "on with it, `/workflow sessions close <session>` frees its name."
    )
    lead = f"*{kind[:1].upper()}{kind[1:]}*, last used first"
    return Message(
        text=f"{counts.plural(len(shown), 'session')} listed",
        blocks=(*blocks.paragraphs([lead, *lines]), blocks.context(hint)),
    )


def session_message(history: SessionHistory, *, links: ThreadLinks) -> Message:
    """`status` of a session: what it is about, its legs, and what they cost together."""
    overview = history.overview
    session, legs = overview.session, history.legs
    title = f"*{_title(overview)}*"
    where = text.one_line(session.git_repo or "a new, empty repository", 160)
    facts = [
        MRKDWN.person(overview.owner),
        text.one_line(session.agent_name, 40),
        where,
        f"since {dates.date_time(session.created_at)}",
        *([] if session.is_open else ["closed"]),
        f"`{short_id(session)}`",
    ]
    drawn: list[Block] = [
        blocks.section(title),
        blocks.context(" · ".join(fact for fact in facts if fact)),
    ]
    first = max(len(legs) - _LEGS_SHOWN, 0)
    lines = [f"_{counts.plural(first, 'earlier leg')}_"] if first else []
    lines += [_leg_line(leg, links) for leg in legs[first:]]
    drawn += blocks.paragraphs(blocks.fit_lines(lines, _LINES_LIMIT))
    drawn.append(blocks.section("\n".join(_sum_lines(history))))
    buttons = [] if overview.newest is None else continue_buttons(overview.newest)
    if buttons:
        drawn.append(blocks.actions(ids.CONTINUED_ACTIONS, buttons))
    return Message(text=f"Session {_title(overview)}", blocks=tuple(drawn))


def session_changed_words(overview: SessionOverview, *, former: str | None = None) -> str:
    """What became of a session's name; not escaped.

    Args:
        overview: The session as it is now.
        former: The name that was asked about.
    """
    session = overview.session
    called = f"`{session.name}`" if session.name else f"`{short_id(session)}` (without a name)"
    if not session.is_open:
        return (
            f"The session {called} is closed: its name is free. Its id `{short_id(session)}` "
            "still continues it, which opens it again."
        )
    if former is not None:
        return f"The session is now called {called}."
    return f"The session {called} is open."


def short_id(session: Session) -> str:
    """The beginning of a session's id, by which it is found."""
    return str(session.id)[:_ID_DIGITS]


def _title(overview: SessionOverview) -> str:
    """`rate limits: Count the pieces`; the task alone of a session without a name."""
    about = MRKDWN.inline(overview.about or "", _TASK_LIMIT) or "no task yet"
    name = overview.session.name
    return f"{text.one_line(name, _NAME_LIMIT)}: {about}" if name else about


def _overview_line(overview: SessionOverview) -> str:
    session, run, total = overview.session, overview.newest, overview.total
    icon = "▫️" if run is None else state_of(RunSnapshot(run=run), MRKDWN).icon
    legs = "" if total is None else counts.plural(total.legs, "leg")
    facts = [
        f"*{_title(overview)}*" if session.name else _title(overview),
        legs,
        "" if total is None else counts.plural(total.turns, "turn"),
        "" if total is None else spent_figures(total.spent),
        MRKDWN.person(overview.owner),
        "" if run is None else dates.date_time(run.completed_at or run.created_at),
        "" if session.is_open else "closed",
        f"`{short_id(session)}`",
    ]
    return f"{icon} {' · '.join(fact for fact in facts if fact)}"


def _leg_line(leg: Leg, links: ThreadLinks) -> str:
    snapshot = leg.snapshot
    run, state = snapshot.run, state_of(snapshot, MRKDWN)
    task = links.to_thread(snapshot.card, task_name(snapshot, MRKDWN, _TASK_LIMIT))
    facts = [
        f"{leg.number}. {state.icon} {task}{leg_suffix(snapshot)}",
        text.escape(state.title),
        turns_of(leg),
        spent_tokens(leg.spent),
        spent_words(leg.spent) if leg.entries else "",
        f"`{run.run_id}`",
    ]
    return " · ".join(fact for fact in facts if fact)


def turns_of(leg: Leg) -> str:
    """The turns of a leg and its limit: `18/60 turns`."""
    run = leg.snapshot.run
    if run.max_turns is None:
        return counts.plural(run.turns, "turn")
    return f"{run.turns}/{run.max_turns} turns"


def _sum_lines(history: SessionHistory) -> list[str]:
    spent = history.spent
    legs = counts.plural(len(history.legs), "leg")
    tokens = spent_tokens(spent)
    parts = [legs, counts.plural(spent.turns, "turn"), tokens, f"cost {spent_words(spent)}"]
    lines = [f"*Together* · {' · '.join(part for part in parts if part)}"]
    if _is_more(history.lineage, spent):
        lines.append(
            f"*With its forks* · {counts.plural(history.lineage.turns, 'turn')} · "
            f"cost {spent_words(history.lineage)}"
        )
    return lines


def _is_more(lineage: LedgerSum, spent: LedgerSum) -> bool:
    return lineage.processes > spent.processes
