"""A question to the history of runs, and its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from uuid import UUID

from core.domain.actor import User
from core.domain.analytics.figures import Figures
from core.domain.errors import BadRequest

# The value of runs without a repository, and of runs that no person owns.
NO_REPOSITORY = ""
NO_PERSON = UUID(int=0)
# A year with the year before it.
MOST_DAYS = 800


class Dimension(StrEnum):
    """What the history is told apart by."""

    DAY = "day"
    WORKFLOW = "workflow"
    REPOSITORY = "repository"
    PERSON = "person"


class BadDays(BadRequest):
    """The days of a question are in the wrong order, or too many."""

    code = "bad_days"

    def __init__(self, first: date, last: date) -> None:
        super().__init__(
            f"bad days {first} to {last}",
            user_message=f"From {first} to {last} is no period of at most {MOST_DAYS:,} days. "
            "Give the first day, then the last one.",
        )
        self.first = first
        self.last = last


@dataclass(frozen=True, kw_only=True)
class Question:
    """Which part of the history, and how it is told apart.

    A run belongs to the day, in UTC, on which it ended; a kill to the day of its request.

    Attributes:
        first: The first day.
        last: The last day.
        by: What each group has in common; none is one group.
        workflow: Only runs of this workflow.
        repository: Only runs of this repository, written exactly so, or `NO_REPOSITORY`.
        person: Only runs of this owner, or `NO_PERSON`.

    Raises:
        BadDays: If the days are in the wrong order, or too many.
    """

    first: date
    last: date
    by: Sequence[Dimension] = (Dimension.DAY,)
    workflow: str | None = None
    repository: str | None = None
    person: UUID | None = None

    def __post_init__(self) -> None:
        if not timedelta(0) <= self.last - self.first < timedelta(days=MOST_DAYS):
            raise BadDays(self.first, self.last)

    @property
    def dimensions(self) -> frozenset[Dimension]:
        """Everything that must be told apart to answer, beside the days."""
        wanted = {one for one in self.by if one is not Dimension.DAY}
        filters = {
            Dimension.WORKFLOW: self.workflow,
            Dimension.REPOSITORY: self.repository,
            Dimension.PERSON: self.person,
        }
        return frozenset(wanted | {one for one, value in filters.items() if value is not None})


@dataclass(frozen=True, kw_only=True)
class Group:
    """A part of an answer.  What the question does not tell apart is `None`.

    Attributes:
        repository: As written; `NO_REPOSITORY` for runs without one.
        person_id: The owner; `NO_PERSON` for runs that nobody owns.
        person: The owner, if it is known who that is.
    """

    figures: Figures
    day: date | None = None
    workflow: str | None = None
    repository: str | None = None
    person_id: UUID | None = None
    person: User | None = None


@dataclass(frozen=True, kw_only=True)
class Report:
    """The answer to a question.

    Attributes:
        groups: By day, oldest first, and within a day (or without days) the most runs first.
            Groups without runs and kills are missing.
        total: All groups together.
    """

    question: Question
    groups: Sequence[Group] = ()
    total: Figures = field(default_factory=Figures)
