"""The page of workers: what each does, and what waits for them and why."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from bot.web.api.console_routes import WorkerAnswer, worker_answer
from bot.web.api.table import ApiServices
from bot.web.dashboard.page import AnyPage, Content, Page, PageCall, Section
from bot.web.dashboard.pages.runs import RunRow
from bot.web.route import LenientParameters, NoParameters
from bot.words.fleet import STATE_WORDS
from core.domain.feed import ChangeKind
from core.domain.fleet.workers import QueueReason, WorkerState
from core.domain.runs.run import RunStatus
from core.domain.runs.search import RunSearch

_MAX_LIVE = 200
_MAX_QUEUED = 100
_CAP_WORDS = {
    QueueReason.FLEET: "all runs",
    QueueReason.REPOSITORY: "runs of a repository",
    QueueReason.PERSON: "runs of a person",
}
_TONES = {
    WorkerState.UP: "clean",
    WorkerState.DRAINING: "stopping",
    WorkerState.GONE: "skipped",
}


class WorkersQuery(LenientParameters):
    """The page has no parameters."""


@dataclass(frozen=True)
class WorkerRow:
    """A worker with the runs that it executes; a silent one has the tone of a failure."""

    shown: WorkerAnswer
    tone: str
    words: str
    runs: list[RunRow]


@dataclass(frozen=True)
class WorkersPage:
    """Shows the workers and the queue."""

    services: ApiServices

    async def load(self, call: PageCall[NoParameters, WorkersQuery]) -> Content:
        """The workers with their runs, then the queue."""
        services, actor = self.services, call.actor
        fleet = await services.fleet.workers(by=actor)
        queue = await services.fleet.queue(by=actor, limit=_MAX_QUEUED)
        live = await services.lists.page(
            RunSearch(statuses=frozenset({RunStatus.RUNNING})),
            by=actor,
            after=None,
            limit=_MAX_LIVE,
        )
        of_worker: dict[str | None, list[RunRow]] = defaultdict(list)
        for one in live.items:
            of_worker[one.run.worker_id].append(RunRow.of(one, services))
        workers = []
        for worker in fleet.workers:
            is_silent = worker.is_silent(fleet.at)
            words = "silent: after a minute its runs continue elsewhere"
            workers.append(
                WorkerRow(
                    shown=worker_answer(worker, fleet.at),
                    tone="failed" if is_silent else _TONES[worker.state],
                    words=words if is_silent else STATE_WORDS[worker.state][1],
                    runs=of_worker[worker.worker_id],
                )
            )
        rows = [RunRow.of(one, services, is_explained=True) for one in queue.waiting]
        caps = [(words, queue.caps.for_reason(reason)) for reason, words in _CAP_WORDS.items()]
        return Content(
            title="Workers",
            sections=(
                Section(
                    name="fleet",
                    template="workers/fleet.html",
                    values={"fleet": fleet, "workers": workers, "caps": caps},
                ),
                Section(
                    name="queue",
                    template="workers/queue.html",
                    values={
                        "rows": rows,
                        "is_whole": queue.is_whole,
                        "later": max(fleet.pending_runs - len(rows), 0) if queue.is_whole else 0,
                    },
                ),
            ),
        )

    def pages(self) -> list[AnyPage]:
        """The pages of this module."""
        return [
            Page(
                path="/workers",
                name="workers",
                nav="workers",
                path_parameters=NoParameters,
                query=WorkersQuery,
                load=self.load,
                changes=frozenset({ChangeKind.RUN, ChangeKind.WORKER}),
            )
        ]
