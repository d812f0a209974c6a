"""Let a run's processes stand still for a while, and go on as if nothing had been."""

from __future__ import annotations

import logging
import signal

from core.agent.process import process_table
from core.agent.process.ladder import ProcessTree, scan_tree
from core.domain.kills.termination import ProcessIdentity

log = logging.getLogger(__name__)

# A tree that forks while it is stopped is met anew at each look.
_MAX_SCANS = 20


async def pause_tree(tree: ProcessTree) -> int:
    """Stop every process of a run where it stands; what it has open stays open.

    Returns:
        How many stand still.
    """
    own_tree = ProcessTree(tree.run_marker, tree.root, tree.attempt)
    own_tree.merge_known(tree)
    signalled: set[tuple[int, int]] = set()
    for _ in range(_MAX_SCANS):
        new = [one for one in await scan_tree(own_tree) if _identity_key(one) not in signalled]
        if not new:
            break
        for one in new:
            signalled.add(_identity_key(one))
            process_table.send_signal(one, signal.SIGSTOP)
    else:
        log.error("%s: its processes multiply faster than they can be paused", tree.run_marker)
    return len(signalled)


async def resume_tree(tree: ProcessTree) -> None:
    """Let the processes of a paused run go on."""
    own_tree = ProcessTree(tree.run_marker, tree.root, tree.attempt)
    own_tree.merge_known(tree)
    for one in await scan_tree(own_tree):
        process_table.send_signal(one, signal.SIGCONT)


def _identity_key(one: ProcessIdentity) -> tuple[int, int]:
    return one.pid, one.started_ticks
