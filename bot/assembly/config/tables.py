"""The tables of signalbox.toml."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from pydantic import Field, field_validator, model_validator

from bot.assembly.config.alert_tables import AlertsTable
from bot.assembly.config.checkpoint_table import CheckpointsTable
from bot.assembly.config.resource_table import ResourcesTable
from bot.assembly.config.retention_table import RetentionTable
from bot.assembly.config.table import Table
from bot.assembly.config.workspace_table import WorkspacesTable
from bot.assembly.web.tables import ApiTable, MetricsTable, StatusTable
from core.agent.critical import DEFAULT_PATTERNS, MAX_WAIT, CriticalRules, compile_patterns
from core.domain.actor import Role
from core.domain.failures.retry_parsing import parse_retry
from core.domain.failures.retry_policy import DEFAULT_POLICY, RetryPolicy
from core.domain.fleet.workers import Caps
from core.domain.isolation import IsolationMode
from core.domain.kills.termination import DRAIN_LIMIT
from core.domain.reach.network import NetworkPolicy
from core.domain.reach.repositories import HostRule, OwnerRule, RepositoryPolicy
from core.domain.workflow import OnWorkerLost

DEFAULT_SLOTS = 4
# An agent takes about 200 MB of memory and half a core while it starts.
MAX_SLOTS = 256
# Within the 15 s that a shutdown takes by default.
DEFAULT_DRAIN = timedelta(seconds=3)
MAX_DRAIN = timedelta(days=1)


class ChannelsTable(Table):
    """`[channels]`: where the bot works; without `allow` in every channel it is a member of."""

    allow: frozenset[str] | None = None


class RolesTable(Table):
    """`[roles]`: Slack user ids, user-group ids (`S…`), or `"*"` for every full member."""

    admin: tuple[str, ...] = ()
    operator: tuple[str, ...] = ()
    runner: tuple[str, ...] = ()
    viewer: tuple[str, ...] = ()

    def by_role(self) -> Mapping[Role, tuple[str, ...]]:
        """The members of each role."""
        return {
            Role.ADMIN: self.admin,
            Role.OPERATOR: self.operator,
            Role.RUNNER: self.runner,
            Role.VIEWER: self.viewer,
        }


class WorkerTable(Table):
    """`[worker]`: how many runs one worker executes at a time, and how it stops.

    Attributes:
        drain: How long a stopping worker lets its runs continue before it hands them over; in
            the file, seconds.  A handover takes up to 9 s more.
        on_lost: What happens to a run whose worker died, if its workflow does not say.
    """

    slots: int = Field(default=DEFAULT_SLOTS, ge=1, le=MAX_SLOTS)
    drain: timedelta = DEFAULT_DRAIN
    on_lost: OnWorkerLost = OnWorkerLost.RESUME

    @field_validator("drain", mode="before")
    @classmethod
    def _is_bounded(cls, value: object) -> timedelta:
        if isinstance(value, int | float) and not isinstance(value, bool):
            seconds = float(value)
            if 0 <= seconds <= MAX_DRAIN.total_seconds():
                return timedelta(seconds=seconds)
        raise ValueError("must be seconds from 0 to 86400, like 3")


class AgentTable(Table):
    """`[agent]`: what holds for every agent.

    Attributes:
        api_retries: How often a failed model call is retried; the agent program's default is 10.
        isolation: Whether each attempt runs in namespaces of its own.
        share: What isolated agents may read of the worker's user, such as `~/.ssh`.
        network: What an agent may reach beside its model; a workflow may only narrow it.
        share_proxy_password: Whether agents get the password in `HTTPS_PROXY` and the like.
        retry: Which failures are tried again, where the workflow says nothing.
    """

    api_retries: int | None = Field(default=None, ge=0, le=100)
    isolation: IsolationMode = IsolationMode.AUTO
    share: tuple[Path, ...] = ()
    network: NetworkPolicy = NetworkPolicy()
    share_proxy_password: bool = False
    retry: RetryPolicy = Field(default_factory=lambda: DEFAULT_POLICY)

    @field_validator("share")
    @classmethod
    def _are_absolute(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        expanded = tuple(path.expanduser() for path in value)
        for path in expanded:
            if not path.is_absolute() or ".." in path.parts or path == path.parent:
                raise ValueError(f'{path} must be a path like "~/.ssh" or "/srv/certificates"')
        return expanded

    @field_validator("network", mode="before")
    @classmethod
    def _is_policy(cls, value: object) -> NetworkPolicy:
        return NetworkPolicy.parse(value)

    @field_validator("retry", mode="before")
    @classmethod
    def _is_retry_policy(cls, value: object) -> RetryPolicy:
        return parse_retry(value).over(DEFAULT_POLICY)


class CriticalTable(Table):
    """`[critical]`: tool calls that a kill lets finish, and how long it waits for them."""

    patterns: tuple[str, ...] = DEFAULT_PATTERNS
    wait: timedelta = DRAIN_LIMIT

    @field_validator("patterns")
    @classmethod
    def _are_regular_expressions(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        compile_patterns(value)
        return value

    @field_validator("wait", mode="before")
    @classmethod
    def _is_short(cls, value: object) -> timedelta:
        text = str(value).strip().removesuffix("s")
        try:
            length = timedelta(seconds=float(text))
        except (ValueError, OverflowError):
            length = -MAX_WAIT
        if isinstance(value, bool) or not timedelta(0) <= length <= MAX_WAIT:
            raise ValueError('must be seconds from 0 to 10, like "3s"')
        return length

    @property
    def rules(self) -> CriticalRules:
        """The rules in compiled form."""
        return CriticalRules(patterns=compile_patterns(self.patterns), wait=self.wait)


class LimitsTable(Table):
    """`[limits]`: the most live runs at a time; a limit that is left out does not apply."""

    live: int | None = Field(default=None, ge=1)
    per_repository: int | None = Field(default=None, ge=1)
    per_person: int | None = Field(default=None, ge=1)

    @property
    def caps(self) -> Caps:
        """The limits as caps of the fleet."""
        return Caps(fleet=self.live, repository=self.per_repository, person=self.per_person)


class RepositoriesTable(Table):
    """`[repositories]`: which repositories may be cloned; see `RepositoryPolicy`."""

    hosts: tuple[HostRule, ...] | None = None
    owners: tuple[OwnerRule, ...] = ()
    local: tuple[Path, ...] = ()

    @field_validator("hosts", mode="before")
    @classmethod
    def _are_hosts(cls, value: object) -> tuple[HostRule, ...]:
        return tuple(HostRule.parse(entry) for entry in _entries(value, "git.example.com"))

    @field_validator("owners", mode="before")
    @classmethod
    def _are_owners(cls, value: object) -> tuple[OwnerRule, ...]:
        rules = tuple(OwnerRule.parse(entry) for entry in _entries(value, "github.com/acme"))
        if not rules:
            raise ValueError("is an empty list; leave the key out, or list an owner")
        return rules

    @field_validator("local", mode="before")
    @classmethod
    def _are_folders(cls, value: object) -> tuple[Path, ...]:
        return tuple(_folder(entry) for entry in _entries(value, "/srv/git"))

    @property
    def policy(self) -> RepositoryPolicy:
        """The rules in one value."""
        return RepositoryPolicy(hosts=self.hosts, owners=self.owners, local=self.local)


def _entries(value: object, example: str) -> list[object]:
    match value:
        case list() | tuple():
            return list(value)
        case _:
            raise ValueError(f'must be a list like ["{example}"]')


def _folder(entry: object) -> Path:
    if not isinstance(entry, str) or not entry.startswith(("/", "~/")):
        raise ValueError(f'{entry!r} is no absolute path of a folder; write it like "/srv/git"')
    folder = Path(entry).expanduser()
    if ".." in folder.parts or "*" in entry:
        raise ValueError(f"{entry!r} has `..` or a wildcard; name one folder, without them")
    return folder


class Config(Table):
    """signalbox.toml.

    Attributes:
        limits: Of the whole fleet; a process without this table leaves the stored limits
            unchanged.
    """

    roles: RolesTable | None = None
    channels: ChannelsTable = ChannelsTable()
    api: ApiTable = ApiTable()
    worker: WorkerTable = WorkerTable()
    limits: LimitsTable | None = None
    agent: AgentTable = AgentTable()
    critical: CriticalTable = CriticalTable()
    repositories: RepositoriesTable = RepositoriesTable()
    metrics: MetricsTable = MetricsTable()
    status: StatusTable = StatusTable()
    alerts: AlertsTable = AlertsTable()
    checkpoints: CheckpointsTable = CheckpointsTable()
    retention: RetentionTable = RetentionTable()
    workspaces: WorkspacesTable = WorkspacesTable()
    resources: ResourcesTable = ResourcesTable()

    @model_validator(mode="after")
    def _shows_runs_where_allowed(self) -> Config:
        channel, allowed = self.api.channel, self.channels.allow
        if channel is not None and allowed is not None and channel not in allowed:
            raise ValueError(f"[api] channel {channel} is not in [channels] allow; add it there")
        return self

    @model_validator(mode="after")
    def _tells_alerts_where_allowed(self) -> Config:
        allowed = self.channels.allow
        for one in self.alerts.subscriptions:
            if allowed is not None and one.channel not in allowed:
                raise ValueError(
                    f"[[alerts.subscriptions]] channel {one.channel} is not in [channels] allow; "
                    "add it there"
                )
        return self
