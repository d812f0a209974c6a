"""Admission: which pending runs get a job, so that the fleet's caps hold.

A run that waits for admission is a row without a job.  Code that adds, ends or requeues runs, or
changes caps, calls `admit` last in the same transaction, so that the check and the change are
committed together.  A periodic job (`AdmissionService.admit_waiting`) calls it too, in case that
a call was lost.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.errors import BadRequest
from core.domain.fleet.admission import AdmissionRun, current_load, decide
from core.domain.fleet.attempt import STALLED_AFTER
from core.domain.fleet.workers import Caps, Hold, QueueReason
from core.domain.runs.run import Run, RunStatus
from core.services.context import ServiceContext
from core.services.fleet.dispatch import dispatch_run
from core.store.fleet import caps as cap_rows
from core.store.fleet import pending
from core.workspace.source import parse_source

log = logging.getLogger(__name__)

# Slack allows 44 updates of messages a minute, and those of running runs matter more.  So after a
# move only the first runs of the queue are redrawn at once, and the next ones less often.  The
# rest follow when nothing else has to be drawn (the idle refresh of the redraw loop).
_ALWAYS_ANNOUNCED = 3
_MAX_ANNOUNCED = 20
_ANNOUNCE_AGAIN_AFTER = timedelta(seconds=30)
_NO_CAPS = Caps()
# What was last announced about a pending run: the time, its position, the cap that held it back,
# and whether a worker was available.
AnnouncedPosition = tuple[datetime, int, QueueReason | None, bool]


async def admit(session: AsyncSession, *, now: datetime) -> list[Run]:
    """Give jobs to the pending runs that fit the caps, and record what holds back the others.

    Call it last in a transaction: with caps it holds a lock of the whole fleet until the commit.
    Without caps it takes no lock, and admits all waiting runs.

    Returns:
        The admitted runs.
    """
    if await cap_rows.read(session) == _NO_CAPS:
        return await _dispatch_runs(session, None, now)
    await pending.lock_admission(session)
    # Read again: the previous holder of the lock may have changed the caps.
    caps = await cap_rows.read(session)
    all_runs = await _admission_runs(session, now)
    decision = decide(all_runs, caps)
    changed = {
        run.run_id: decision.held[run.run_id]
        for run in all_runs
        if run.run_id in decision.held and run.reason is not decision.held[run.run_id]
    }
    if changed:
        await pending.set_queue_reasons(session, changed)
    return await _dispatch_runs(session, decision.admitted, now) if decision.admitted else []


async def _dispatch_runs(
    session: AsyncSession, run_ids: Sequence[str] | None, now: datetime
) -> list[Run]:
    return [
        await dispatch_run(session, run, now=now)
        for run in await pending.lock_unadmitted(session, run_ids, now=now)
    ]


async def _admission_runs(
    session: AsyncSession, due_at: datetime | None = None
) -> list[AdmissionRun]:
    return await pending.admission_runs(session, repository_key=repository_key, due_at=due_at)


@lru_cache(maxsize=1024)
def repository_key(named: str | None) -> str | None:
    """The same key for all spellings of a repository's address, over https, ssh or as a path."""
    if named is None:
        return None
    try:
        display_url = parse_source(named).display_url
    except BadRequest:
        return named
    scheme, has_scheme, rest = display_url.partition("://")
    if not has_scheme and display_url.startswith("/"):
        return display_url.rstrip("/").removesuffix("/.git")
    if has_scheme and scheme == "file":
        return rest.rstrip("/").removesuffix("/.git")
    # `git@host:path` or `user@host/path`
    address = rest if has_scheme else display_url.replace(":", "/", 1)
    host, _, path = address.rpartition("@")[2].partition("/")
    return f"{host.lower()}/{path.strip('/').removesuffix('.git')}"


async def current_holds(session: AsyncSession, waiting: Sequence[Run]) -> Mapping[str, Hold]:
    """For each run that a cap holds back: the cap, and how much of it is in use now."""
    held_runs = [run for run in waiting if run.status is RunStatus.PENDING and run.queue_reason]
    if not held_runs:
        return {}
    caps = await cap_rows.read(session)
    all_runs = {run.run_id: run for run in await _admission_runs(session)}
    load = current_load(all_runs.values())
    found: dict[str, Hold] = {}
    for run in held_runs:
        admission_run, reason = all_runs.get(run.run_id), run.queue_reason
        cap = None if reason is None else caps.for_reason(reason)
        if admission_run is not None and reason is not None and cap is not None:
            found[run.run_id] = Hold(
                reason=reason, in_use=load.count_for(reason, admission_run), cap=cap
            )
    return found


async def has_available_worker(session: AsyncSession) -> bool:
    """Whether at least one worker takes jobs."""
    return await pending.has_available_worker(session, max_silence=STALLED_AFTER)


@dataclass
class AdmissionService:
    """Changes the caps, and admits and announces waiting runs periodically.

    Attributes:
        announced: What was last announced about the first runs of the queue, by run id.
    """

    context: ServiceContext
    announced: dict[str, AnnouncedPosition] = field(default_factory=dict)

    async def set_caps(self, caps: Caps) -> None:
        """Set the caps of the whole fleet, and admit the runs that fit them.

        Running runs continue, even if there are more of them than a new cap allows.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        now = self.context.clock()
        async with self.context.transaction() as session:
            await pending.lock_admission(session)
            before = await cap_rows.read(session)
            if before != caps:
                await cap_rows.write(session, caps, now=now)
                log.info(
                    "the fleet's caps change from %s to %s",
                    before.as_text,
                    caps.as_text,
                    extra={
                        "event": "fleet_caps.changed",
                        "before": before.as_text,
                        "after": caps.as_text,
                    },
                )
            await admit(session, now=now)

    async def admit_waiting(self) -> list[Run]:
        """Admit runs that a lost call left waiting, and redraw the first runs of the queue.

        Returns:
            The admitted runs.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        now = self.context.clock()
        async with self.context.transaction() as session:
            if not await pending.positions(session, limit=1):
                self.announced.clear()
                return []
            admitted = await admit(session, now=now)
            head = await pending.positions(session, limit=_MAX_ANNOUNCED)
            to_announce = self._to_announce(
                head, now, is_worker_available=await has_available_worker(session)
            )
            if to_announce:
                await pending.bump_versions(session, list(to_announce))
        self.announced |= to_announce
        return admitted

    def _to_announce(
        self,
        head: Mapping[str, tuple[int, QueueReason | None]],
        now: datetime,
        *,
        is_worker_available: bool,
    ) -> dict[str, AnnouncedPosition]:
        """The runs to redraw, because their position or what holds them back has changed."""
        self.announced = {
            run_id: announced for run_id, announced in self.announced.items() if run_id in head
        }
        return {
            run_id: (now, position, reason, is_worker_available)
            for run_id, (position, reason) in head.items()
            if self._is_announcement_due(
                self.announced.get(run_id), (now, position, reason, is_worker_available)
            )
        }

    @staticmethod
    def _is_announcement_due(
        announced: AnnouncedPosition | None, present: AnnouncedPosition
    ) -> bool:
        if announced is None:
            return True
        now, position, *_ = present
        is_due = position <= _ALWAYS_ANNOUNCED or now - announced[0] >= _ANNOUNCE_AGAIN_AFTER
        return announced[1:] != present[1:] and is_due
