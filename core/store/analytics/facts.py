"""SQL: what each ended run and each kill adds to the history of its day."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from core.domain.analytics.histogram import BOUNDS, DIGITS
from core.domain.analytics.report import NO_PERSON, NO_REPOSITORY
from core.domain.kills.termination import Phase
from core.domain.runs.outcome import Outcome
from core.domain.runs.run import RunStatus, StopReason
from core.domain.sessions.ledger import EntrySource

_BOUNDS = f"'{{{','.join(map(str, BOUNDS))}}}'::bigint[]"


def _histogram_of(value: str) -> str:
    """One value as a histogram; see `core.domain.analytics.histogram`."""
    zeros = f"{DIGITS} * width_bucket({value}::bigint, {_BOUNDS})"
    return f"('1' || repeat('0', {zeros}))::numeric"


def _is(condition: str) -> str:
    return f"({condition})::integer"


_REASONS = {
    f"reason_{reason.value}": _is(f"coalesce(r.stop_reason = '{reason.value}', false)")
    for reason in StopReason
}
# By measure, which is also the column of `analytics_days`: what one run adds to it.
_OF_RUN: Mapping[str, str] = {
    "completed": _is(f"r.status = '{RunStatus.COMPLETED.value}'"),
    "attention": _is(f"coalesce(r.outcome = '{Outcome.ATTENTION.value}', false)"),
    "failed": _is(f"r.status = '{RunStatus.FAILED.value}'"),
    "killed": _is(f"r.status = '{RunStatus.KILLED.value}'"),
    **_REASONS,
    "durations": _is("r.duration_seconds IS NOT NULL"),
    "duration_seconds": "coalesce(r.duration_seconds, 0)",
    "duration_histogram": f"coalesce({_histogram_of('r.duration_seconds')}, 0)",
    "reported_usd": "l.reported_usd",
    "reported_runs": _is("l.reported > 0 AND l.estimated = 0"),
    "estimated_usd": "l.estimated_usd",
    "estimated_runs": _is("l.estimated > 0"),
    "unknown_runs": _is("r.started_at IS NOT NULL AND l.reported + l.estimated = 0"),
    "input_tokens": "l.input_tokens",
    "output_tokens": "l.output_tokens",
    "cache_read_tokens": "l.cache_read_tokens",
    "cache_creation_tokens": "l.cache_creation_tokens",
    "unknown_usage": "l.unknown_usage",
    "turns": "l.turns",
    "tool_calls": "r.tool_calls",
}
_CONFIRMED = f"t.phase = '{Phase.CONFIRMED.value}'"
_ELAPSED = f"(t.phases ->> '{Phase.CONFIRMED.value}')::bigint"
_MEASURED = f"{_CONFIRMED} AND r.started_at IS NOT NULL AND {_ELAPSED} IS NOT NULL"
_OF_KILL: Mapping[str, str] = {
    "kills": "1",
    "kills_confirmed": _is(_CONFIRMED),
    "kills_unconfirmed": _is(f"NOT {_CONFIRMED} AND t.phases ? '{Phase.UNCONFIRMED.value}'"),
    "kill_times": _is(_MEASURED),
    "kill_milliseconds": f"CASE WHEN {_MEASURED} THEN {_ELAPSED} ELSE 0 END",
    "kill_histogram": f"CASE WHEN {_MEASURED} THEN {_histogram_of(_ELAPSED)} ELSE 0 END",
}
# All measures, in the order of the columns, with the type of their sums.
_BIG = frozenset(
    {
        "duration_seconds",
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_creation_tokens",
        "turns",
        "tool_calls",
        "kill_milliseconds",
    }
)
# In US dollars.
AMOUNTS = frozenset({"reported_usd", "estimated_usd"})
_NUMBERS = AMOUNTS | {"duration_histogram", "kill_histogram"}
MEASURES = (*_OF_RUN, *_OF_KILL)
SUM_TYPES = MappingProxyType(
    {
        measure: "numeric" if measure in _NUMBERS else "bigint" if measure in _BIG else "integer"
        for measure in MEASURES
    }
)


def _listed(found: Mapping[str, str]) -> str:
    return ", ".join(f"{found.get(name, '0')} AS {name}" for name in MEASURES)


_PARTS = (
    f"r.workflow_name, coalesce(r.git_repo, '{NO_REPOSITORY}') AS repository,"
    f" coalesce(r.user_id, '{NO_PERSON}') AS person"
)
_OF_SOURCE = {
    source: f"FILTER (WHERE source = '{source.value}')"
    for source in (EntrySource.REPORTED, EntrySource.ESTIMATED)
}
_LEDGER = f"""
    SELECT
        count(*) {_OF_SOURCE[EntrySource.REPORTED]} AS reported,
        count(*) {_OF_SOURCE[EntrySource.ESTIMATED]} AS estimated,
        coalesce(sum(cost_usd) {_OF_SOURCE[EntrySource.REPORTED]}, 0) AS reported_usd,
        coalesce(sum(cost_usd) {_OF_SOURCE[EntrySource.ESTIMATED]}, 0) AS estimated_usd,
        coalesce(sum(input_tokens), 0) AS input_tokens,
        coalesce(sum(output_tokens), 0) AS output_tokens,
        coalesce(sum(cache_read_tokens), 0) AS cache_read_tokens,
        coalesce(sum(cache_creation_tokens), 0) AS cache_creation_tokens,
        count(*) FILTER (WHERE input_tokens IS NULL) AS unknown_usage,
        coalesce(sum(turns), 0) AS turns
    FROM ledger_entries WHERE run_id = r.id
"""  # noqa: S608 - constants of this module


def _of_each_day(table: str, at: str) -> str:
    """The rows of a table of each day, by its index: a plain join of many days reads all rows."""
    return f"""
    unnest(CAST(:days AS date[])) AS day
    CROSS JOIN LATERAL (
        SELECT * FROM {table}
        WHERE {at} >= day::timestamp AT TIME ZONE 'UTC'
            AND {at} < (day + 1)::timestamp AT TIME ZONE 'UTC'
        OFFSET 0
    )"""  # noqa: S608 - names of this module


# A row for each run that ended on one of the days `:days`, and for each kill that was requested
# then.
FACTS = f"""
    SELECT day, {_PARTS}, {_listed(_OF_RUN)}
    FROM {_of_each_day("workflow_runs", "completed_at")} r
    CROSS JOIN LATERAL ({_LEDGER}) l
    UNION ALL
    SELECT day, {_PARTS}, {_listed(_OF_KILL)}
    FROM {_of_each_day("terminations", "requested_at")} t
    JOIN workflow_runs r ON r.id = t.run_id
"""  # noqa: S608 - constants of this module
SUMS = ", ".join(f"sum({name})::{SUM_TYPES[name]} AS {name}" for name in MEASURES)
TOTALS = ", ".join(f"sum({name}) AS {name}" for name in MEASURES)
