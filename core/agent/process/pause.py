"""Let a run's processes stand still for a while, and go on as if nothing had been."""

from __future__ import annotations

import logging
import signal

from core.agent.process import process_table
from core.agent.process.ladder import Tree, look_at
from core.domain.kills.termination import ProcessIdentity

log = logging.getLogger(__name__)

# A tree that forks while it is stopped is met anew at each look.
_MOST_LOOKS = 20


async def pause_tree(tree: Tree) -> int:
    """Stop every process of a run where it stands; what it has open stays open.

    Returns:
        How many stand still.
    """
    ours = Tree(tree.cookie, tree.root, tree.attempt)
    ours.remember(tree)
    told: set[tuple[int, int]] = set()
    for _ in range(_MOST_LOOKS):
        new = [one for one in await look_at(ours) if _key(one) not in told]
        if not new:
            break
        for one in new:
            told.add(_key(one))
            process_table.send_signal(one, signal.SIGSTOP)
    else:
        log.error("%s: its processes multiply faster than they can be paused", tree.cookie)
    return len(told)


async def resume_tree(tree: Tree) -> None:
    """Let the processes of a paused run go on."""
    ours = Tree(tree.cookie, tree.root, tree.attempt)
    ours.remember(tree)
    for one in await look_at(ours):
        process_table.send_signal(one, signal.SIGCONT)


def _key(one: ProcessIdentity) -> tuple[int, int]:
    return one.pid, one.started_ticks
