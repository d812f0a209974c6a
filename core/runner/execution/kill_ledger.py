"""What is written of a kill: each method one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.actor import SYSTEM
from core.domain.fleet.attempt import RunProcess, machine_of, node_of
from core.domain.kills.termination import Phase, Proof, Termination, Waited
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import Run, RunStatus, StopReason
from core.runner.execution.closing import close_attempt
from core.services.admission import admit
from core.services.work import Work, entry
from core.store import audit, events, terminations
from core.store.fleet import attempts
from core.store.runs import runs


@dataclass(frozen=True)
class KillLedger:
    """The rows of kills, as one worker writes them."""

    work: Work
    worker_id: str
    host: str

    @property
    def node(self) -> str:
        """This worker's node."""
        return node_of(self.worker_id)

    def is_here(self, process: RunProcess) -> bool:
        """Whether a look at this host's processes shows all that is left of an attempt.

        That is so where its processes were, and on its node: who holds that has another host
        than its predecessor only if the machine was booted, or the container made, anew.
        """
        return process.host == self.host or node_of(process.worker_id) == self.node

    async def open_termination(self, run: Run) -> Termination | None:
        """The kill under way for this run, if there is one."""
        async with self.work.transaction() as session:
            found = await terminations.latest_of_run(session, run.id)
        return found if found is not None and found.completed_at is None else None

    async def phase(
        self,
        run: Run,
        termination: Termination,
        phase: Phase,
        proof: Proof | None = None,
        *,
        work_saved: Mapping[str, Any] | None = None,
        cleanup: Mapping[str, Any] | None = None,
    ) -> Termination:
        """Record that a kill has come to this phase; the thread shows it."""
        now = self.work.clock()
        told = []
        async with self.work.transaction() as session:
            if phase is Phase.CONFIRMED:
                await self.note_gone(session, run, up_to=run.attempt)
                unseen = {machine_of(host) for host in await attempts.unseen_hosts(session, run.id)}
                if unseen:
                    cleanup = {**(cleanup or {}), "unseen_hosts": sorted(unseen)}
            advanced = await terminations.advance(
                session,
                termination.id,
                phase,
                now=now,
                processes_seen=len(proof.seen) if proof else None,
                survivors=proof.survivors if proof else None,
                work_saved=work_saved,
                cleanup=cleanup,
            )
            await runs.change(session, run.run_id, now=now)
            if phase not in termination.phases:
                # Of one that is entered again the first time is told.
                told.append(EventRecord(kind=EventKind.KILL_PHASE, at=now, data={"phase": phase}))
                if phase is Phase.UNCONFIRMED:
                    data = {"survivors": [one.name for one in advanced.survivors]}
                    told.append(EventRecord(kind=EventKind.KILL_UNCONFIRMED, at=now, data=data))
            await events.append(session, run.id, run.attempt, told)
        return advanced

    async def gone(self, run: Run) -> None:
        """Record that nothing of the run's attempts here is left."""
        async with self.work.transaction() as session:
            await self.note_gone(session, run, up_to=run.attempt)

    async def note_gone(self, session: AsyncSession, run: Run, *, up_to: int) -> None:
        """The same in an open transaction, for the attempts up to one."""
        await attempts.gone(
            session, run.id, host=self.host, node=self.node, up_to=up_to, now=self.work.clock()
        )

    async def waited(
        self, run: Run, termination: Termination | None, waited: Sequence[Waited]
    ) -> None:
        """Record that the end of a run waited for critical sections, and for which."""
        now = self.work.clock()
        told = [asdict(one) for one in waited]
        async with self.work.transaction() as session:
            if termination is not None:
                await terminations.note_waited(session, termination.id, waited, now=now)
            await events.append(
                session,
                run.id,
                run.attempt,
                [EventRecord(kind=EventKind.CRITICAL_WAITED, at=now, data=one) for one in told],
            )
            action = "kill_waited" if termination is not None else "stop_waited"
            await audit.record(session, entry(SYSTEM, action, now, run=run, waited_for=told))

    async def finish_killed(self, run: Run) -> None:
        """End a run that was killed while nobody executed it: its worker died, or it waits."""
        now = self.work.clock()
        async with self.work.transaction() as session:
            present = await runs.get(session, run.run_id)
            if present.status in (RunStatus.PENDING, RunStatus.RUNNING):
                await events.append(
                    session,
                    run.id,
                    present.attempt,
                    [
                        EventRecord(
                            kind=EventKind.RUN_ENDED,
                            at=now,
                            data={"stop_reason": StopReason.KILLED},
                        )
                    ],
                )
                await close_attempt(session, present, now=now)
                await runs.finish(
                    session, run.run_id, attempt=None, stop_reason=StopReason.KILLED, now=now
                )
                await admit(session, now=now)
