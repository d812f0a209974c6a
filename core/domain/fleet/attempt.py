"""What is known of the process that executes a run, on which machine, and when it last lived."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from core.domain.kills.termination import ProcessIdentity

HEARTBEAT_INTERVAL = timedelta(seconds=5)
# A worker silent for this long is suspected, and lost when it is still silent at the next look.
STALLED_AFTER = timedelta(seconds=45)


def node_of(worker_id: str) -> str:
    """A worker's node: its name without what is new with each of its starts."""
    return worker_id.rpartition(":")[0] or worker_id


def build_host_id(machine: str, *, boot: str, namespace: int | None = None) -> str:
    """The name of where processes' numbers mean something.

    Args:
        machine: Its name as people know it, which others may have too.
        boot: What its kernel is called until it boots again.
        namespace: The PID namespace, where there are any.
    """
    return f"{machine}#{boot}" if namespace is None else f"{machine}#{boot}.{namespace}"


def machine_name(host: str) -> str:
    """A host's name as people know it."""
    return host.rpartition("#")[0] or host


def can_see_processes(host: str, other: str) -> bool:
    """Whether who looks at `host`'s processes may see those of `other` among them.

    A PID namespace sees those of the namespaces within it, by other numbers.
    """
    kernel, another = (
        name.rpartition("#")[2].partition(".")[0] if "#" in name else "" for name in (host, other)
    )
    return host == other or (kernel != "" and kernel == another)


@dataclass(frozen=True, kw_only=True)
class AttemptRecord:
    """One row of `workflow_processes`: one attempt of a run on one worker.

    Attributes:
        worker_id: Name of the worker, unique over the fleet and over its restarts.
        host: Where its processes' numbers mean something, as `build_host_id` has it.
        agent: The agent program's process, once it has started.
        ended_at: When the worker had done with it, or was taken for dead.
        gone_at: When a look at its machine proved that no process of it is left.
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
    """An attempt that a worker executes, by the names under which its traces are found."""

    run_id: str
    attempt: int
    host: str
