"""The database writes of a kill; each method is one transaction."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.actor import SYSTEM
from core.domain.errors import Conflict, NotFound, Unavailable
from core.domain.feed import ChangeKind
from core.domain.fleet.attempt import AttemptRecord, machine_name, node_of
from core.domain.kills.termination import CriticalWait, Phase, Proof, Termination
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import Run, StopReason
from core.runner.execution.closing import close_attempt
from core.runner.log_fields import log_fields
from core.services.context import ServiceContext, audit_entry
from core.services.fleet.admission import admit
from core.store import audit, changes, events, terminations
from core.store.fleet import attempts
from core.store.runs import run_queries, runs

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KillLedger:
    """Writes the rows of kills for one worker; see `Ledger.kills`."""

    context: ServiceContext
    worker_id: str
    host: str

    @property
    def node(self) -> str:
        """This worker's node."""
        return node_of(self.worker_id)

    def is_local_attempt(self, process: AttemptRecord) -> bool:
        """Whether the processes of this host show all that is left of an attempt.

        That is so on the host of the attempt, and on its node.  If the node has another host
        now, the machine was booted again or its container was created again, and no process of
        the attempt can be left.
        """
        return process.host == self.host or node_of(process.worker_id) == self.node

    async def open_termination(self, run: Run) -> Termination | None:
        """The open kill of this run, if there is one."""
        async with self.context.transaction() as session:
            found = await terminations.latest_of_run(session, run.id)
        return found if found is not None and found.completed_at is None else None

    async def record_phase(
        self,
        run: Run,
        termination: Termination,
        phase: Phase,
        proof: Proof | None = None,
        *,
        work_saved: Mapping[str, Any] | None = None,
        cleanup: Mapping[str, Any] | None = None,
    ) -> Termination:
        """Record that a kill has reached a phase; the thread shows it."""
        now = self.context.clock()
        new_events = []
        async with self.context.transaction() as session:
            if phase is Phase.CONFIRMED:
                await self.record_attempts_gone(session, run, max_attempt=run.attempt)
                unchecked = {
                    machine_name(host) for host in await attempts.unchecked_hosts(session, run.id)
                }
                if unchecked:
                    cleanup = {**(cleanup or {}), "unseen_hosts": sorted(unchecked)}
            advanced = await terminations.advance(
                session,
                termination.id,
                phase,
                now=now,
                processes_seen=len(proof.seen) if proof else None,
                survivors=proof.survivors if proof else None,
                proof_by=proof.by if proof and phase is Phase.CONFIRMED else None,
                work_saved=work_saved,
                cleanup=cleanup,
            )
            await runs.change(session, run.run_id, now=now)
            if phase not in termination.phases:
                # A phase that is entered again counts only the first time.
                new_events.append(
                    EventRecord(kind=EventKind.KILL_PHASE, at=now, data={"phase": phase})
                )
                if phase is Phase.UNCONFIRMED:
                    data = {"survivors": [one.name for one in advanced.survivors]}
                    new_events.append(
                        EventRecord(kind=EventKind.KILL_UNCONFIRMED, at=now, data=data)
                    )
            await events.append(session, run.id, run.attempt, new_events)
        return advanced

    async def record_outcome(self, run: Run, *, cleanup: Mapping[str, Any]) -> None:
        """Record what was removed after a kill, on its newest termination."""
        async with self.context.transaction() as session:
            await terminations.add_outcome(session, run.id, cleanup=cleanup)

    async def record_run_gone(self, run: Run) -> None:
        """Record that nothing of the run's attempts is left on this machine."""
        async with self.context.transaction() as session:
            await self.record_attempts_gone(session, run, max_attempt=run.attempt)

    async def record_attempts_gone(
        self, session: AsyncSession, run: Run, *, max_attempt: int
    ) -> None:
        """The same in an open transaction, for the attempts up to `max_attempt`."""
        await attempts.mark_gone(
            session,
            run.id,
            host=self.host,
            node=self.node,
            max_attempt=max_attempt,
            now=self.context.clock(),
        )

    async def record_critical_waits(
        self, run: Run, termination: Termination | None, waited: Sequence[CriticalWait]
    ) -> None:
        """Record the critical tool calls that a stop waited for."""
        now = self.context.clock()
        details = [asdict(one) for one in waited]
        async with self.context.transaction() as session:
            if termination is not None:
                await terminations.add_critical_waits(session, termination.id, waited, now=now)
            elif waited:
                # Nothing that is drawn changes, but who watches the events gets these.
                await changes.record(session, ChangeKind.RUN, run.run_id, "progress")
            await events.append(
                session,
                run.id,
                run.attempt,
                [EventRecord(kind=EventKind.CRITICAL_WAITED, at=now, data=one) for one in details],
            )
            action = "kill_waited" if termination is not None else "stop_waited"
            await audit.record(
                session, audit_entry(SYSTEM, action, now, run=run, waited_for=details)
            )

    async def finish_killed(self, run: Run, *, has_work: bool = False) -> None:
        """End a killed run that no worker executes: its worker died, or the run is pending.

        If the details of its end cannot be written, the end itself is.

        Args:
            run: The run.
            has_work: Whether its work is in a workspace of this machine, and yet to be kept.
        """
        try:
            await self._finish_killed(run, has_work=has_work)
        except (Conflict, NotFound, Unavailable):
            raise
        except Exception:
            log.exception(
                "%s: only that it was killed can be written",
                run.run_id,
                extra=log_fields("kill_end.reduced", run),
            )
            async with self.context.transaction() as session:
                await self._end_killed(session, run, has_work=has_work)

    async def _finish_killed(self, run: Run, *, has_work: bool) -> None:
        now = self.context.clock()
        async with self.context.transaction() as session:
            present = await run_queries.get(session, run.run_id)
            if present.is_live:
                ended = EventRecord(
                    kind=EventKind.RUN_ENDED, at=now, data={"stop_reason": StopReason.KILLED}
                )
                await events.append(session, run.id, present.attempt, [ended])
                await close_attempt(session, present, StopReason.KILLED, now=now)
                await self._end_killed(session, run, has_work=has_work)
                await admit(session, now=now)

    async def _end_killed(self, session: AsyncSession, run: Run, *, has_work: bool) -> None:
        now = self.context.clock()
        ended = await runs.finish(
            session,
            run.run_id,
            attempt=None,
            stop_reason=StopReason.KILLED,
            now=now,
            work_due_at=now if has_work else None,
        )
        await attempts.mark_ended(session, run.id, ended.attempt, now=now)
