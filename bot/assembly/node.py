"""The worker of a process, made of its parts.

Whoever only hears Slack does not import this: with it come the agent and all its libraries.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import urlsplit

from bot.assembly.workplace import Workplace, utc_now
from core.domain.fleet.workers import WorkerRecord, WorkerState
from core.queue.jobs import RUNS, node_queue
from core.queue.worker import Worker
from core.runner.execution.executor import Executor
from core.runner.execution.ledger import Ledger
from core.runner.recovery.clean_up import Clearing
from core.runner.recovery.interrupted_kills import Kills
from core.runner.worker.identity import Identity
from core.runner.worker.lease import FENCE, Lease
from core.runner.worker.node import Node
from core.store.sessions.transcripts import Transcripts
from core.workspace.workspaces import Workspaces

# A clone of a large repository over a slow line; git's own stalls end sooner.
GIT_TIMEOUT = timedelta(minutes=10)


def new_node(workplace: Workplace, identity: Identity, *, fence: timedelta = FENCE) -> Node:
    """A worker of this process.

    Args:
        workplace: Everything below it.
        identity: Who it is.
        fence: How long its agents work without a heartbeat.
    """
    home = workplace.settings.node.home
    ledger = Ledger(workplace.work, identity.worker_id, identity.host)
    lease = Lease(fence=fence)
    site = site_of(workplace.database.dsn)
    workspaces = Workspaces(home, git_timeout=GIT_TIMEOUT, scratch=identity.scratch)
    kills = Kills(ledger, workspaces, Clearing(home))
    executor = Executor(
        ledger=ledger,
        kills=kills,
        catalog=workplace.catalog,
        workspaces=workspaces,
        transcripts=Transcripts(workplace.database.sessions),
        lease=lease,
        home=home,
        credentials=workplace.settings.agent_environment,
        site=site,
        critical=workplace.settings.config.critical.rules,
    )
    worker = Worker(
        workplace.database.dsn,
        name=identity.worker_id,
        slots=workplace.settings.slots,
        handler=executor,
        queues=(RUNS, node_queue(identity.node)),
    )
    now = utc_now()
    record = WorkerRecord(
        worker_id=identity.worker_id,
        node=identity.node,
        host=identity.host,
        slots=workplace.settings.slots,
        state=WorkerState.UP,
        started_at=now,
        heartbeat_at=now,
        program_version=program_version(),
    )
    return Node(
        identity=identity,
        record=record,
        ledger=ledger,
        kills=kills,
        lease=lease,
        worker=worker,
        site=site,
    )


def program_version() -> str:
    """Of Signalbox; empty where it runs without having been installed."""
    try:
        return version("signalbox")
    except PackageNotFoundError:
        return ""


def site_of(dsn: str) -> str:
    """A name for this installation, by which its processes on a machine are told from others'.

    Made of the database's address without its password.
    """
    url = urlsplit(dsn)
    address = f"{url.hostname}:{url.port}{url.path}?{url.query}"
    return hashlib.sha256(address.encode()).hexdigest()[:12]
