"""A node: one worker process's place on a machine, its heartbeat and its duties to others."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from core.agent.process import runs_here, sweep
from core.domain.errors import Unavailable
from core.domain.process import HEARTBEAT_INTERVAL
from core.queue.worker import Worker
from core.runner.ledger import Ledger
from core.runner.rescue import Rescue
from core.store import processes, runs

log = logging.getLogger(__name__)

_MAX_NODES = 64


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who a worker is.

    Attributes:
        node: Stays over restarts; a lock on the machine gives it to one process at a time.
        worker_id: Of this process alone.
    """

    node: str
    worker_id: str
    host: str


@contextmanager
def claimed_identity(home: Path) -> Iterator[Identity]:
    """Hold one of this home's node names for as long as the context lasts."""
    host = socket.gethostname()
    place = hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:6]
    locks = home / "nodes"
    locks.mkdir(parents=True, exist_ok=True)
    for number in range(_MAX_NODES):
        with (locks / f"{number}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            node = f"{host}-{place}-{number}"
            yield Identity(node=node, worker_id=f"{node}:{uuid4().hex[:8]}", host=host)
            return
    raise RuntimeError(f"more than {_MAX_NODES} workers share the home {home}")


@dataclass
class Node:
    """A worker with its heartbeat and its look-out for lost workers."""

    identity: Identity
    ledger: Ledger
    worker: Worker
    site: str
    is_up: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether it takes jobs."""
        return self.is_up and self.worker.is_ready

    async def run(self) -> None:
        """Work until `stop`: first clear away what a predecessor left, then take jobs."""
        await self._retried("clear away", self._clear_away)
        async with asyncio.TaskGroup() as group:
            beats = group.create_task(self._beat(), name="heartbeat")
            looks = group.create_task(self._look_out(), name="rescue")
            self.is_up = True
            try:
                await self.worker.run()
            finally:
                self.is_up = False
                beats.cancel()
                looks.cancel()

    async def stop(self, *, drain: timedelta) -> None:
        """Take no more jobs; end or hand over those in hand."""
        await self.worker.stop(drain=drain)

    async def _clear_away(self) -> None:
        rescue = Rescue(self.ledger)
        await rescue.settle_predecessors(self.identity.node)
        # Seen first: a run that another worker starts meanwhile is not among them.
        here = await asyncio.to_thread(runs_here, site=self.site)
        async with self.ledger.work.transaction() as session:
            live = {run.run_id for run in await runs.running(session)}
        for run_id, proof in (await sweep(live, site=self.site, among=here)).items():
            log.warning("ended %s left-over processes of %s", len(proof.seen), run_id)

    async def _beat(self) -> None:
        while True:
            try:
                async with self.ledger.work.transaction() as session:
                    await processes.beat(
                        session, self.identity.worker_id, now=self.ledger.work.clock()
                    )
            except Unavailable:
                log.warning("no heartbeat: the database is away")
            await asyncio.sleep(HEARTBEAT_INTERVAL.total_seconds())

    async def _look_out(self) -> None:
        rescue = Rescue(self.ledger)
        while True:
            await asyncio.sleep(HEARTBEAT_INTERVAL.total_seconds())
            try:
                await rescue.look()
            except Unavailable:
                log.warning("no look-out for lost workers: the database is away")

    async def _retried(self, what: str, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await act()
            except Unavailable:
                log.warning("cannot %s yet: the database is away", what)
                await asyncio.sleep(1)
