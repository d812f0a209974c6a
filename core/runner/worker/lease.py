"""A worker's lease on its attempts: its heartbeat renews it; without it agents are paused.

See docs/decisions/0004-lease.md.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

from core.agent.process.pause import pause_tree, resume_tree
from core.agent.process.process_tree import ProcessTree
from core.domain.fleet.attempt import STALLED_AFTER
from core.domain.runs.run import Run
from core.runner.execution.attempt import Attempt

log = logging.getLogger(__name__)

# For at least so long an agent is paused before another worker may take over its run.
_MARGIN = timedelta(seconds=15)
# How long agents continue to work while the heartbeat fails.
FENCE_AFTER = STALLED_AFTER - _MARGIN
_CHECK_INTERVAL = timedelta(seconds=1)

# (Row id of the run, number of the attempt).
AttemptKey = tuple[UUID, int]


class Lease:
    """The attempts that this worker executes, and when the database last confirmed them.

    Attributes:
        inbox_check_needed: Set when an attempt begins here, since a message about it may have
            arrived before.
    """

    def __init__(
        self,
        *,
        fence_after: timedelta = FENCE_AFTER,
        check_interval: timedelta = _CHECK_INTERVAL,
        pause: Callable[[ProcessTree], Awaitable[int]] = pause_tree,
        resume: Callable[[ProcessTree], Awaitable[None]] = resume_tree,
        on_resumed: Callable[[Attempt], object] = lambda _attempt: None,
    ) -> None:
        self._fence = fence_after.total_seconds()
        self._check_seconds = check_interval.total_seconds()
        self._pause, self._resume = pause, resume
        self._on_resumed = on_resumed
        self._attempts: dict[AttemptKey, Attempt] = {}
        self._paused: dict[AttemptKey, ProcessTree] = {}
        self._renewed_at = boottime_seconds()
        # Pausing and resuming exclude each other, so that the later decision takes effect last.
        self._pause_lock = asyncio.Lock()
        self.inbox_check_needed = asyncio.Event()

    @property
    def executing(self) -> frozenset[AttemptKey]:
        """The attempts that this worker executes now."""
        return frozenset(self._attempts)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The same with all that is known of them."""
        return tuple(self._attempts.values())

    def holds(self, run: Run) -> bool:
        """Whether this worker executes the present attempt of a run."""
        return (run.id, run.attempt) in self._attempts

    def find(self, run_id: UUID, attempt: int) -> Attempt | None:
        """The attempt with this key, if this worker executes it."""
        return self._attempts.get((run_id, attempt))

    @property
    def paused(self) -> frozenset[AttemptKey]:
        """The attempts whose agents are paused."""
        return frozenset(self._paused)

    @contextmanager
    def holding(self, attempt: Attempt) -> Iterator[None]:
        """Hold an attempt from its beginning to its end."""
        key = attempt.run.id, attempt.run.attempt
        self._attempts[key] = attempt
        self.inbox_check_needed.set()
        try:
            yield
        finally:
            del self._attempts[key]
            self._paused.pop(key, None)

    async def renew(self, own: frozenset[AttemptKey], *, queried_at: float) -> None:
        """Renew the lease: resume paused agents of confirmed attempts, and release the others.

        Args:
            own: The attempts that the database confirmed.
            queried_at: When the query began, in `boottime_seconds`.
        """
        self._renewed_at = max(self._renewed_at, queried_at)
        async with self._pause_lock:
            for key in own & self._paused.keys():
                # It may have ended while another agent was resumed.
                tree = self._paused.get(key)
                if tree is not None and await self._try_to_resume(tree):
                    self._paused.pop(key, None)
                    if key in self._attempts:
                        self._on_resumed(self._attempts[key])
        for key, attempt in list(self._attempts.items()):
            if key not in own and attempt.cause is None:
                # If it was taken over, this makes its next write fail, which stops the agent.
                attempt.has_changes.set()

    async def _try_to_resume(self, tree: ProcessTree) -> bool:
        """Resume an agent; if that fails, the next renewal tries again."""
        fields = {"run_id": tree.run_marker, "attempt": tree.attempt}
        try:
            await self._resume(tree)
        except Exception:
            log.exception(
                "%s: the agent could not be resumed",
                tree.run_marker,
                extra={"event": "agent.resume_failed", **fields},
            )
            return False
        log.warning(
            "%s: its lease is confirmed, the agent continues",
            tree.run_marker,
            extra={"event": "agent.resumed", **fields},
        )
        return True

    async def watch(self) -> None:
        """Pause agents whenever the lease has expired, until cancelled."""
        while True:
            try:
                await self.pause_if_expired()
            except Exception:
                # The next check tries again; without checks agents would work without a lease.
                log.exception("agents could not be paused", extra={"event": "agents.pause_failed"})
            await asyncio.sleep(self._check_seconds)

    async def pause_if_expired(self) -> None:
        """Pause all agents, if the lease has expired."""
        async with self._pause_lock:
            for key, attempt in list(self._attempts.items()):
                silent_for = boottime_seconds() - self._renewed_at
                if silent_for <= self._fence:
                    return
                agent = attempt.opened.agent
                if key not in self._paused and agent is not None and attempt.cause is None:
                    tree = agent.tree
                    count = await self._pause(tree)
                    if key in self._attempts:
                        self._paused[key] = tree
                    log.warning(
                        "%s: no heartbeat for %.0f s, its %s processes are paused",
                        tree.run_marker,
                        silent_for,
                        count,
                        extra={
                            "event": "agent.paused",
                            "run_id": tree.run_marker,
                            "attempt": tree.attempt,
                            "seconds": round(silent_for),
                            "count": count,
                        },
                    )


def boottime_seconds() -> float:
    """A monotonic clock in seconds that also counts while the machine is suspended."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
