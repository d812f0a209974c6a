"""A node: one worker process's place on a machine, its heartbeat and its duties to others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from core.domain.errors import Unavailable
from core.domain.fleet.attempt import HEARTBEAT_INTERVAL
from core.domain.fleet.workers import WorkerRecord, WorkerState
from core.queue.worker import Worker
from core.runner.execution.ledger import Ledger
from core.runner.recovery.interrupted_kills import Kills
from core.runner.recovery.leftovers import clear_leftovers
from core.runner.recovery.rescue import Rescue
from core.runner.worker.duplicate_node import succeed_alone
from core.runner.worker.identity import Identity
from core.runner.worker.lease import Lease, awake_seconds
from core.services.dispatch import release_waiting
from core.store.fleet import attempts, workers

log = logging.getLogger(__name__)

# A heartbeat that hangs is given up, to be tried on another connection.
_BEAT_LIMIT = timedelta(seconds=8)
# While the database is away; its return is to be noticed soon.
_BEAT_AGAIN = timedelta(seconds=1)
_FAREWELL_LIMIT = timedelta(seconds=2)

# Runs, and the attempts at them, that are still a worker's own.
Own = frozenset[tuple[UUID, int]]


@dataclass
class Node:
    """A worker with its heartbeat, its lease and its look-out for lost workers.

    Attributes:
        record: What the fleet is told of it.
        lease: What it executes, as its executor notes it.
    """

    identity: Identity
    record: WorkerRecord
    ledger: Ledger
    kills: Kills
    lease: Lease
    worker: Worker
    site: str
    is_up: bool = False
    _beat_now: asyncio.Event = field(default_factory=asyncio.Event)
    _asking: set[asyncio.Task[Own]] = field(default_factory=set)

    @property
    def is_ready(self) -> bool:
        """Whether it takes jobs."""
        return self.is_up and self.worker.is_ready

    async def run(self) -> None:
        """Work until `stop`: first clear away what a predecessor left, then take jobs.

        Raises:
            CopiedHome: If another worker lives under this node's name.
        """
        await self._retried("clear away", self._clear_away)
        async with asyncio.TaskGroup() as group:
            side = [
                group.create_task(self._beat(), name="heartbeat"),
                group.create_task(self.lease.watch(), name="lease"),
                group.create_task(self._look_out(), name="rescue"),
            ]
            self.is_up = True
            try:
                # Until the last job in hand has ended: a drain looks alive, and is.
                await self.worker.run()
            finally:
                self.is_up = False
                for task in side:
                    task.cancel()

    async def stop(self, *, drain: timedelta) -> None:
        """Take no more jobs; end those in hand, or hand them over when `drain` is over."""
        self.record = replace(self.record, state=WorkerState.DRAINING)
        self._beat_now.set()
        await self.worker.stop(drain=drain)
        await self._say_farewell()

    def hasten(self) -> None:
        """Wait no longer for runs to end by themselves."""
        self.worker.hasten()

    async def _clear_away(self) -> None:
        await succeed_alone(self.ledger.work, self.identity, self.record)
        rescue = Rescue(self.ledger, self.kills)
        await rescue.settle_predecessors(self.identity.node)
        await clear_leftovers(self.ledger, self.kills.clearing, site=self.site)
        await self.kills.look()

    async def _beat(self) -> None:
        """Say that this worker lives, and hear which runs are still its own."""
        while True:
            asked_at = awake_seconds()
            pause = HEARTBEAT_INTERVAL
            try:
                own = await self._within(_BEAT_LIMIT, self._renew())
                await self.lease.renew(own, asked_at=asked_at)
            except (Unavailable, TimeoutError):
                log.warning("no heartbeat: the database is away")
                pause = _BEAT_AGAIN
            except Exception:
                # Without a heartbeat its agents pause; with its end they would be lost.
                log.exception("no heartbeat")
            await self._sleep(pause)

    async def _within(self, limit: timedelta, asking: Coroutine[Any, Any, Own]) -> Own:
        """The answer, if it comes in time; else the question is left to its own end.

        On a line that is cut without a word even calling a question off takes its time.
        """
        task = asyncio.create_task(asking, name="renew lease")
        self._asking.add(task)
        task.add_done_callback(self._answered)
        try:
            async with asyncio.timeout(limit.total_seconds()):
                return await asyncio.shield(task)
        finally:
            task.cancel()

    def _answered(self, task: asyncio.Task[Own]) -> None:
        self._asking.discard(task)
        if not task.cancelled():
            task.exception()  # Looked at, or asyncio would complain that nobody did.

    async def _renew(self) -> Own:
        async with self.ledger.work.transaction() as session:
            await workers.report(session, self._present())
            own = await attempts.beat(
                session,
                self.identity.worker_id,
                now=self.ledger.work.clock(),
                held=self.lease.held,
            )
            if self.record.state is WorkerState.DRAINING:
                # What waits for this node in particular is anybody's now.
                await release_waiting(session, now=self.ledger.work.clock())
            return own

    def _present(self) -> WorkerRecord:
        return replace(self.record, heartbeat_at=self.ledger.work.clock())

    async def _sleep(self, pause: timedelta) -> None:
        self._beat_now.clear()
        try:
            async with asyncio.timeout(pause.total_seconds()):
                await self._beat_now.wait()
        except TimeoutError:
            return

    async def _look_out(self) -> None:
        rescue = Rescue(self.ledger, self.kills)
        while True:
            await asyncio.sleep(HEARTBEAT_INTERVAL.total_seconds())
            try:
                await rescue.look()
                await self.kills.look()
                async with self.ledger.work.transaction() as session:
                    await release_waiting(session, now=self.ledger.work.clock())
            except Unavailable:
                log.warning("no look-out for lost workers: the database is away")
            except Exception:
                log.exception("no look-out for lost workers; the next one follows")

    async def _say_farewell(self) -> None:
        now = self.ledger.work.clock()
        self.record = replace(self.record, state=WorkerState.GONE, stopped_at=now)
        try:
            async with (
                asyncio.timeout(_FAREWELL_LIMIT.total_seconds()),
                self.ledger.work.transaction() as session,
            ):
                await workers.report(session, self._present())
                await release_waiting(session, now=now)
        except (Unavailable, TimeoutError):
            log.warning("left without a word: the database is away")

    async def _retried(self, what: str, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await act()
            except Unavailable:
                log.warning("cannot %s yet: the database is away", what)
                await asyncio.sleep(1)
