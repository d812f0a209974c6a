"""Answers to questions to the history.

A day that has changed since it was computed is read from its runs instead, so that an answer is
never behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from sqlalchemy import String, TextClause, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.analytics.figures import Figures, KillTotals
from core.domain.analytics.histogram import Histogram
from core.domain.analytics.report import Dimension, Group, Question, Report
from core.domain.runs.run import RunStatus, StopReason, Usage
from core.domain.runs.stats import Spend
from core.store.analytics.days import DAYS, NO_JIT, marked_days
from core.store.analytics.facts import AMOUNTS, FACTS, MEASURES, TOTALS

# In the order of `GROUPING`, whose bits say what is not told apart.
_BITS = MappingProxyType({Dimension.WORKFLOW: 4, Dimension.REPOSITORY: 2, Dimension.PERSON: 1})
_COLUMNS = MappingProxyType(
    {
        Dimension.DAY: "day",
        Dimension.WORKFLOW: "workflow_name",
        Dimension.REPOSITORY: "repository",
        Dimension.PERSON: "person",
    }
)
_STORED_GRAINS = frozenset({0, 3, 5, 6, 7})
_FINEST = 0


async def answer(session: AsyncSession, question: Question) -> Report:
    """The answer to a question; people without their names."""
    await session.execute(NO_JIT)
    fresh = await marked_days(session, first=question.first, last=question.last)
    query, values = _query(question, fresh)
    keys = len(question.by)
    # By position: looking up each of thousands of values by its name would take longer than the
    # query.
    rows = [
        (row[:keys], dict(zip(MEASURES, row[keys:], strict=True)))
        for row in (await session.execute(query, values)).all()
    ]
    # Python adds decimals with 28 digits, of which a histogram has hundreds.
    total = {
        name: sum(row[name] if name in AMOUNTS else int(row[name]) for _, row in rows)
        for name in MEASURES
    }
    return Report(
        question=question,
        groups=[
            _group(dict(zip(question.by, found, strict=True)), figures) for found, figures in rows
        ],
        total=_figures(total),
    )


def _query(question: Question, fresh: Sequence[date]) -> tuple[TextClause, dict[str, Any]]:
    """What to ask, with values; `fresh` are the days that are read from their runs."""
    filters = {
        name: value
        for name, value in (
            ("workflow_name", question.workflow),
            ("repository", question.repository),
            ("person", question.person),
        )
        if value is not None
    }
    wanted = "".join(f" AND {name} = :{name}" for name in filters)
    keys = [_COLUMNS[one] for one in question.by]
    most_runs = "sum(completed + failed + killed) DESC"
    order = [*(["day"] if Dimension.DAY in question.by else []), most_runs, *keys]
    columns = ", ".join(("day", "workflow_name", "repository", "person", *MEASURES))
    query = text(
        f"""
        SELECT {", ".join((*keys, TOTALS))}
        FROM (
            SELECT {columns} FROM analytics_days
            WHERE grain = :grain AND day BETWEEN :first AND :last AND day <> ALL(:days) {wanted}
            UNION ALL
            SELECT {columns} FROM ({FACTS}) facts WHERE true {wanted}
        ) history
        {f"GROUP BY {', '.join(keys)}" if keys else "HAVING count(*) > 0"}
        ORDER BY {", ".join(order)}
        """  # noqa: S608 - constants of this package
    ).bindparams(
        DAYS,
        *(bindparam(name, type_=Uuid() if name == "person" else String()) for name in filters),
    )
    period = {"grain": _grain(question), "first": question.first, "last": question.last}
    return query, {**period, "days": list(fresh), **filters}


def _grain(question: Question) -> int:
    """The coarsest grain that tells apart what the question does."""
    wanted = 7 - sum(_BITS[one] for one in question.dimensions)
    return wanted if wanted in _STORED_GRAINS else _FINEST


def _group(found: Mapping[Dimension, Any], row: Mapping[str, Any]) -> Group:
    return Group(
        figures=_figures(row),
        day=found.get(Dimension.DAY),
        workflow=found.get(Dimension.WORKFLOW),
        repository=found.get(Dimension.REPOSITORY),
        person_id=found.get(Dimension.PERSON),
    )


def _figures(row: Mapping[str, Any]) -> Figures:
    by_status = {status: int(row[status.value]) for status in RunStatus if status.is_final}
    by_reason = {reason: int(row[f"reason_{reason.value}"]) for reason in StopReason}
    return Figures(
        by_status={status: count for status, count in by_status.items() if count},
        by_stop_reason={reason: count for reason, count in by_reason.items() if count},
        attention=int(row["attention"]),
        durations=Histogram(
            count=int(row["durations"]),
            total=int(row["duration_seconds"]),
            packed=int(row["duration_histogram"]),
        ),
        spend=Spend(
            reported_usd=Decimal(row["reported_usd"]),
            reported_runs=int(row["reported_runs"]),
            estimated_usd=Decimal(row["estimated_usd"]),
            estimated_runs=int(row["estimated_runs"]),
            unknown_runs=int(row["unknown_runs"]),
        ),
        usage=Usage(
            input_tokens=int(row["input_tokens"]),
            output_tokens=int(row["output_tokens"]),
            cache_read_tokens=int(row["cache_read_tokens"]),
            cache_creation_tokens=int(row["cache_creation_tokens"]),
        ),
        unknown_usage=int(row["unknown_usage"]),
        turns=int(row["turns"]),
        tool_calls=int(row["tool_calls"]),
        kills=KillTotals(
            count=int(row["kills"]),
            confirmed=int(row["kills_confirmed"]),
            unconfirmed=int(row["kills_unconfirmed"]),
            times=Histogram(
                count=int(row["kill_times"]),
                total=int(row["kill_milliseconds"]),
                packed=int(row["kill_histogram"]),
            ),
        ),
    )
