"""Construction of the worker that runs in this process.

The import loads the agent and all its libraries, so a process that only serves Slack avoids it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import pwd
from collections.abc import Iterable
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

from bot.assembly.backend import Backend, utc_now
from bot.assembly.config.bad_setting import BadSetting
from bot.assembly.settings import Settings
from core.agent.egress.control import NetworkAccess
from core.agent.egress.resolve import Resolve, resolve_listed
from core.agent.egress.upstream import NO_PARENTS
from core.agent.process.isolation_probe import FoundIsolation, find_isolation
from core.domain.fleet.workers import WorkerRecord, WorkerState
from core.domain.workflow import WorkflowDefinition
from core.queue.jobs import RUNS_QUEUE, node_queue
from core.queue.worker import Worker
from core.runner.caretaking.caretaker import Caretaker
from core.runner.execution.executor import Executor
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.execution.life_watch import USUAL_LOOKS, LookTimes, hear_resumed
from core.runner.execution.work import AgentEnvironment
from core.runner.recovery.clean_up import Cleaner
from core.runner.recovery.interrupted_kills import InterruptedKills
from core.runner.resources.sampler import Sampler
from core.runner.retrying.policies import Policies
from core.runner.worker.identity import WorkerIdentity
from core.runner.worker.inbox import Inbox
from core.runner.worker.lease import FENCE_AFTER, Lease
from core.runner.worker.worker_runtime import WorkerRuntime
from core.store.sessions.transcripts import Transcripts
from core.workspace.cleaning.cleaner import WorkspaceCleaner
from core.workspace.workspaces import Workspaces

log = logging.getLogger(__name__)

# Enough to clone a large repository over a slow connection.
GIT_TIMEOUT = timedelta(minutes=10)
_LOGIN_PARAMETERS = ("user=", "password=", "passfile=")


async def new_worker_runtime(
    backend: Backend,
    identity: WorkerIdentity,
    *,
    fence_after: timedelta = FENCE_AFTER,
    resolve: Resolve = resolve_listed,
    looks: LookTimes = USUAL_LOOKS,
    found: FoundIsolation | None = None,
) -> WorkerRuntime:
    """Construct the worker of this process, after a trial of how it can isolate agents.

    Args:
        backend: Database, settings, services and workflow definitions.
        identity: The claimed name of this worker.
        fence_after: How long its agents may work after the last successful heartbeat.
        resolve: Finds the addresses of the hosts that agents with a limited network may reach.
        looks: When the programs of silent agents are looked at.
        found: How it can isolate agents, if that was tried out already.

    Raises:
        IsolationUnavailable: If the settings require isolation, and it does not work here.
    """
    if found is None:
        found = await asyncio.to_thread(find_agent_isolation, backend.settings)
    _log_isolation(found)
    if warning := proxy_warning(backend.settings):
        log.warning("%s", warning, extra={"event": "proxy_login.withheld"})
    isolation = found.isolation
    home = backend.settings.node.home
    # The folder above those of the agents, each of which is created with its first file.
    (home / "agents").mkdir(mode=0o700, exist_ok=True)
    ledger = Ledger(backend.context, identity.worker_id, identity.host)
    lease = Lease(
        fence_after=fence_after,
        on_resumed=lambda attempt: hear_resumed(attempt, at=backend.context.clock()),
    )
    installation_id = installation_id_of(backend.database.dsn)
    workspaces = Workspaces(
        home,
        git_timeout=GIT_TIMEOUT,
        scratch=identity.scratch,
        confine=isolation.confine if isolation is not None else None,
        policy=backend.settings.config.repositories.policy,
    )
    policy = backend.settings.config.workspaces.policy
    caretaker = Caretaker(ledger, WorkspaceCleaner(workspaces, policy.disposable), policy)
    kills = InterruptedKills(ledger, Cleaner(home))
    executor = Executor(
        ledger=ledger,
        kills=kills,
        catalog=backend.catalog,
        workspaces=workspaces,
        transcripts=Transcripts(backend.database),
        lease=lease,
        agents=AgentEnvironment(
            home=home,
            credentials=backend.settings.agent_environment,
            secrets=tuple(one.get_secret_value() for one in backend.settings.secrets),
            installation_id=installation_id,
            critical=backend.settings.config.critical.rules,
            isolation=found,
            network=network_access(backend.settings, found, backend.catalog.all, resolve),
            shares_proxy_password=backend.settings.config.agent.share_proxy_password,
            retry=backend.settings.config.agent.retry,
        ),
        looks=looks,
        checkpoints=backend.settings.config.checkpoints.policy,
        room=caretaker,
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
        isolation=found.status,
    )
    return WorkerRuntime(
        identity=identity,
        record=record,
        ledger=ledger,
        kills=kills,
        workspaces=workspaces,
        lease=lease,
        inbox=Inbox(backend.context, identity.worker_id, lease),
        worker=worker,
        installation_id=installation_id,
        policy_of=Policies(backend.catalog, backend.settings.config.agent.retry),
        caretaker=caretaker,
        sampler=_new_sampler(backend, identity.worker_id, lease),
    )


def _new_sampler(backend: Backend, worker_id: str, lease: Lease) -> Sampler | None:
    policy = backend.settings.config.resources.policy
    if not policy.is_enabled:
        return None
    return Sampler(
        context=backend.context,
        worker_id=worker_id,
        home=backend.settings.node.home,
        attempts=lambda: lease.attempts,
        policy=policy,
    )


def find_agent_isolation(settings: Settings) -> FoundIsolation:
    """Try out how agents can be isolated on this machine with these settings.  Blocking.

    Raises:
        IsolationUnavailable: If the settings require isolation, and it does not work here.
    """
    agent = settings.config.agent
    return find_isolation(
        agent.isolation,
        home=settings.node.home,
        real_homes=(settings.agent.user_home, Path(pwd.getpwuid(os.geteuid()).pw_dir)),
        search_path=settings.agent.search_path,
        shares=agent.share,
    )


def network_access(
    settings: Settings,
    found: FoundIsolation,
    definitions: Iterable[WorkflowDefinition],
    resolve: Resolve,
) -> NetworkAccess:
    """What agents may reach, by the settings.

    Raises:
        BadSetting: If nothing would keep them to it.
    """
    policy = settings.config.agent.network
    if not policy.is_open and found.isolation is None:
        raise BadSetting(
            "agent.network",
            f"cannot be enforced, since agents are not isolated: {found.status.detail}; mend that, "
            'or set it to "open"',
        )
    is_limited = not policy.is_open or any(one.network for one in definitions)
    return NetworkAccess(
        policy=policy,
        parents=settings.proxy.parents if is_limited else NO_PARENTS,
        resolve=resolve,
    )


def proxy_warning(settings: Settings) -> str | None:
    """What to do if the worker's proxy wants a login that agents do not get."""
    names = settings.withheld_proxy_logins
    if not names:
        return None
    return (
        f"agents do not get the login in {' and '.join(names)}: limit `[agent] network` to hosts, "
        "so that the worker logs in for them, or set `share_proxy_password`"
    )


def _log_isolation(found: FoundIsolation) -> None:
    if found.status.is_active:
        log.info(
            "agents are isolated by %s",
            found.status.detail,
            extra={"event": "isolation.active", "program": found.status.detail},
        )
    else:
        log.warning(
            "agents are NOT isolated: %s. They can read and change what this user can; see "
            "docs/security.md",
            found.status.detail,
            extra={"event": "isolation.missing", "reason": found.status.detail},
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
    parameters = url.query.split("&")
    query = "&".join(part for part in parameters if not part.startswith(_LOGIN_PARAMETERS))
    address = f"{url.hostname}:{url.port}{url.path}?{query}"
    return hashlib.sha256(address.encode()).hexdigest()[:12]
