"""The page of all runs, with its filters in its address."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Self
from urllib.parse import urlencode
from uuid import UUID

from pydantic import AfterValidator, Field

from bot.web.api.analytics.routes import Day
from bot.web.api.run_lists import Name, RunSummary, SearchWords, run_summary
from bot.web.api.table import ApiServices
from bot.web.api.values import Cursor, cursor_of
from bot.web.dashboard.page import AnyPage, Content, Page, PageCall, Section
from bot.web.dashboard.pages.run_filters import (
    filter_chips,
    outcome_choices,
    pairs,
    reason_choices,
    run_views,
    status_choices,
)
from bot.web.dashboard.tones import Tone, tone_of
from bot.web.route import LenientParameters, NoParameters
from bot.words.markup import PLAIN
from bot.words.runs.states import state_of
from bot.words.runs.waiting.silence import is_worrying, silence_of, silence_title, waiting_words
from bot.words.times import parse_duration
from core.domain.feed import ChangeKind
from core.domain.paging import Page as Listed
from core.domain.runs.outcome import Outcome
from core.domain.runs.run import Run, RunStatus, StopReason
from core.domain.runs.search import RunSearch
from core.domain.runs.snapshot import RunSnapshot
from core.domain.workflow import UnknownWorkflow

PAGE_SIZE = 50
RANGES = ("1h", "24h", "7d", "30d", "90d")
_RANGE_CHARS = 12
# Those that the page shows only when they are set, or asked for.
_MORE_FILTERS = frozenset({"status", "outcome", "stop_reason", "owner", "repository"})


def _is_range(text: str) -> str:
    if not parse_duration(text):
        raise ValueError("is no range of time; write it like `24h` or `7d`")
    return text


RangeText = Annotated[str, Field(max_length=_RANGE_CHARS), AfterValidator(_is_range)]


@dataclass(frozen=True)
class RunRow:
    """A run in a list.

    Attributes:
        shown: As the API lists it.
        late: Why it has not begun, or what a silent one waits for, in words; empty for any other,
            and if it was not read.
    """

    run: Run
    shown: RunSummary
    tone: Tone
    late: str = ""

    @classmethod
    def of(
        cls, snapshot: RunSnapshot, services: ApiServices, *, is_explained: bool = False
    ) -> Self:
        """From a snapshot; `is_explained` tells whether it has what a queued run waits for."""
        now, run = services.clock(), snapshot.run
        late = late_words(snapshot, now) if is_explained else ""
        return cls(run, run_summary(snapshot, now), tone_of(run), late)


def late_words(snapshot: RunSnapshot, now: datetime) -> str:
    """Why a run has not begun, or what a silent one waits for; empty for any other.  Pure."""
    run, awaited = snapshot.run, snapshot.awaited
    if run.is_live and run.kill_requested_at is not None:
        return ""
    if run.status is RunStatus.PENDING:
        return state_of(snapshot, PLAIN).detail
    silence = silence_of(snapshot, now)
    if awaited is None or silence is None or not is_worrying(snapshot, now):
        return ""
    return f"{silence_title(silence)}: {waiting_words(awaited, now, PLAIN, told=silence)}."


class RunsQuery(LenientParameters):
    """Which runs to list.

    Attributes:
        q: A text of the task, or the beginning of a run's id.
        range: Only those that were requested so long ago at most, such as `7d`.
        first: Only those that were requested on this day, in UTC, or later.
        last: Only those that were requested on this day or earlier.
    """

    status: list[RunStatus] = Field(default_factory=list)
    workflow: Name | None = None
    session_id: UUID | None = None
    mine: bool = False
    waiting: bool = False
    owner: SearchWords | None = None
    q: SearchWords | None = None
    repository: Name | None = None
    branch: Name | None = None
    stop_reason: StopReason | None = None
    outcome: Outcome | None = None
    range: RangeText | None = None
    first: Annotated[Day | None, Field(alias="from")] = None
    last: Annotated[Day | None, Field(alias="to")] = None
    cursor: Cursor | None = None

    @property
    def length(self) -> timedelta | None:
        """The range; `None` for all times."""
        return parse_duration(self.range) if self.range else None

    def search(self, services: ApiServices) -> RunSearch:
        """The same for the list of runs."""
        length = self.length
        starts = [
            *([] if length is None else [services.clock() - length]),
            *([] if self.first is None else [_midnight(self.first)]),
        ]
        return RunSearch(
            statuses=frozenset(self.status),
            workflow=self.workflow,
            session_id=self.session_id,
            is_mine=self.mine,
            is_waiting=self.waiting,
            owner=self.owner,
            text=self.q,
            repository=self.repository,
            branch=self.branch,
            stop_reason=self.stop_reason,
            outcome=self.outcome,
            since=max(starts, default=None),
            until=None if self.last is None else _midnight(self.last + timedelta(days=1)),
        )

    @property
    def given(self) -> dict[str, Any]:
        """The filters that are set, as the address has them."""
        found = self.model_dump(
            mode="json", by_alias=True, exclude_defaults=True, exclude={"cursor"}
        )
        # As addresses have them.
        return found | {name: "true" for name in ("mine", "waiting") if found.get(name)}


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


@dataclass(frozen=True)
class RunsPage:
    """Lists runs."""

    services: ApiServices

    async def load(self, call: PageCall[NoParameters, RunsQuery]) -> Content:
        """A page of runs, newest first."""
        query, services = call.query, self.services
        found = await self._found(call)
        rows = [RunRow.of(one, services, is_explained=True) for one in found.items]
        given = query.given
        values = {
            "rows": rows,
            "total": found.total,
            "is_total_exact": found.is_total_exact,
            "next_url": None
            if found.next is None
            else runs_url({**given, "cursor": cursor_of(found.next)}),
            "first_url": None if query.cursor is None else runs_url(given),
            "is_filtered": bool(given),
            "searches_text": query.q is not None,
        }
        return Content(
            title="Runs",
            sections=(
                Section(
                    name="filters",
                    template="runs/filters.html",
                    values={
                        "query": query,
                        "has_more": not _MORE_FILTERS.isdisjoint(given),
                        "views": run_views(given, runs_url),
                        "chips": filter_chips(given, runs_url),
                        "workflows": pairs(one.name for one in services.runs.workflows),
                        "statuses": status_choices(),
                        "outcomes": outcome_choices(),
                        "reasons": reason_choices(),
                        "ranges": pairs(RANGES),
                    },
                ),
                Section(name="runs", template="runs/list.html", values=values),
            ),
            owners=frozenset(row.run.user_id for row in rows if row.run.user_id is not None),
        )

    async def _found(self, call: PageCall[NoParameters, RunsQuery]) -> Listed[RunSnapshot]:
        query, services = call.query, self.services
        try:
            return await services.lists.page(
                query.search(services),
                by=call.actor,
                after=query.cursor,
                limit=PAGE_SIZE,
                explains_waiting=True,
            )
        except UnknownWorkflow:
            # A browser remembers filters for longer than there is a workflow.
            return Listed(items=(), next=None, total=0, is_total_exact=True)

    def pages(self) -> list[AnyPage]:
        """The pages of this module."""
        return [
            Page(
                path="/runs",
                name="runs",
                nav="runs",
                path_parameters=NoParameters,
                query=RunsQuery,
                load=self.load,
                changes=frozenset({ChangeKind.RUN}),
                is_personal=lambda query: query.mine,
            )
        ]


def runs_url(filters: dict[str, Any]) -> str:
    """The address of the list with these filters."""
    return f"/runs?{urlencode(filters, doseq=True)}" if filters else "/runs"
