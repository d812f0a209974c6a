"""The route of the history of runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Protocol
from uuid import UUID

from pydantic import AfterValidator, Field

from bot.web.api.analytics.answers import AnalyticsAnswer, analytics_answer
from bot.web.route import AnyRoute, Call, Method, NoParameters, Parameters, Route
from core.domain.actor import Action, Actor, Role
from core.domain.analytics.report import Dimension, Question, Report

# Without a first day, as many days as this end with the last one.
_USUAL_DAYS = 30
_MIN_YEAR, _MAX_YEAR = 1970, 2999


def _in_bounds(day: date) -> date:
    if not _MIN_YEAR < day.year < _MAX_YEAR:
        raise ValueError(f"must be between {_MIN_YEAR} and {_MAX_YEAR}")
    return day


Day = Annotated[date, AfterValidator(_in_bounds)]


class AnalyticsQuery(Parameters):
    """Which runs to count, and how to group them; all conditions hold together."""

    by: Dimension = Dimension.DAY
    first: Day | None = Field(
        default=None, alias="from", description="The first day, in UTC; 30 days without it."
    )
    last: Day | None = Field(
        default=None, alias="to", description="The last day, in UTC; today without it."
    )
    workflow: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    repository: Annotated[str, Field(max_length=500)] | None = Field(
        default=None, description="Exactly this address; empty: runs without a repository."
    )
    person: UUID | None = Field(
        default=None, description="The owner's `person_id`; all zeros: runs that nobody owns."
    )
    limit: Annotated[int, Field(ge=1, le=1000, description="The most groups.")] = 400


class HistoryReader(Protocol):
    """Answers questions to the history; see `AnalyticsService`."""

    async def report(self, question: Question, *, by: Actor) -> Report:
        """The answer to a question."""
        ...


@dataclass(frozen=True)
class AnalyticsRoutes:
    """Answers what runs came to over days, weeks and years."""

    history: HistoryReader
    clock: Callable[[], datetime]

    async def get_analytics(
        self, call: Call[NoParameters, AnalyticsQuery, NoParameters]
    ) -> AnalyticsAnswer:
        """The history of runs, in groups."""
        query = call.query
        last = query.last or self.clock().astimezone(UTC).date()
        question = Question(
            first=query.first or last - timedelta(days=_USUAL_DAYS - 1),
            last=last,
            by=(query.by,),
            workflow=query.workflow,
            repository=query.repository,
            person=query.person,
        )
        found = await self.history.report(question, by=call.actor)
        return analytics_answer(found, by=query.by, limit=query.limit)

    def routes(self) -> list[AnyRoute]:
        """The route of this module."""
        return [
            Route(
                method=Method.GET,
                path="/analytics",
                name="get_analytics",
                summary="What ended runs came to, by day, workflow, repository or person",
                description=(
                    "A run counts on the day, in UTC, on which it ended; a kill on that of its "
                    "request. Costs and tokens are those of the ledger."
                ),
                tag="Console",
                role=Role.VIEWER,
                action=Action.VIEW,
                path_parameters=NoParameters,
                query=AnalyticsQuery,
                body=NoParameters,
                answer=AnalyticsAnswer,
                handler=self.get_analytics,
            )
        ]
