"""The agent program among the processes of its tree: finding it, and noticing its death."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from datetime import timedelta

from core.agent.process import process_table
from core.agent.process.ladder import end_tree
from core.agent.process.process_tree import ProcessTree, scan_tree
from core.domain.kills.termination import ProcessIdentity

log = logging.getLogger(__name__)

_WATCH_INTERVAL = timedelta(seconds=3)


def find_program(living: tuple[ProcessIdentity, ...]) -> ProcessIdentity | None:
    """Find the agent program itself: the process of the tree whose parent is this process."""
    for identity in living:
        process = process_table.find_process(identity.pid)
        if process is not None and process.parent == os.getpid():
            return identity
    return None


async def watch_program(
    tree: ProcessTree,
    program: ProcessIdentity,
    *,
    is_stream_over: Callable[[], bool],
    interval: timedelta = _WATCH_INTERVAL,
) -> None:
    """Keep the process tree up to date, and end it if the agent program has died.

    A child of the dead program can hold its output open, so that the stream would never end.
    Two scans in a row must miss the program before it counts as dead.  A scan that fails says
    nothing; the next one follows.
    """
    misses = 0
    while True:
        await asyncio.sleep(interval.total_seconds())
        try:
            if misses < 2:
                living = await scan_tree(tree)
                misses = 0 if program.pid in {process.pid for process in living} else misses + 1
            if misses >= 2:
                await _end_rest(tree, program, is_stream_over)
                return
        except Exception:
            # Without the watch a dead program would be noticed only at the time limit.
            log.exception(
                "%s: its processes cannot be watched, the next try follows",
                tree.run_marker,
                extra={
                    "event": "agent.watch_failed",
                    "run_id": tree.run_marker,
                    "attempt": tree.attempt,
                },
            )


async def _end_rest(
    tree: ProcessTree, program: ProcessIdentity, is_stream_over: Callable[[], bool]
) -> None:
    if is_stream_over():
        return
    log.warning(
        "%s: the agent program is gone",
        tree.run_marker,
        extra={
            "event": "agent.died",
            "run_id": tree.run_marker,
            "attempt": tree.attempt,
            "pid": program.pid,
        },
    )
    await end_tree(
        run_marker=tree.run_marker, attempt=tree.attempt, root=program, known=tree, force=True
    )
