"""The processes of runs that are over: found on this machine by their marker, and ended."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from core.agent.process import process_table
from core.agent.process.ladder import end_tree
from core.agent.process.process_tree import INSTALLATION_MARKER, RUN_MARKER
from core.domain.kills.termination import Proof


def run_ids_on_machine(*, installation_id: str = "") -> frozenset[str]:
    """Find the runs of this installation that have processes on this machine.  Blocking."""
    own_pids = process_table.own_pids()
    run_ids = set()
    for process in process_table.iter_processes():
        if process.pid not in own_pids:
            markers = process_table.read_environment(process.pid, RUN_MARKER, INSTALLATION_MARKER)
            if markers.get(RUN_MARKER) and markers.get(INSTALLATION_MARKER, "") == installation_id:
                run_ids.add(markers[RUN_MARKER])
    return frozenset(run_ids)


async def sweep_orphans(
    live: Collection[str], *, installation_id: str = "", candidates: Collection[str] | None = None
) -> dict[str, Proof]:
    """End the processes on this machine of runs that are not `live`.

    A run that starts after `live` was read and before this call would be ended, too.  So either
    nothing may start meanwhile (as when a worker starts), or `candidates` has to be the result of
    `run_ids_on_machine` from before `live` was read.

    Args:
        live: Ids of the runs that may have processes here.
        installation_id: The installation whose processes are ended; others are left alone.
        candidates: The only runs to consider; `None` is every run found.

    Returns:
        A proof for each run that had processes, by run id.
    """
    found = await asyncio.to_thread(run_ids_on_machine, installation_id=installation_id)
    orphaned = [run_id for run_id in found if run_id not in live]
    if candidates is not None:
        orphaned = [run_id for run_id in orphaned if run_id in candidates]
    endings = [end_tree(run_marker=run_id, root=None) for run_id in orphaned]
    return dict(zip(orphaned, await asyncio.gather(*endings), strict=True))
