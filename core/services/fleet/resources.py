"""What runs and workers use: read for graphs, and thinned as it gets older."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from core.domain.actor import Action, Actor
from core.domain.fleet.workers import WorkerNotFound
from core.domain.resources.policy import THINNINGS
from core.domain.resources.sample import DEFAULT_POINTS, Graph, Usage
from core.domain.retention import DEFAULT_RETENTION, RetentionPolicy
from core.domain.runs.run import Run
from core.services.context import ServiceContext, require_permission
from core.services.runs.targets import find_run
from core.store.fleet import workers
from core.store.resources import samples, thinning, usage

log = logging.getLogger(__name__)

# So many samples are joined or deleted in one transaction, which takes some 20 ms.
_BATCH = 2_000


@dataclass(frozen=True, kw_only=True)
class RunResources:
    """What a run has used.

    Attributes:
        usage: Peaks and totals of all its attempts; `None` if no sample was ever taken.
    """

    run: Run
    usage: Usage | None
    graph: Graph


@dataclass(frozen=True)
class ResourceService:
    """Reads samples.  Each method raises `NotAllowed` and `Unavailable`."""

    context: ServiceContext

    async def of_run(
        self,
        target: str,
        *,
        by: Actor,
        points: int = DEFAULT_POINTS,
        since: datetime | None = None,
    ) -> RunResources:
        """What a run has used, with at most `points` samples.

        Raises:
            RunNotFound: If there is no such run; it is named as for `StatusService.status`.
        """
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            run = await find_run(session, target, by)
            return RunResources(
                run=run,
                usage=await usage.of_run(session, run.id),
                graph=await samples.of_run(session, run.id, points=points, since=since),
            )

    async def of_worker(
        self,
        worker_id: str,
        *,
        by: Actor,
        points: int = DEFAULT_POINTS,
        since: datetime | None = None,
    ) -> Graph:
        """What a worker itself has used, with at most `points` samples.

        Raises:
            WorkerNotFound: If there is no such worker.
        """
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            if not await workers.exists(session, worker_id):
                raise WorkerNotFound(worker_id)
            return await samples.of_worker(session, worker_id, points=points, since=since)


@dataclass(frozen=True)
class ResourceThinning:
    """Joins old samples, and deletes those whose time is over, in many short transactions.

    Attributes:
        retention: How long samples are kept.
        batch: About how many samples one transaction takes.
    """

    context: ServiceContext
    retention: RetentionPolicy = DEFAULT_RETENTION
    batch: int = _BATCH

    async def thin(self) -> int:
        """Join what is due, and delete what is too old; return how many were deleted.

        What is cut short is simply continued by the next call: a transaction joins whole intervals.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        now = self.context.clock()
        steps = [0]
        for one in THINNINGS:
            has_more = True
            while has_more:
                async with self.context.transaction() as session:
                    has_more = await thinning.join_some(
                        session, one, steps, now=now, limit=self.batch
                    )
            steps.append(round(one.step.total_seconds()))
        kept = self.retention.samples
        deleted = 0 if kept is None else await self._delete(steps, before=now - kept)
        if deleted:
            log.info(
                "deleted %s old samples of resources",
                deleted,
                extra={"event": "old_samples.deleted", "count": deleted},
            )
        return deleted

    async def _delete(self, steps: list[int], *, before: datetime) -> int:
        total = 0
        while True:
            async with self.context.transaction() as session:
                deleted = await thinning.delete_some(
                    session, steps, before=before, limit=self.batch
                )
            total += deleted
            if deleted < self.batch:
                return total
