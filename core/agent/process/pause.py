"""Pausing and resuming the processes of a run."""

from __future__ import annotations

import logging
import signal

from core.agent.process import process_table
from core.agent.process.process_tree import ProcessTree, scan_tree
from core.domain.kills.termination import ProcessIdentity

log = logging.getLogger(__name__)

# Each scan may find processes that the tree has forked since the last one.
_MAX_SCANS = 20


async def pause_tree(tree: ProcessTree) -> int:
    """Stop every process of a run with SIGSTOP; open files and connections stay open.

    Returns:
        The number of stopped processes.
    """
    own_tree = ProcessTree(tree.run_marker, tree.root, tree.attempt)
    own_tree.merge_known(tree)
    signalled: set[tuple[int, int]] = set()
    for _ in range(_MAX_SCANS):
        living = await scan_tree(own_tree)
        new = [process for process in living if _identity_key(process) not in signalled]
        if not new:
            break
        for process in new:
            signalled.add(_identity_key(process))
            process_table.send_signal(process, signal.SIGSTOP)
    else:
        log.error(
            "%s: its processes multiply faster than they can be paused",
            tree.run_marker,
            extra={
                "event": "process_tree.pause_failed",
                "run_id": tree.run_marker,
                "attempt": tree.attempt,
            },
        )
    return len(signalled)


async def resume_tree(tree: ProcessTree) -> None:
    """Let the processes of a paused run continue."""
    own_tree = ProcessTree(tree.run_marker, tree.root, tree.attempt)
    own_tree.merge_known(tree)
    for process in await scan_tree(own_tree):
        process_table.send_signal(process, signal.SIGCONT)


def _identity_key(process: ProcessIdentity) -> tuple[int, int]:
    return process.pid, process.started_ticks
