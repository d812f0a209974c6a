"""The pages of workflows: what can be started, how each is defined, and how its runs went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any

from bot.web.api.analytics.answers import AnalyticsAnswer, analytics_answer
from bot.web.api.run_lists import workflow_answer
from bot.web.api.run_starts import WorkflowPath
from bot.web.api.table import ApiServices
from bot.web.dashboard.page import AnyPage, Content, Page, PageCall, Section
from bot.web.dashboard.pages.runs import RunRow
from bot.web.route import LenientParameters, NoParameters
from bot.words.failures.classes import CLASS_TITLES
from bot.words.times import duration
from core.domain.actor import Actor
from core.domain.analytics.report import Dimension, Question
from core.domain.failures.retry_policy import NEVER_RETRIED, RetryPolicy
from core.domain.feed import ChangeKind
from core.domain.reach.network import NetworkPolicy
from core.domain.runs.search import RunSearch
from core.domain.workflow import UnknownWorkflow, WorkflowDefinition

_DAYS = 30
_SHOWN_RUNS = 20


class WorkflowsQuery(LenientParameters):
    """The pages have no parameters."""


@dataclass(frozen=True)
class WorkflowPages:
    """Shows workflows."""

    services: ApiServices

    async def load_list(self, call: PageCall[NoParameters, WorkflowsQuery]) -> Content:
        """All workflows, with how the runs of the last 30 days went."""
        found = await self._history(call.actor, by=Dimension.WORKFLOW)
        history = {group.workflow: group for group in found.groups}
        rows = [
            (workflow_answer(one), history.get(one.name)) for one in self.services.runs.workflows
        ]
        return Content(
            title="Workflows",
            sections=(
                Section(
                    name="workflows",
                    template="workflows/list.html",
                    values={"rows": rows, "days": _DAYS},
                ),
            ),
        )

    async def load_one(self, call: PageCall[WorkflowPath, WorkflowsQuery]) -> Content:
        """A workflow.

        Raises:
            UnknownWorkflow: If there is none of this name.
        """
        services = self.services
        definition = self._find(call.path.workflow_name)
        total = (await self._history(call.actor, workflow=definition.name)).total
        page = await services.lists.page(
            RunSearch(workflow=definition.name), by=call.actor, after=None, limit=_SHOWN_RUNS
        )
        rows = [RunRow.of(one, services) for one in page.items]
        return Content(
            title=definition.name,
            sections=(
                Section(
                    name="definition",
                    template="workflows/definition.html",
                    values={
                        "one": definition,
                        "shown": workflow_answer(definition),
                        "facts": _facts(definition),
                        "retries": _retries(definition.retry),
                    },
                ),
                Section(
                    name="history",
                    template="workflows/history.html",
                    values={
                        "name": definition.name,
                        "rows": rows,
                        "total": total,
                        "days": _DAYS,
                        "has_more": page.next is not None,
                    },
                ),
            ),
        )

    def _find(self, name: str) -> WorkflowDefinition:
        known = self.services.runs.workflows
        for one in known:
            if name == one.name or name in one.aliases:
                return one
        raise UnknownWorkflow(name, tuple(one.name for one in known))

    async def _history(
        self, actor: Actor, *, by: Dimension = Dimension.DAY, workflow: str | None = None
    ) -> AnalyticsAnswer:
        last = self.services.clock().astimezone(UTC).date()
        question = Question(
            first=last - timedelta(days=_DAYS - 1), last=last, by=(by,), workflow=workflow
        )
        found = await self.services.analytics.report(question, by=actor)
        return analytics_answer(found, by=by, limit=1000)

    def pages(self) -> list[AnyPage]:
        """The pages of this module."""
        return [
            Page(
                path="/workflows",
                name="workflows",
                nav="workflows",
                path_parameters=NoParameters,
                query=WorkflowsQuery,
                load=self.load_list,
            ),
            Page(
                path="/workflows/{workflow_name}",
                name="workflow",
                nav="workflows",
                path_parameters=WorkflowPath,
                query=WorkflowsQuery,
                load=self.load_one,
                changes=frozenset({ChangeKind.RUN}),
            ),
        ]


def _facts(one: WorkflowDefinition) -> Mapping[str, str]:
    """What a definition says, in words; what it leaves open is as in `signalbox.toml`.  Pure."""
    network = one.network
    auto = one.auto_continue
    found: dict[str, Any] = {
        "Model": one.model or "the agent program's default",
        "Turns": f"up to {one.max_turns}",
        "Time": f"up to {duration(one.timeout)} an attempt",
        "Budget": "no limit of its own" if one.budget_usd is None else f"${one.budget_usd:f}",
        "Files": "read only" if one.read_only else "may be changed",
        "Permissions": one.permission_mode.value,
        "Allowed tools": ", ".join(one.allowed_tools),
        "Refused tools": ", ".join(one.disallowed_tools),
        "MCP servers": ", ".join(one.mcp_servers),
        "Settings files read": ", ".join(one.setting_sources),
        "Isolation": "" if one.isolation is None else one.isolation.value,
        "Network": "" if network is None else _network_words(network),
        "If its worker is lost": "" if one.on_worker_lost is None else one.on_worker_lost.value,
        "Further legs": ""
        if auto is None
        else f"up to {auto.legs} start automatically, up to ${auto.budget_usd:f} in all",
    }
    return {name: words for name, words in found.items() if words}


def _network_words(policy: NetworkPolicy) -> str:
    return ", ".join(str(rule) for rule in policy.hosts) or policy.mode.value


def _retries(policy: RetryPolicy) -> list[tuple[str, str]]:
    """The retry strategies of a definition: a class of failures, and what follows.  Pure."""
    rows = [
        (
            CLASS_TITLES[failure_class],
            "never"
            if rule.attempts == 0 or failure_class in NEVER_RETRIED
            else f"up to {rule.attempts} further attempts, after pauses of "
            f"{duration(rule.first)} to {duration(rule.longest)} at most",
        )
        for failure_class, rule in policy.rules.items()
    ]
    if policy.longest_wait is not None:
        words = f"waits up to {duration(policy.longest_wait)}" if policy.longest_wait else "never"
        rows.append(("A usage limit", words))
    if policy.budget_usd is not None:
        rows.append(("All attempts together", f"up to ${policy.budget_usd:f}"))
    return rows
