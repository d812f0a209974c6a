"""Construction of the worker that runs in this process.

The import loads the agent and all its libraries, so a process that only serves Slack avoids it.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import urlsplit

from bot.assembly.backend import Backend, utc_now
from core.domain.fleet.workers import WorkerRecord, WorkerState
from core.queue.jobs import RUNS_QUEUE, node_queue
from core.queue.worker import Worker
from core.runner.execution.executor import Executor
from core.runner.execution.ledger import Ledger
from core.runner.execution.work import AgentEnvironment
from core.runner.recovery.clean_up import Cleaner
from core.runner.recovery.interrupted_kills import InterruptedKills
from core.runner.worker.identity import WorkerIdentity
from core.runner.worker.inbox import Inbox
from core.runner.worker.lease import FENCE_AFTER, Lease
from core.runner.worker.worker_runtime import WorkerRuntime
from core.store.sessions.transcripts import Transcripts
from core.workspace.workspaces import Workspaces

# Enough to clone a large repository over a slow connection.
GIT_TIMEOUT = timedelta(minutes=10)


def new_worker_runtime(
    backend: Backend, identity: WorkerIdentity, *, fence_after: timedelta = FENCE_AFTER
) -> WorkerRuntime:
    """Construct the worker of this process.

    Args:
        backend: Database, settings, services and workflow definitions.
        identity: The claimed name of this worker.
        fence_after: How long its agents may work after the last successful heartbeat.
    """
    home = backend.settings.node.home
    ledger = Ledger(backend.context, identity.worker_id, identity.host)
    lease = Lease(fence_after=fence_after)
    installation_id = installation_id_of(backend.database.dsn)
    workspaces = Workspaces(
        home,
        git_timeout=GIT_TIMEOUT,
        scratch=identity.scratch,
        policy=backend.settings.config.repositories.policy,
    )
    kills = InterruptedKills(ledger, workspaces, Cleaner(home))
    executor = Executor(
        ledger=ledger,
        kills=kills,
        catalog=backend.catalog,
        workspaces=workspaces,
        transcripts=Transcripts(backend.database.sessions),
        lease=lease,
        agents=AgentEnvironment(
            home=home,
            credentials=backend.settings.agent_environment,
            installation_id=installation_id,
            critical=backend.settings.config.critical.rules,
        ),
    )
    worker = Worker(
        backend.database.dsn,
        name=identity.worker_id,
        slots=backend.settings.slots,
        handler=executor,
        queues=(RUNS_QUEUE, node_queue(identity.node)),
    )
    now = utc_now()
    record = WorkerRecord(
        worker_id=identity.worker_id,
        node=identity.node,
        host=identity.host,
        slots=backend.settings.slots,
        state=WorkerState.UP,
        started_at=now,
        heartbeat_at=now,
        program_version=program_version(),
    )
    return WorkerRuntime(
        identity=identity,
        record=record,
        ledger=ledger,
        kills=kills,
        lease=lease,
        inbox=Inbox(backend.context, identity.worker_id, lease),
        worker=worker,
        installation_id=installation_id,
    )


def program_version() -> str:
    """The installed version of Signalbox; empty if the package is not installed."""
    try:
        return version("signalbox")
    except PackageNotFoundError:
        return ""


def installation_id_of(dsn: str) -> str:
    """An id of this installation, which marks its processes on a shared machine.

    A hash of the database's address without user and password: all workers of one database
    compute the same id.
    """
    url = urlsplit(dsn)
    address = f"{url.hostname}:{url.port}{url.path}?{url.query}"
    return hashlib.sha256(address.encode()).hexdigest()[:12]
