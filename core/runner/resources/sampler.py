"""Takes samples of what the runs of a worker use, and of the worker itself.

One loop looks at all of them from outside, and sends what it saw in one statement.  No run waits
for it, and no failure here reaches a run: a look that fails is left out, and a sample that cannot
be stored is dropped.  Peaks and totals are not lost by that, because they are in the next one, too.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from core.agent.process.process_tree import ProcessTree
from core.agent.resources.looks import Looks, age_seconds, look_at
from core.domain.errors import Unavailable
from core.domain.resources.metering import Metered
from core.domain.resources.policy import DEFAULT_POLICY, SamplingPolicy
from core.domain.resources.sample import OwnedSample, OwnedUsage
from core.runner.execution.attempt import Attempt
from core.runner.resilience import BoundedCalls
from core.runner.resources.disk_sizes import DiskSizes
from core.services.context import ServiceContext
from core.store.database.engine import translate_errors
from core.store.resources import samples

log = logging.getLogger(__name__)

# A statement that hangs is abandoned; the next samples take another connection.
_STORE_LIMIT = timedelta(seconds=4)
# (Row id of the run, number of the attempt).
_AttemptKey = tuple[UUID, int]


@dataclass
class Sampler:
    """Samples of one worker and of its live attempts.

    Attributes:
        worker_id: The worker that takes them.
        home: The folder on whose disk the worker works.
        attempts: The attempts that it executes now.
        disk: The sizes of their workspaces.
    """

    context: ServiceContext
    worker_id: str
    home: Path
    attempts: Callable[[], Sequence[Attempt]]
    policy: SamplingPolicy = DEFAULT_POLICY
    disk: DiskSizes = field(init=False)
    _metered: dict[_AttemptKey, Metered] = field(default_factory=dict)
    _worker: Metered | None = None
    _has_failed: bool = False
    _is_unreachable: bool = False
    _stores: BoundedCalls = field(default_factory=BoundedCalls)

    def __post_init__(self) -> None:
        self.disk = DiskSizes(self._workspaces)

    async def run(self) -> None:
        """Take samples again and again, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.disk.run(), name="measure workspaces")
            group.create_task(self._loop(), name="take samples")

    async def _loop(self) -> None:
        while True:
            try:
                await self.take()
            except Exception:
                # Nothing is known of this interval; the next look follows.
                if not self._has_failed:
                    log.exception(
                        "no samples of resources are taken for a while",
                        extra={"event": "samples.failed", "worker_id": self.worker_id},
                    )
                self._has_failed = True
            else:
                self._has_failed = False
            await asyncio.sleep(self.policy.every.total_seconds())

    async def take(self) -> None:
        """Look at everything once, and store the samples.

        Raises:
            OSError: If this process cannot read the process table.
        """
        live = [
            (attempt, attempt.opened.agent.tree)
            for attempt in self.attempts()
            if attempt.opened.agent is not None and attempt.opened.agent.tree.root is not None
        ]
        looks = await look_at([tree for _, tree in live])
        now = self.context.clock()
        taken, used = self._of_attempts(live, looks, now)
        taken += await self._of_worker(looks, now)
        await self._store(taken, used)

    def _of_attempts(
        self, live: Sequence[tuple[Attempt, ProcessTree]], looks: Looks, now: datetime
    ) -> tuple[list[OwnedSample], list[OwnedUsage]]:
        taken, used = [], []
        known: dict[_AttemptKey, Metered] = {}
        for (attempt, tree), look in zip(live, looks.trees, strict=True):
            run, number = attempt.run.id, attempt.run.attempt
            before = self._metered.get((run, number))
            if before is None:
                before = Metered.since(now - timedelta(seconds=age_seconds(tree)))
            known[run, number] = before
            if look is None:
                continue
            after, sample = before.after(look, at=now, disk_bytes=self._disk_bytes(attempt))
            known[run, number] = after
            if sample is None or after.usage is None:
                continue
            owned = OwnedSample(run=run, attempt=number, worker_id=self.worker_id, sample=sample)
            taken.append(owned)
            used.append(
                OwnedUsage(run=run, attempt=number, worker_id=self.worker_id, usage=after.usage)
            )
        self._metered = known
        return taken, used

    async def _of_worker(self, looks: Looks, now: datetime) -> list[OwnedSample]:
        if self._worker is None:
            # What it used until here was before the first interval.
            start, _ = Metered.since(now - self.policy.every).after(looks.worker, at=now)
            self._worker = start
            return []
        disk_bytes = await asyncio.to_thread(lambda: shutil.disk_usage(self.home).used)
        self._worker, sample = self._worker.after(looks.worker, at=now, disk_bytes=disk_bytes)
        return [] if sample is None else [OwnedSample(worker_id=self.worker_id, sample=sample)]

    async def _store(self, taken: Sequence[OwnedSample], used: Sequence[OwnedUsage]) -> None:
        if not taken:
            return
        try:
            await self._stores.call(
                self._add(taken, used), limit=_STORE_LIMIT, name="store samples"
            )
        except (Unavailable, TimeoutError) as error:
            if not self._is_unreachable:
                log.warning(
                    "samples of resources are dropped until the database is reachable: %s",
                    error,
                    extra={"event": "samples.dropped", "worker_id": self.worker_id},
                )
            self._is_unreachable = True
        else:
            self._is_unreachable = False

    async def _add(self, taken: Sequence[OwnedSample], used: Sequence[OwnedUsage]) -> None:
        with translate_errors():
            await samples.add(self.context.database.reads, taken, used)

    def _disk_bytes(self, attempt: Attempt) -> int | None:
        workspace = attempt.opened.workspace
        return None if workspace is None else self.disk.of(workspace.id)

    def _workspaces(self) -> Mapping[str, Path]:
        found = (attempt.opened.workspace for attempt in self.attempts())
        return {one.id: one.path for one in found if one is not None}
