"""The table of analytics as CSV, with whole figures instead of rounded ones."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType

from bot.web.dashboard.analytics.breakdown import Row
from bot.web.dashboard.analytics.columns import clean_runs, failure_share
from core.domain.analytics.figures import Figures
from core.domain.analytics.report import NO_PERSON, Dimension
from core.domain.runs.run import RunStatus, StopReason

_MEDIAN, _MOST = 0.5, 0.95
# What a spreadsheet takes as the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

_FIGURES: Mapping[str, Callable[[Figures], object]] = MappingProxyType(
    {
        "runs": lambda one: one.runs,
        "clean": clean_runs,
        "attention": lambda one: one.attention,
        "failed": lambda one: one.of_status(RunStatus.FAILED),
        "killed": lambda one: one.of_status(RunStatus.KILLED),
        "failure_share": failure_share,
        "reported_usd": lambda one: one.spend.reported_usd,
        "reported_runs": lambda one: one.spend.reported_runs,
        "estimated_usd": lambda one: one.spend.estimated_usd,
        "estimated_runs": lambda one: one.spend.estimated_runs,
        "unknown_cost_runs": lambda one: one.spend.unknown_runs,
        "seconds_mean": lambda one: one.durations.mean,
        "seconds_p50": lambda one: one.durations.quantile(_MEDIAN),
        "seconds_p95": lambda one: one.durations.quantile(_MOST),
        "input_tokens": lambda one: one.usage.input_tokens,
        "output_tokens": lambda one: one.usage.output_tokens,
        "cache_read_tokens": lambda one: one.usage.cache_read_tokens,
        "cache_creation_tokens": lambda one: one.usage.cache_creation_tokens,
        "unknown_token_processes": lambda one: one.unknown_usage,
        "turns": lambda one: one.turns,
        "tool_calls": lambda one: one.tool_calls,
        "kills": lambda one: one.kills.count,
        "kills_confirmed": lambda one: one.kills.confirmed,
        "kills_unconfirmed": lambda one: one.kills.unconfirmed,
        "kill_ms_p50": lambda one: one.kills.times.quantile(_MEDIAN),
        "kill_ms_p95": lambda one: one.kills.times.quantile(_MOST),
    }
)


def csv_of(rows: Sequence[Row], by: Dimension) -> str:
    """The rows in their order; unknown figures are empty.  Pure."""
    file = io.StringIO()
    writer = csv.writer(file)
    reasons = [f"stopped_{reason.value}" for reason in StopReason]
    names = [by.value, *(["person_id"] if by is Dimension.PERSON else [])]
    writer.writerow([*names, *_FIGURES, *reasons])
    for row in rows:
        writer.writerow(
            [
                *(safe_text(one) for one in _names(row, by)),
                *(_number(value(row.figures)) for value in _FIGURES.values()),
                *(row.figures.by_stop_reason.get(reason, 0) for reason in StopReason),
            ]
        )
    return file.getvalue()


def safe_text(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _names(row: Row, by: Dimension) -> list[str]:
    group = row.group
    if by is Dimension.DAY:
        return ["" if group.day is None else group.day.isoformat()]
    if by is Dimension.WORKFLOW:
        return [group.workflow or ""]
    if by is Dimension.REPOSITORY:
        return [group.repository or ""]
    is_somebody = group.person_id not in {None, NO_PERSON}
    name = "" if group.person is None else group.person.name
    return [name, str(group.person_id) if is_somebody else ""]


def _number(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value:f}"
    return f"{value:.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
