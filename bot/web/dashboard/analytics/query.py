"""What the analytics page is asked for, as its address has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from pydantic import Field

from bot.web.api.analytics.routes import Day
from bot.web.route import LenientParameters
from core.domain.analytics.report import MOST_DAYS, NO_PERSON, NO_REPOSITORY, Dimension, Question
from core.domain.analytics.trends import DAYS_BEFORE

PATH = "/analytics"
CSV_PATH = "/analytics.csv"
# How far back, by the value in the address.
RANGES: Mapping[str, int] = MappingProxyType({"7d": 7, "30d": 30, "90d": 90, "365d": 365})
USUAL_RANGE = "30d"
_SORT_PATTERN = r"^-?[a-z0-9_]{1,30}$"


class AnalyticsPageQuery(LenientParameters):
    """Which part of the history to show, and how.

    Attributes:
        range: How many days up to today; the days of `from` and `to` win over it.
        by: What the table and the charts tell apart.
        sort: A column of the table; with a minus the largest first.
    """

    range: Annotated[str, Field(pattern=f"^({'|'.join(RANGES)})$")] = USUAL_RANGE
    first: Annotated[Day | None, Field(alias="from")] = None
    last: Annotated[Day | None, Field(alias="to")] = None
    by: Dimension = Dimension.DAY
    workflow: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    repository: Annotated[str, Field(max_length=500)] | None = None
    person: UUID | None = None
    sort: Annotated[str, Field(pattern=_SORT_PATTERN)] | None = None

    @property
    def given(self) -> dict[str, Any]:
        """What the address has to say: all that is not usual."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    def url(self, *, path: str = PATH, without: Sequence[str] = (), **changes: Any) -> str:
        """The address with some values changed, by their names in it; `None` takes one away."""
        wanted = {
            name: one
            for name, one in {**self.given, **changes}.items()
            if one is not None and name not in without
        }
        return f"{path}?{urlencode(wanted)}" if wanted else path


@dataclass(frozen=True, kw_only=True)
class ShownPeriod:
    """The days that are shown, and those with which they are compared.

    Attributes:
        today: In UTC; its figures are not whole yet.
        read_from: The first day that is read.
    """

    first: date
    last: date
    today: date
    read_from: date

    @property
    def days(self) -> Sequence[date]:
        """Each day that is shown."""
        return _days(self.first, self.last)

    @property
    def days_before(self) -> Sequence[date]:
        """As many days before them, as far as they are read."""
        length = len(self.days)
        before = max(self.first - timedelta(days=length), self.read_from)
        return _days(before, self.first - timedelta(days=1))


def period_of(query: AnalyticsPageQuery, today: date) -> ShownPeriod:
    """The days that a query asks for.  Pure.

    Raises:
        BadDays: If they are in the wrong order, or too many.
    """
    last = query.last or today
    first = query.first or last - timedelta(days=RANGES[query.range] - 1)
    # Raises if these are no days to ask for.
    Question(first=first, last=last)
    length = (last - first).days + 1
    before = min(max(DAYS_BEFORE, length), MOST_DAYS - length)
    return ShownPeriod(
        first=first, last=last, today=today, read_from=first - timedelta(days=before)
    )


def question_of(
    query: AnalyticsPageQuery, first: date, last: date, by: Sequence[Dimension]
) -> Question:
    """A question about some days, with the filters of the page."""
    return Question(
        first=first,
        last=last,
        by=by,
        workflow=query.workflow,
        repository=query.repository,
        person=query.person,
    )


def list_filters(query: AnalyticsPageQuery, owner: str | None) -> dict[str, str] | None:
    """The filters of the page for the list of runs; `None` if the list has no such filter.

    Args:
        query: The page's.
        owner: How the person is called whose runs are shown.
    """
    if query.repository == NO_REPOSITORY or query.person == NO_PERSON:
        return None
    if query.person is not None and owner is None:
        return None
    found = {"workflow": query.workflow, "repository": query.repository, "owner": owner}
    return {name: value for name, value in found.items() if value is not None}


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]
