"""The history of runs as JSON."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from bot.web.api.stats_answers import SpendAnswer, spend_answer
from bot.web.api.values import person
from bot.web.route import Answer
from core.domain.analytics.figures import Figures
from core.domain.analytics.histogram import Histogram
from core.domain.analytics.report import NO_PERSON, NO_REPOSITORY, Dimension, Group, Report
from core.domain.runs.run import RunStatus, StopReason

# Of the share of values that lie below.
_QUANTILES = (0.5, 0.95)


class SpreadAnswer(Answer):
    """How long something took, `count` times.

    Attributes:
        mean: Exact; `null` if nothing was measured, and so are the other two.
        p50: At most 5 % off, as `p95`.
    """

    count: int
    total: int
    mean: float | None
    p50: float | None
    p95: float | None


class TokensAnswer(Answer):
    """The tokens of agent processes; `unknown_processes` are those whose tokens are unknown."""

    input: int
    output: int
    cache_read: int
    cache_creation: int
    unknown_processes: int


class KillTotalsAnswer(Answer):
    """The kills that were requested.

    Attributes:
        milliseconds: From the request to the proof; kills of runs without processes are left out.
    """

    count: int
    confirmed: int
    unconfirmed: int
    milliseconds: SpreadAnswer


class FiguresAnswer(Answer):
    """Ended runs; counts of 0 are left out.

    Attributes:
        attention: Those of the completed ones that need a look.
        clean_share: Of all that ended, from 0 to 1; `null` without runs.
        seconds: From the start to the end, of runs that began.
        spend: By the ledger, in US dollars.
    """

    runs: int
    by_status: dict[RunStatus, int]
    by_stop_reason: dict[StopReason, int]
    attention: int
    clean_share: float | None
    seconds: SpreadAnswer
    spend: SpendAnswer
    tokens: TokensAnswer
    turns: int
    tool_calls: int
    kills: KillTotalsAnswer


class GroupAnswer(FiguresAnswer):
    """A part of the runs; only what was asked for by `by` is not `null`.

    Attributes:
        repository: `null` also for runs without one.
        person_id: `null` also for runs that nobody owns.
    """

    day: date | None
    workflow: str | None
    repository: str | None
    person_id: UUID | None
    person: str | None


class AnalyticsAnswer(Answer):
    """The history of runs.

    Attributes:
        first: The first day, in UTC.
        last: The last day.
        groups: By day the oldest first, otherwise the most runs first.
        omitted: How many more groups there are; `total` counts them, too.
    """

    by: Dimension
    first: date
    last: date
    groups: list[GroupAnswer]
    omitted: int
    total: FiguresAnswer


def analytics_answer(report: Report, *, by: Dimension, limit: int) -> AnalyticsAnswer:
    """An answer to a question as JSON.  Pure."""
    shown = report.groups[:limit]
    return AnalyticsAnswer(
        by=by,
        first=report.question.first,
        last=report.question.last,
        groups=[_group(one) for one in shown],
        omitted=len(report.groups) - len(shown),
        total=_figures(report.total),
    )


def _group(group: Group) -> GroupAnswer:
    has_person = group.person_id not in {None, NO_PERSON}
    return GroupAnswer(
        day=group.day,
        workflow=group.workflow,
        repository=None if group.repository == NO_REPOSITORY else group.repository,
        person_id=group.person_id if has_person else None,
        person=person(group.person),
        **dict(_figures(group.figures)),
    )


def _figures(figures: Figures) -> FiguresAnswer:
    usage, kills = figures.usage, figures.kills
    return FiguresAnswer(
        runs=figures.runs,
        by_status=dict(figures.by_status),
        by_stop_reason=dict(figures.by_stop_reason),
        attention=figures.attention,
        clean_share=figures.clean_share,
        seconds=_spread(figures.durations),
        spend=spend_answer(figures.spend),
        tokens=TokensAnswer(
            input=usage.input_tokens,
            output=usage.output_tokens,
            cache_read=usage.cache_read_tokens,
            cache_creation=usage.cache_creation_tokens,
            unknown_processes=figures.unknown_usage,
        ),
        turns=figures.turns,
        tool_calls=figures.tool_calls,
        kills=KillTotalsAnswer(
            count=kills.count,
            confirmed=kills.confirmed,
            unconfirmed=kills.unconfirmed,
            milliseconds=_spread(kills.times),
        ),
    )


def _spread(found: Histogram) -> SpreadAnswer:
    p50, p95 = (found.quantile(share) for share in _QUANTILES)
    return SpreadAnswer(count=found.count, total=found.total, mean=found.mean, p50=p50, p95=p95)
