"""Sessions as text for people: a list, one with its legs, and the messages in it.

Made from the API's JSON.  What a server of another version leaves out is not shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from bot.cli.client.run_texts import age_words
from bot.cli.client.text_table import Column, one_line, pair_lines, safe_text, table_lines
from bot.words.spending import spent_figures, spent_tokens, spent_words
from core.domain.runs.run import Usage
from core.domain.sessions.ledger import LedgerSum

Json = Mapping[str, Any]

_ID_DIGITS = 8


def session_list_text(answer: Json, *, now: datetime, width: int) -> str:
    """A page of sessions as a table, newest first."""
    sessions: Sequence[Json] = answer["sessions"]
    if not sessions:
        return "There is no such session."
    columns = [
        Column(title="SESSION", most=8),
        Column(title="NAME", most=20),
        Column(title="LEGS", most=5),
        Column(title="TURNS", most=6),
        Column(title="COST", most=24),
        Column(title="AGE", most=7),
        Column(title="TASK", most=None),
    ]
    rows = [
        [
            short_id(one),
            _name(one),
            str(one.get("run_count", 0)),
            str(one.get("turns", 0)),
            spent_figures(spent_of(one.get("spent"))),
            age_words(one, now),
            _text(one, "task"),
        ]
        for one in sessions
    ]
    lines = table_lines(columns, rows, width=width)
    if answer.get("next"):
        total = answer.get("total_count", 0)
        more = "" if answer.get("total_count_is_exact", True) else "more than "
        lines.append(f"{len(sessions)} of {more}{total:,}; --limit and --cursor show others.")
    return "\n".join(lines)


def session_text(session: Json, legs: Json, *, width: int) -> str:
    """One session with its legs, and what each of them and all of them cost."""
    title = " · ".join(filter(None, [_name(session), one_line(_text(session, "task"))]))
    spent, lineage = spent_of(legs.get("spent")), spent_of(legs.get("lineage"))
    lines = [f"{short_id(session)}  {title}".rstrip()]
    lines += pair_lines(
        [
            ("Session", _text(session, "session_id")),
            ("Workflow", _text(session, "workflow_name")),
            ("Owner", _text(session, "owner")),
            ("Repository", _text(session, "repository")),
            ("Turns", str(spent.turns)),
            ("Tokens", spent_tokens(spent)),
            ("Cost", spent_words(spent)),
            ("With forks", spent_words(lineage) if lineage.processes > spent.processes else ""),
        ]
    )
    columns = [
        Column(title="LEG", most=3),
        Column(title="RUN", most=20),
        Column(title="TURNS", most=9),
        Column(title="TOKENS", most=26),
        Column(title="COST", most=34),
        Column(title="STATE", most=None),
    ]
    rows = [_leg_row(leg) for leg in legs.get("legs", ())]
    if rows:
        lines += ["", *table_lines(columns, rows, width=width)]
    if session.get("needs_recovery"):
        recover = "`signalbox continue --recover` goes on in a new one, with a summary of it."
        lines += ["", f"Its conversation cannot be restored. {recover}"]
    return "\n".join(lines)


def messages_text(answer: Json) -> str:
    """Messages of a session, oldest first, each with who said it and in which leg."""
    found: Sequence[Json] = answer["messages"]
    if not found:
        return "Nothing was said yet."
    blocks = []
    for one in found:
        leg = one.get("leg")
        who = _text(one, "author") or ("agent" if one.get("role") == "assistant" else "somebody")
        facts = [
            _text(one, "created_at")[:19],
            one_line(who),
            _text(one, "type"),
            "" if leg is None else f"leg {leg}",
        ]
        words = safe_text(_text(one, "text")).strip().splitlines()
        blocks.append(
            "\n".join([" · ".join(filter(None, facts)), *(f"  {line}" for line in words)])
        )
    return "\n\n".join(blocks)


def changed_text(session: Json) -> str:
    """What became of a session's name."""
    name = _name(session)
    called = f"{name} ({short_id(session)})" if name else short_id(session)
    if session.get("is_open", True):
        return f"{called} is open."
    return f"{called} is closed: its name is free. Its id still continues it."


def spent_of(answer: Any) -> LedgerSum:
    """A sum of the API as a value; what another version leaves out is 0."""
    if not isinstance(answer, Mapping):
        return LedgerSum()
    tokens = answer.get("tokens") or {}
    return LedgerSum(
        turns=answer.get("turns", 0),
        reported_usd=_dollars(answer, "reported"),
        reported=answer.get("reported_processes", 0),
        estimated_usd=_dollars(answer, "estimated"),
        estimated=answer.get("estimated_processes", 0),
        unknown=answer.get("unknown_processes", 0),
        usage=Usage(
            input_tokens=tokens.get("input", 0),
            output_tokens=tokens.get("output", 0),
            cache_read_tokens=tokens.get("cache_read", 0),
            cache_creation_tokens=tokens.get("cache_creation", 0),
        ),
        unknown_usage=answer.get("processes_without_tokens", 0),
    )


def short_id(session: Json) -> str:
    """The beginning of a session's id, by which it is found."""
    return one_line(_text(session, "session_id"))[:_ID_DIGITS]


def _leg_row(leg: Json) -> list[str]:
    limit = leg.get("max_turns")
    turns = f"{leg.get('turns', 0)}" + ("" if limit is None else f"/{limit}")
    spent = spent_of(leg.get("spent"))
    label = " (recovery)" if leg.get("is_recovery") else ""
    return [
        str(leg.get("number", "")),
        one_line(_text(leg, "run_id")),
        turns,
        spent_tokens(spent),
        spent_words(spent),
        f"{one_line(_text(leg, 'headline'))}{label}",
    ]


def _name(session: Json) -> str:
    name = one_line(_text(session, "name"))
    return f"{name} (closed)" if name and session.get("is_open") is False else name


def _dollars(answer: Json, name: str) -> Decimal:
    value = answer.get(name)
    return Decimal(0) if value is None else Decimal(str(value))


def _text(found: Json, name: str) -> str:
    value = found.get(name)
    return "" if value is None else str(value)
