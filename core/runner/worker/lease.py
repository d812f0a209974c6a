"""A worker's lease on its runs: renewed by its heartbeat; without it agents stand still.

See docs/decisions/0004-lease.md.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

from core.agent.process.ladder import Tree
from core.agent.process.pause import pause_tree, resume_tree
from core.domain.fleet.attempt import STALLED_AFTER
from core.domain.runs.run import Run
from core.runner.execution.attempt import Leg

log = logging.getLogger(__name__)

# Before anybody may take a run over its agent stands still for this much longer.
_MARGIN = timedelta(seconds=15)
# How long the heartbeat may fail while agents work on.
FENCE = STALLED_AFTER - _MARGIN
_LOOK_EVERY = timedelta(seconds=1)

# A run and the attempt at it.
Held = tuple[UUID, int]


class Lease:
    """The legs this worker executes, and when the database last said that they are its own."""

    def __init__(self, *, fence: timedelta = FENCE) -> None:
        self._fence = fence.total_seconds()
        self._legs: dict[Held, Leg] = {}
        self._paused: dict[Held, Tree] = {}
        self._renewed_at = awake_seconds()
        # Pausing and going on take turns: who is told both must end up as told last.
        self._turn = asyncio.Lock()

    @property
    def held(self) -> frozenset[Held]:
        """What this worker executes now."""
        return frozenset(self._legs)

    def holds(self, run: Run) -> bool:
        """Whether this worker executes the present attempt of a run."""
        return (run.id, run.attempt) in self._legs

    @property
    def paused(self) -> frozenset[Held]:
        """Those whose agents stand still."""
        return frozenset(self._paused)

    @contextmanager
    def holding(self, leg: Leg) -> Iterator[None]:
        """Hold a leg from its beginning to its end."""
        key = leg.run.id, leg.run.attempt
        self._legs[key] = leg
        try:
            yield
        finally:
            del self._legs[key]
            self._paused.pop(key, None)

    async def renew(self, own: frozenset[Held], *, asked_at: float) -> None:
        """Go on with what is still this worker's own, and let go of what is not.

        Args:
            own: Attempts that the database confirmed.
            asked_at: When it was asked, in `awake_seconds`.
        """
        self._renewed_at = max(self._renewed_at, asked_at)
        async with self._turn:
            for key in own & self._paused.keys():
                # It may have ended while another one was told to go on.
                tree = self._paused.pop(key, None)
                if tree is not None:
                    await resume_tree(tree)
                    log.warning("%s: is still ours, it goes on", tree.cookie)
        for key, leg in list(self._legs.items()):
            if key not in own and leg.cause is None:
                # The next write is refused if it was taken over, and that ends the agent.
                leg.changed.set()

    async def watch(self) -> None:
        """Pause agents while the lease is not renewed, until cancelled."""
        while True:
            try:
                await self.look()
            except Exception:
                # The next look tries again; without any, agents would work on without a lease.
                log.exception("agents could not be paused")
            await asyncio.sleep(_LOOK_EVERY.total_seconds())

    async def look(self) -> None:
        """Pause what works without a lease."""
        async with self._turn:
            for key, leg in list(self._legs.items()):
                silent_for = awake_seconds() - self._renewed_at
                if silent_for <= self._fence:
                    return
                if key not in self._paused and leg.agent is not None and leg.cause is None:
                    tree = leg.agent.tree
                    count = await pause_tree(tree)
                    if key in self._legs:
                        self._paused[key] = tree
                    log.warning(
                        "%s: no heartbeat for %.0f s, its %s processes are paused",
                        tree.cookie,
                        silent_for,
                        count,
                    )


def awake_seconds() -> float:
    """A clock that nobody sets, and that counts while the machine sleeps."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
