"""Routes that list runs and workflows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Protocol
from uuid import UUID

from pydantic import Field

from bot.web.api.statuses.status_answer import elapsed_seconds
from bot.web.api.values import Cursor, Moment, PageLimit, cursor_of, money, person
from bot.web.route import Answer, AnyRoute, Call, Method, NoParameters, Parameters, Route
from bot.words.markup import PLAIN
from bot.words.runs.states import state_words
from core.domain.actor import Action, Actor, Role
from core.domain.paging import Page, PageKey
from core.domain.runs.outcome import Outcome, OutcomeReason
from core.domain.runs.run import CostSource, RunStatus, StopReason
from core.domain.runs.search import MAX_SEARCH_CHARS, RunSearch
from core.domain.runs.snapshot import RunSnapshot
from core.domain.workflow import WorkflowDefinition

Name = Annotated[str, Field(min_length=1, max_length=500)]
SearchWords = Annotated[str, Field(min_length=1, max_length=MAX_SEARCH_CHARS)]
# A list is no place for whole tasks.
_TASK_CHARS = 500
_ETAG_CHARS = 32


class RunListQuery(Parameters):
    """Which runs to list; all conditions hold together."""

    status: list[RunStatus] = Field(default_factory=list, description="May be repeated.")
    workflow: Name | None = None
    session_id: UUID | None = None
    mine: bool = Field(default=False, description="Only runs of the token's owner.")
    waiting: bool = Field(
        default=False,
        description="Only live runs that wait for a person, not for a limit's reset.",
    )
    owner: SearchWords | None = Field(
        default=None, description="Only runs of people with this name or Slack id."
    )
    text: SearchWords | None = Field(
        default=None,
        description="Only runs whose task has this text, or whose id begins with it. A page looks "
        "through 10,000 runs: it can have few runs, or none, and yet a `next`.",
    )
    repository: Name | None = Field(default=None, description="Exactly this address.")
    branch: Name | None = None
    stop_reason: StopReason | None = None
    outcome: Outcome | None = None
    since: Moment | None = Field(default=None, description="Requested then or later.")
    until: Moment | None = Field(default=None, description="Requested before then.")
    limit: PageLimit = 50
    cursor: Cursor | None = Field(default=None, description="The `next` of the page before.")


class RunSummary(Answer):
    """A run in a list.

    Attributes:
        headline: The state of the run in a few words, as every surface lists it.
        task: Its first words; of a continuation those of the task that it works on.
        leg: Its number among the runs that work on this task.
        cost: US dollars; `null` if unknown.
    """

    run_id: str
    status: RunStatus
    headline: str
    stop_reason: StopReason | None
    outcome: Outcome | None
    outcome_reasons: list[OutcomeReason]
    can_continue: bool
    workflow_name: str
    task: str
    leg: int
    session_id: UUID
    session_name: str | None
    owner: str | None
    repository: str | None
    branch: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    elapsed_seconds: float
    turns: int
    max_turns: int | None
    tool_calls: int
    cost: float | None
    cost_source: CostSource | None
    error: str | None
    queue_position: int | None


class RunList(Answer):
    """A page of runs, newest first.

    Attributes:
        total_count: The runs of all pages, at most 10,000.
        total_count_is_exact: Whether there are not more than `total_count`.
        next: The `cursor` of the page that follows; `null` on the last one.
    """

    runs: list[RunSummary]
    total_count: int
    total_count_is_exact: bool
    next: str | None


class WorkflowAnswer(Answer):
    """A workflow that can be started."""

    name: str
    aliases: list[str]
    description: str
    model: str | None
    max_turns: int
    timeout_seconds: int
    budget_usd: float | None
    read_only: bool
    allowed_tools: list[str]


class WorkflowList(Answer):
    """All workflows, by name."""

    workflows: list[WorkflowAnswer]


class RunLister(Protocol):
    """Lists runs; see `RunListService`."""

    async def page(
        self,
        search: RunSearch,
        *,
        by: Actor,
        after: PageKey | None,
        limit: int,
        explains_waiting: bool = False,
    ) -> Page[RunSnapshot]:
        """A page of runs."""
        ...


@dataclass(frozen=True)
class RunLists:
    """Lists runs and workflows."""

    lists: RunLister
    workflows: Sequence[WorkflowDefinition]
    clock: Callable[[], datetime]

    async def list_runs(self, call: Call[NoParameters, RunListQuery, NoParameters]) -> RunList:
        """A page of runs."""
        query = call.query
        search = RunSearch(
            statuses=frozenset(query.status),
            workflow=query.workflow,
            session_id=query.session_id,
            is_mine=query.mine,
            is_waiting=query.waiting,
            owner=query.owner,
            text=query.text,
            repository=query.repository,
            branch=query.branch,
            stop_reason=query.stop_reason,
            outcome=query.outcome,
            since=query.since,
            until=query.until,
        )
        found = await self.lists.page(search, by=call.actor, after=query.cursor, limit=query.limit)
        now = self.clock()
        answer = RunList(
            runs=[run_summary(one, now) for one in found.items],
            total_count=found.total,
            total_count_is_exact=found.is_total_exact,
            next=cursor_of(found.next),
        )
        return answer.with_etag(_etag(answer))

    async def list_workflows(
        self,
        call: Call[NoParameters, NoParameters, NoParameters],  # noqa: ARG002
    ) -> WorkflowList:
        """All workflows."""
        return WorkflowList(workflows=[workflow_answer(one) for one in self.workflows])

    def routes(self) -> list[AnyRoute]:
        """The routes of this module."""
        return [
            Route(
                method=Method.GET,
                path="/workflows/claude-code/runs",
                name="list_runs",
                summary="A page of runs, newest first",
                tag="Runs",
                role=Role.VIEWER,
                action=Action.VIEW,
                path_parameters=NoParameters,
                query=RunListQuery,
                body=NoParameters,
                answer=RunList,
                handler=self.list_runs,
                has_etag=True,
                description="With `If-None-Match` the answer is 304 until a run of the page, or "
                "the number of runs, changes; that time passes is no change.",
            ),
            Route(
                method=Method.GET,
                path="/workflows/claude-code/workflows",
                name="list_workflows",
                summary="The workflows that can be started",
                tag="Workflows",
                role=Role.VIEWER,
                action=Action.VIEW,
                path_parameters=NoParameters,
                query=NoParameters,
                body=NoParameters,
                answer=WorkflowList,
                handler=self.list_workflows,
            ),
        ]


def _etag(page: RunList) -> str:
    """Changes with everything that a page shows, but not as time passes."""
    shown = page.model_dump_json(exclude={"runs": {"__all__": {"elapsed_seconds"}}})
    return hashlib.sha256(shown.encode()).hexdigest()[:_ETAG_CHARS]


def run_summary(snapshot: RunSnapshot, now: datetime) -> RunSummary:
    """A run in a list.  Pure."""
    run = snapshot.run
    return RunSummary(
        run_id=run.run_id,
        status=run.status,
        headline=state_words(snapshot, PLAIN),
        stop_reason=run.stop_reason,
        outcome=run.outcome,
        outcome_reasons=list(run.outcome_reasons),
        can_continue=run.can_continue,
        workflow_name=run.workflow_name,
        task=(snapshot.about or run.task_input)[:_TASK_CHARS],
        leg=snapshot.leg,
        session_id=run.session_id,
        session_name=run.session_name,
        owner=person(snapshot.owner),
        repository=run.git_repo,
        branch=run.git_branch,
        created_at=run.created_at,
        started_at=run.started_at,
        completed_at=run.completed_at,
        elapsed_seconds=elapsed_seconds(run, now),
        turns=run.turns,
        max_turns=run.max_turns,
        tool_calls=run.tool_calls,
        cost=money(run.cost_usd),
        cost_source=run.cost_source,
        error=run.error_message,
        queue_position=snapshot.queue_position,
    )


def workflow_answer(definition: WorkflowDefinition) -> WorkflowAnswer:
    """A workflow as JSON.  Pure."""
    return WorkflowAnswer(
        name=definition.name,
        aliases=list(definition.aliases),
        description=definition.description,
        model=definition.model,
        max_turns=definition.max_turns,
        timeout_seconds=int(definition.timeout.total_seconds()),
        budget_usd=money(definition.budget_usd),
        read_only=definition.read_only,
        allowed_tools=list(definition.allowed_tools),
    )
