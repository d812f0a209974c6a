"""Admission: which pending runs are handed to workers, so that the fleet's caps hold.

A run that waits is a row without a job.  Whoever adds, ends, requeues or re-caps runs calls
`admit` as the last act of the same transaction: the check and what changes its outcome are
one.  A slow poll (`AdmissionService.keep`) calls it too, so that a lost call heals.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.errors import BadRequest
from core.domain.fleet.admission import Contender, decide, load_of
from core.domain.fleet.attempt import STALLED_AFTER
from core.domain.fleet.workers import Caps, Hold, QueueReason
from core.domain.runs.run import Run, RunStatus
from core.services.dispatch import hand_over
from core.services.work import Work
from core.store.fleet import caps as cap_rows
from core.store.fleet import pending
from core.workspace.source import parse_source

log = logging.getLogger(__name__)

# Slack takes 44 updates of cards a minute, and those of live runs matter more.  So of the
# line only its head is told of each move at once, the next ones less often; the cards behind
# them follow when nothing else wants to be drawn (the redraw loop's idle refresh).
_HEAD = 3
_TOLD = 20
_TOLD_AGAIN_AFTER = timedelta(seconds=30)
_NO_CAPS = Caps()
# When a card was last redrawn for its place, the place, what kept the run then, and whether
# there was a worker.
Told = tuple[datetime, int, QueueReason | None, bool]


async def admit(session: AsyncSession, *, now: datetime) -> list[Run]:
    """Hand to workers the pending runs that fit the caps, and note what keeps the others.

    To be called last in a transaction: with caps it holds a lock of the whole fleet until
    the commit.  Without caps it takes none, and hands over whatever waits.

    Returns:
        The runs that were handed over, as they now stand.
    """
    if await cap_rows.read(session) == _NO_CAPS:
        return await _hand_over(session, None, now)
    await pending.lock(session)
    # Read again: whoever had the lock before may have changed the caps.
    caps = await cap_rows.read(session)
    everyone = await _contenders(session)
    decision = decide(everyone, caps)
    changed = {
        run.run_id: decision.held[run.run_id]
        for run in everyone
        if run.run_id in decision.held and run.reason is not decision.held[run.run_id]
    }
    if changed:
        await pending.hold(session, changed)
    return await _hand_over(session, decision.admitted, now) if decision.admitted else []


async def _hand_over(
    session: AsyncSession, run_ids: Sequence[str] | None, now: datetime
) -> list[Run]:
    return [await hand_over(session, run, now=now) for run in await pending.take(session, run_ids)]


async def _contenders(session: AsyncSession) -> list[Contender]:
    return await pending.contenders(session, repository_key=repository_key)


@lru_cache(maxsize=1024)
def repository_key(named: str | None) -> str | None:
    """One name for a repository, over https, over ssh and however it is spelled."""
    if named is None:
        return None
    try:
        shown = parse_source(named).shown
    except BadRequest:
        return named
    scheme, has_scheme, rest = shown.partition("://")
    if not has_scheme and shown.startswith("/"):
        return shown.rstrip("/").removesuffix("/.git")
    if has_scheme and scheme == "file":
        return rest.rstrip("/").removesuffix("/.git")
    # `git@host:path` or `user@host/path`
    address = rest if has_scheme else shown.replace(":", "/", 1)
    host, _, path = address.rpartition("@")[2].partition("/")
    return f"{host.lower()}/{path.strip('/').removesuffix('.git')}"


async def holds(session: AsyncSession, waiting: Sequence[Run]) -> Mapping[str, Hold]:
    """What keeps those of the runs that a cap keeps, with the figures of now."""
    kept = [run for run in waiting if run.status is RunStatus.PENDING and run.queue_reason]
    if not kept:
        return {}
    caps = await cap_rows.read(session)
    everyone = {run.run_id: run for run in await _contenders(session)}
    load = load_of(everyone.values())
    found: dict[str, Hold] = {}
    for run in kept:
        contender, reason = everyone.get(run.run_id), run.queue_reason
        cap = None if reason is None else caps.of(reason)
        if contender is not None and reason is not None and cap is not None:
            found[run.run_id] = Hold(
                reason=reason, live=load.counted_for(reason, contender), cap=cap
            )
    return found


async def is_manned(session: AsyncSession) -> bool:
    """Whether some worker takes jobs."""
    return await pending.has_worker(session, silent_for=STALLED_AFTER)


@dataclass
class AdmissionService:
    """The caps, and the line's upkeep.

    Attributes:
        told: What was last shown of the line's head: when, which place, what keeps it.
    """

    work: Work
    told: dict[str, Told] = field(default_factory=dict)

    async def cap(self, caps: Caps) -> None:
        """Let these be the caps of the whole fleet, and admit what fits them.

        Runs that are live keep on, also where there are more of them than a new cap allows.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        now = self.work.clock()
        async with self.work.transaction() as session:
            await pending.lock(session)
            before = await cap_rows.read(session)
            if before != caps:
                await cap_rows.write(session, caps, now=now)
                log.info("the fleet's caps change from %s to %s", before.words, caps.words)
            await admit(session, now=now)

    async def keep(self) -> list[Run]:
        """Admit what a lost call left waiting, and have the cards at the line's head redrawn.

        Returns:
            The runs that were handed over.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        now = self.work.clock()
        async with self.work.transaction() as session:
            if not await pending.places(session, first=1):
                self.told.clear()
                return []
            admitted = await admit(session, now=now)
            head = await pending.places(session, first=_TOLD)
            moved = self._moved(head, now, manned=await is_manned(session))
            if moved:
                await pending.announce(session, list(moved))
        self.told |= moved
        return admitted

    def _moved(
        self, head: Mapping[str, tuple[int, QueueReason | None]], now: datetime, *, manned: bool
    ) -> dict[str, Told]:
        """Those whose card is to be redrawn for a new place or another reason."""
        self.told = {run_id: told for run_id, told in self.told.items() if run_id in head}
        return {
            run_id: (now, place, reason, manned)
            for run_id, (place, reason) in head.items()
            if self._is_news(self.told.get(run_id), (now, place, reason, manned))
        }

    @staticmethod
    def _is_news(told: Told | None, present: Told) -> bool:
        if told is None:
            return True
        now, place, *_ = present
        is_due = place <= _HEAD or now - told[0] >= _TOLD_AGAIN_AFTER
        return told[1:] != present[1:] and is_due
