"""Attempts: which worker executes a run, on which host, and when its last heartbeat was."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from core.domain.kills.termination import ProcessIdentity

HEARTBEAT_INTERVAL = timedelta(seconds=5)
# A worker without a heartbeat for this long is suspected.  It is lost if the next check finds no
# heartbeat either.
STALLED_AFTER = timedelta(seconds=45)


def node_of(worker_id: str) -> str:
    """Return a worker's node: the part of its id that does not change when it restarts."""
    return worker_id.rpartition(":")[0] or worker_id


def disk_id_of_node(node: str) -> str:
    """The disk id, which all nodes of one home share: the name without the node's number."""
    return node.rpartition("-")[0] or node


def build_host_id(machine: str, *, boot: str, namespace: int | None = None) -> str:
    """Build the id of a host: the scope in which a pid identifies one process.

    Args:
        machine: The machine's name, which need not be unique.
        boot: The kernel's boot id, which changes with each boot.
        namespace: The id of the PID namespace; `None` on systems without them.
    """
    return f"{machine}#{boot}" if namespace is None else f"{machine}#{boot}.{namespace}"


def machine_name(host: str) -> str:
    """Return the machine's name in a host id."""
    return host.rpartition("#")[0] or host


def can_see_processes(host: str, other: str) -> bool:
    """Return whether a scan of `host` may show processes of `other`.

    It does if both are on the same kernel: a PID namespace shows the processes of nested
    namespaces, with other pids.
    """
    kernel, another = (
        name.rpartition("#")[2].partition(".")[0] if "#" in name else "" for name in (host, other)
    )
    return host == other or (kernel != "" and kernel == another)


@dataclass(frozen=True, kw_only=True)
class AttemptRecord:
    """One row of `workflow_processes`: one attempt of a run on one worker.

    Attributes:
        run_id: The id of the run's row (not `run_…`).
        worker_id: The worker's id, unique in the fleet; a restarted worker gets a new one.
        host: The host of its processes, as of `build_host_id`.
        agent: The agent program's process, once it has started.
        ended_at: When the worker finished the attempt, or was declared lost.
        gone_at: When a scan of its machine proved that none of its processes is left.
    """

    id: UUID
    run_id: UUID
    attempt: int
    worker_id: str
    host: str
    started_at: datetime
    heartbeat_at: datetime
    agent: ProcessIdentity | None = None
    ended_at: datetime | None = None
    gone_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class LiveAttempt:
    """An attempt in progress, by the values that its processes and files carry."""

    run_id: str
    attempt: int
    host: str
