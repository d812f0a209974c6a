"""The page on which a run is started, empty, prefilled by its address, or like an earlier run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from bot.web.api.table import ApiServices
from bot.web.api.values import RunTarget
from bot.web.dashboard.page import AnyPage, Content, Page, PageCall, Section
from bot.web.route import LenientParameters, NoParameters
from core.domain.actor import Action, Role
from core.domain.runs.request import MAX_MODEL_CHARS, MAX_TASK_CHARS
from core.domain.runs.run import Run
from core.domain.runs.search import RunSearch
from core.domain.sessions.names import MAX_SESSION_NAME_CHARS
from core.domain.workflow import MAX_BUDGET_USD, MAX_TIMEOUT, MAX_TURNS_LIMIT

# Repositories of so many runs are proposed.
_LOOKED_AT = 50
_PROPOSED = 12
_URL_CHARS = 500
_BRANCH_CHARS = 255


class NewRunQuery(LenientParameters):
    """What the form is filled with at first.

    Attributes:
        again: A run whose values are taken, where no others are given.
        timeout: In minutes.
    """

    again: RunTarget | None = None
    workflow: Annotated[str, Field(max_length=100)] = ""
    repository: Annotated[str, Field(max_length=_URL_CHARS)] = ""
    branch: Annotated[str, Field(max_length=_BRANCH_CHARS)] = ""
    model: Annotated[str, Field(max_length=MAX_MODEL_CHARS)] = ""
    turns: Annotated[int, Field(ge=1, le=MAX_TURNS_LIMIT)] | None = None
    budget: Annotated[Decimal, Field(gt=0, le=MAX_BUDGET_USD)] | None = None
    timeout: Annotated[int, Field(ge=1)] | None = None
    session: Annotated[str, Field(max_length=MAX_SESSION_NAME_CHARS)] = ""
    task: Annotated[str, Field(max_length=MAX_TASK_CHARS)] = ""

    def like(self, run: Run, task: str) -> NewRunQuery:
        """The same, filled up with what a run was started with, and the task that it works on."""
        minutes = None if run.timeout is None else max(run.timeout // timedelta(minutes=1), 1)
        return NewRunQuery(
            again=run.run_id,
            workflow=self.workflow or run.workflow_name,
            repository=self.repository or (run.git_repo or "")[:_URL_CHARS],
            branch=self.branch or (run.git_branch or "")[:_BRANCH_CHARS],
            model=self.model or (run.ai_model or "")[:MAX_MODEL_CHARS],
            turns=self.turns or run.max_turns,
            budget=self.budget or run.budget_usd,
            timeout=self.timeout or minutes,
            session=self.session,
            task=self.task or task[:MAX_TASK_CHARS],
        )


@dataclass(frozen=True)
class NewRunPage:
    """Starts runs."""

    services: ApiServices

    async def load(self, call: PageCall[NoParameters, NewRunQuery]) -> Content:
        """The form."""
        query, services = call.query, self.services
        if query.again is not None:
            again = (await services.whole_runs.read(query.again, by=call.actor)).snapshot
            query = query.like(again.run, again.about or again.run.task_input)
        recent = await services.lists.page(RunSearch(), by=call.actor, after=None, limit=_LOOKED_AT)
        named = [one.run.git_repo for one in recent.items if one.run.git_repo]
        values = {
            "query": query,
            "workflows": services.runs.workflows,
            "repositories": list(dict.fromkeys(named))[:_PROPOSED],
            "most_turns": MAX_TURNS_LIMIT,
            "most_minutes": int(MAX_TIMEOUT.total_seconds()) // 60,
            "most_budget": MAX_BUDGET_USD,
            "most_task_chars": MAX_TASK_CHARS,
        }
        return Content(
            title="Run again" if query.again is not None else "New run",
            sections=(Section(name="form", template="new_run/form.html", values=values),),
        )

    def pages(self) -> list[AnyPage]:
        """The pages of this module."""
        return [
            Page(
                path="/runs/new",
                name="new_run",
                nav="runs",
                path_parameters=NoParameters,
                query=NewRunQuery,
                load=self.load,
                role=Role.RUNNER,
                action=Action.START,
            )
        ]
