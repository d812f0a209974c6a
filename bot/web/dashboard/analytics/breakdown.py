"""The table of analytics: a row for each day, workflow, repository or person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlencode

from bot.web.dashboard.analytics.columns import COLUMNS
from bot.web.dashboard.analytics.query import AnalyticsPageQuery, ShownPeriod, list_filters
from core.domain.analytics.figures import Figures
from core.domain.analytics.report import NO_PERSON, NO_REPOSITORY, Dimension, Group

DIMENSION_HEADS: Mapping[Dimension, str] = MappingProxyType(
    {
        Dimension.DAY: "Day",
        Dimension.WORKFLOW: "Workflow",
        Dimension.REPOSITORY: "Repository",
        Dimension.PERSON: "Person",
    }
)
# Before somebody orders the table: the newest day first, otherwise the most runs.
_USUAL_SORT = "-runs"
_BY_NAME = "name"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the table.

    Attributes:
        name: As it is shown; also what it is ordered by.
        url: This page with only what the row is about; `None` for what it shows already.
        list_filters: The same for the list of runs; `None` if the list has no such filter.
    """

    name: str
    figures: Figures
    group: Group
    url: str | None
    list_filters: Mapping[str, str] | None


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A figure, and the list of the runs that it is about."""

    words: str
    url: str | None


@dataclass(frozen=True, kw_only=True)
class Head:
    """A column's head, and the page ordered by it.

    Attributes:
        order: `ascending` or `descending` if the table is ordered by it, as ARIA has it.
    """

    label: str
    help: str
    url: str
    order: str | None


def rows_of(
    query: AnalyticsPageQuery,
    period: ShownPeriod,
    groups: Sequence[Group],
    *,
    owner: str | None,
) -> list[Row]:
    """The rows, in the order that the query asks for.  Pure.

    Args:
        query: What the page is asked for.
        period: The days that are shown.
        groups: The answer to its question.
        owner: How the person is called to whom the page is restricted.
    """
    base = list_filters(query, owner)
    rows = [_row(query, period, group, base) for group in groups]
    return _ordered(rows, query)


def cells_of(row: Row) -> list[Cell]:
    """The figures of a row."""
    return [
        Cell(
            words=words,
            url=None
            if row.list_filters is None or not words
            else f"/runs?{urlencode({**row.list_filters, **column.runs})}",
        )
        for column in COLUMNS
        for words in [column.words(row.figures)]
    ]


def heads_of(query: AnalyticsPageQuery) -> list[Head]:
    """The heads of the columns, the names' first; a second press turns the order around."""
    present = query.sort or (f"-{_BY_NAME}" if query.by is Dimension.DAY else _USUAL_SORT)
    names = [(_BY_NAME, DIMENSION_HEADS[query.by], "")]
    return [
        Head(
            label=label,
            help=more,
            url=query.url(sort=key if present == f"-{key}" else f"-{key}"),
            order={key: "ascending", f"-{key}": "descending"}.get(present),
        )
        for key, label, more in [*names, *((one.key, one.head, one.help) for one in COLUMNS)]
    ]


def _row(
    query: AnalyticsPageQuery,
    period: ShownPeriod,
    group: Group,
    base: Mapping[str, str] | None,
) -> Row:
    name, own, narrowed = _what(group)
    days = {"from": period.first.isoformat(), "to": period.last.isoformat()}
    is_listed = base is not None and own is not None
    return Row(
        name=name,
        figures=group.figures,
        group=group,
        # From a person to their workflows, from a workflow to its days, and so on.
        url=query.url(**narrowed, by=_next(query.by), sort=None) if narrowed else None,
        list_filters={**days, **(base or {}), **(own or {})} if is_listed else None,
    )


def _what(group: Group) -> tuple[str, Mapping[str, str] | None, Mapping[str, str]]:
    """A group's name, its filter of the list of runs, and its filter of this page."""
    if group.day is not None:
        day = group.day.isoformat()
        return day, {"from": day, "to": day}, {"from": day, "to": day}
    if group.workflow is not None:
        filters = {"workflow": group.workflow}
        return group.workflow, filters, filters
    if group.repository is not None:
        filters = {"repository": group.repository}
        if group.repository == NO_REPOSITORY:
            return "no repository", None, filters
        return group.repository, filters, filters
    person = {"person": str(group.person_id)}
    if group.person_id == NO_PERSON or group.person_id is None:
        return "nobody", None, person
    if group.person is None:
        return f"unknown person {group.person_id}", None, person
    return group.person.name, {"owner": group.person.name}, person


def _next(by: Dimension) -> str | None:
    """What is told apart within a row: the days of a workflow, the workflows of all others."""
    return None if by is Dimension.WORKFLOW else Dimension.WORKFLOW.value


def _ordered(rows: Sequence[Row], query: AnalyticsPageQuery) -> list[Row]:
    key = (query.sort or "").removeprefix("-")
    column = next((one for one in COLUMNS if one.key == key), None)
    if column is None:
        if key != _BY_NAME:
            # As the answer has them: the most runs first, but days the newest first.
            return list(rows[::-1] if query.by is Dimension.DAY else rows)
        is_reversed = (query.sort or "").startswith("-")
        return sorted(rows, key=lambda row: row.name.casefold(), reverse=is_reversed)
    known = [(value, row) for row in rows if (value := column.value(row.figures)) is not None]
    unknown = [row for row in rows if column.value(row.figures) is None]
    known.sort(key=lambda pair: pair[0], reverse=(query.sort or "").startswith("-"))
    # What is unknown is neither more nor less than the others.
    return [*(row for _, row in known), *unknown]
