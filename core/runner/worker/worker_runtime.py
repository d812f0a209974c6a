"""The runtime of a worker process: its jobs, heartbeat, lease, inbox and rescue of lost runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

from core.domain.errors import Unavailable, unforeseen
from core.domain.fleet.attempt import HEARTBEAT_INTERVAL
from core.domain.fleet.workers import WorkerRecord, WorkerState
from core.queue.worker import Worker
from core.runner.caretaking.caretaker import Caretaker
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.keeping.unkept_work import UnkeptWork
from core.runner.recovery.interrupted_kills import InterruptedKills
from core.runner.recovery.leftovers import clean_up_leftovers
from core.runner.recovery.lost_jobs import LostJobs
from core.runner.recovery.rescue import Rescue
from core.runner.resilience import BoundedCalls
from core.runner.resources.sampler import Sampler
from core.runner.retrying.policies import PolicyOf, default_policy
from core.runner.worker.duplicate_node import register_exclusively
from core.runner.worker.identity import WorkerIdentity
from core.runner.worker.inbox import Inbox
from core.runner.worker.lease import Lease, boottime_seconds
from core.services.fleet.admission import admit
from core.services.fleet.dispatch import release_waiting_jobs
from core.store.fleet import attempts, worker_messages, workers
from core.workspace.workspaces import Workspaces

log = logging.getLogger(__name__)

# A heartbeat that hangs is abandoned and tried again on another connection.
_HEARTBEAT_LIMIT = timedelta(seconds=8)
# While the database is unreachable: short, so that its return is noticed soon.
_HEARTBEAT_RETRY_PAUSE = timedelta(seconds=1)
_SIGN_OFF_LIMIT = timedelta(seconds=2)

# (Row id of the run, number of the attempt), for each attempt that a worker still owns.
OwnAttempts = frozenset[tuple[UUID, int]]


@dataclass
class WorkerRuntime:
    """A running worker with its heartbeat, its lease, its inbox and its search for lost workers.

    Attributes:
        record: What this worker publishes about itself in `workers`.
        lease: The attempts that it executes, kept current by the executor.
        inbox: Delivers the messages about these attempts.
        policy_of: Which failures of a workflow's runs are tried again.
        caretaker: Cares for the workspaces of its home.
        sampler: Takes samples of what it and its runs use; `None` if the settings say so.
        is_up: Whether it has cleaned up after its predecessors and runs its background tasks.
    """

    identity: WorkerIdentity
    record: WorkerRecord
    ledger: Ledger
    kills: InterruptedKills
    workspaces: Workspaces
    lease: Lease
    inbox: Inbox
    worker: Worker
    installation_id: str
    caretaker: Caretaker
    policy_of: PolicyOf = default_policy
    sampler: Sampler | None = None
    is_up: bool = False
    _heartbeat_requested: asyncio.Event = field(default_factory=asyncio.Event)
    _renewals: BoundedCalls = field(default_factory=BoundedCalls)

    @property
    def is_ready(self) -> bool:
        """Whether this worker takes jobs."""
        return self.is_up and self.worker.is_ready

    def warnings(self) -> list[str]:
        """Why this worker takes no jobs, if the reason is its own; one line each."""
        problem = self.worker.problem
        return [] if problem is None else [f"worker: takes no jobs, {problem}"]

    async def run(self) -> None:
        """Clean up after predecessors, then take jobs until `stop`.

        Raises:
            CopiedHome: If another live worker uses this node's name.
        """
        await self._retry_until_available("clear away", self._clean_up_predecessors)
        async with asyncio.TaskGroup() as group:
            background_tasks = [
                group.create_task(self._heartbeat_loop(), name="heartbeat"),
                group.create_task(self.lease.watch(), name="lease"),
                group.create_task(self._rescue_loop(), name="rescue"),
                group.create_task(self._unkept_work_loop(), name="unkept work"),
                group.create_task(self.inbox.run(), name="inbox"),
                group.create_task(self._caretaking_loop(), name="care for workspaces"),
            ]
            if self.sampler is not None:
                background_tasks.append(group.create_task(self.sampler.run(), name="samples"))
            self.is_up = True
            try:
                # Returns when the last job has ended, so heartbeats continue during a drain.
                await self.worker.run()
            finally:
                self.is_up = False
                for task in background_tasks:
                    task.cancel()

    async def stop(self, *, drain: timedelta) -> None:
        """Take no more jobs; let running ones end, and hand over what still runs after `drain`."""
        self.record = replace(self.record, state=WorkerState.DRAINING)
        self._heartbeat_requested.set()
        await self.worker.stop(drain=drain)
        await self._sign_off()

    def skip_drain(self) -> None:
        """Cut a drain short: hand over the running jobs at once."""
        self.worker.skip_drain()

    async def _clean_up_predecessors(self) -> None:
        await register_exclusively(self.ledger.context, self.identity, self.record)
        rescue = Rescue(self.ledger, self.kills, policy_of=self.policy_of)
        await rescue.reassign_runs_of_predecessors(self.identity.node)
        await clean_up_leftovers(
            self.ledger, self.kills.cleaner, installation_id=self.installation_id
        )
        await self.kills.finish_interrupted_kills()

    async def _heartbeat_loop(self) -> None:
        """Write heartbeats, and renew the lease of the attempts that are still this worker's."""
        while True:
            queried_at = boottime_seconds()
            pause = HEARTBEAT_INTERVAL
            try:
                own = await self._renewals.call(
                    self._renew(), limit=_HEARTBEAT_LIMIT, name="renew lease"
                )
                await self.lease.renew(own, queried_at=queried_at)
            except (Unavailable, TimeoutError):
                log.warning(
                    "no heartbeat: the database is unreachable",
                    extra=self._log_fields("heartbeat.failed"),
                )
                pause = _HEARTBEAT_RETRY_PAUSE
            except Exception:
                # Without a heartbeat the agents pause; if this task ended they would be lost.
                log.exception("no heartbeat", extra=self._log_fields("heartbeat.failed"))
            await self._sleep(pause)

    async def _renew(self) -> OwnAttempts:
        async with self.ledger.context.transaction() as session:
            await workers.record_heartbeat(session, self._current_record())
            own = await attempts.renew_heartbeats(
                session,
                self.identity.worker_id,
                now=self.ledger.context.clock(),
                executing=self.lease.executing,
            )
            if await worker_messages.has_unhandled(session, self.identity.worker_id):
                self.inbox.wake()
            if self.record.state is WorkerState.DRAINING:
                # Jobs that wait for this node may now go to any worker.
                await release_waiting_jobs(session, now=self.ledger.context.clock())
            return own

    def _current_record(self) -> WorkerRecord:
        return replace(self.record, heartbeat_at=self.ledger.context.clock())

    async def _sleep(self, pause: timedelta) -> None:
        self._heartbeat_requested.clear()
        try:
            async with asyncio.timeout(pause.total_seconds()):
                await self._heartbeat_requested.wait()
        except TimeoutError:
            return

    async def _rescue_loop(self) -> None:
        rescue = Rescue(self.ledger, self.kills, policy_of=self.policy_of)
        lost_jobs = LostJobs(self.ledger, self.kills)
        steps: Mapping[str, Callable[[], Awaitable[object]]] = {
            "reassign runs of lost workers": rescue.rescue_lost_runs,
            "replace lost jobs": lost_jobs.replace_lost_jobs,
            "finish interrupted kills": self.kills.finish_interrupted_kills,
            "release waiting jobs": self._release_waiting_jobs,
            "admit due runs": self._admit_due_runs,
        }
        while True:
            await asyncio.sleep(HEARTBEAT_INTERVAL.total_seconds())
            for description, step in steps.items():
                await self._try_step(description, step)

    async def _try_step(self, description: str, step: Callable[[], Awaitable[object]]) -> None:
        """Take a step of the rescue; one that fails does not prevent the others."""
        try:
            await step()
        except Unavailable:
            log.warning(
                "could not %s: the database is unreachable",
                description,
                extra=self._log_fields("rescue.failed"),
            )
        except Exception:
            log.exception(
                "could not %s; the next try follows",
                description,
                extra=self._log_fields("rescue.failed"),
            )

    async def _release_waiting_jobs(self) -> None:
        async with self.ledger.context.transaction() as session:
            await release_waiting_jobs(session, now=self.ledger.context.clock())

    async def _admit_due_runs(self) -> None:
        """Admit runs whose next attempt is due, also while no process keeps the clock."""
        async with self.ledger.context.transaction() as session:
            await admit(session, now=self.ledger.context.clock())

    async def _unkept_work_loop(self) -> None:
        """Keep the work of ended runs that nobody keeps.  Apart, because it can take minutes."""
        unkept = UnkeptWork(self.ledger, self.workspaces)
        of_predecessors = True
        while True:
            try:
                await unkept.keep_due_work(of_predecessors=of_predecessors)
                of_predecessors = False
            except Unavailable:
                log.warning(
                    "no work is kept: the database is unreachable",
                    extra=self._log_fields("unkept_work.search_delayed"),
                )
            except Exception:
                log.exception(
                    "the search for unkept work failed; the next one follows",
                    extra=self._log_fields("unkept_work.search_failed"),
                )
            await asyncio.sleep(HEARTBEAT_INTERVAL.total_seconds())

    async def _caretaking_loop(self) -> None:
        """Report workspaces, and remove them when the clock or a person asks for it."""
        act = self.caretaker.start
        while True:
            try:
                await act()
                act = self.caretaker.act
            except Unavailable:
                log.warning(
                    "no workspace is cared for: the database is unreachable",
                    extra=self._log_fields("caretaking.delayed"),
                )
            except Exception:
                log.exception(
                    "the care for workspaces failed; the next try follows",
                    extra=self._log_fields("caretaking.failed"),
                )
            await asyncio.sleep(HEARTBEAT_INTERVAL.total_seconds())

    async def _sign_off(self) -> None:
        now = self.ledger.context.clock()
        self.record = replace(self.record, state=WorkerState.GONE, stopped_at=now)
        try:
            async with (
                asyncio.timeout(_SIGN_OFF_LIMIT.total_seconds()),
                self.ledger.context.transaction() as session,
            ):
                await workers.record_heartbeat(session, self._current_record())
                await release_waiting_jobs(session, now=now)
        except Exception as error:
            # The process ends.
            log.warning(
                "did not sign off: %s",
                error,
                exc_info=unforeseen(error),
                extra=self._log_fields("worker.sign_off_failed"),
            )

    async def _retry_until_available(
        self, description: str, action: Callable[[], Awaitable[None]]
    ) -> None:
        while True:
            try:
                return await action()
            except Unavailable:
                log.warning(
                    "cannot %s yet: the database is unreachable",
                    description,
                    extra=self._log_fields("worker.start_delayed"),
                )
                await asyncio.sleep(1)

    def _log_fields(self, event: str) -> dict[str, object]:
        identity = self.identity
        return {"event": event, "worker_id": identity.worker_id, "node": identity.node}
