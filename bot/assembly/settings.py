"""Settings: read once at the start, from the environment and signalbox.toml."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from bot.assembly.own_secrets import secrets_in_address, secrets_in_environment, secrets_in_value
from core.agent.critical import DEFAULT_PATTERNS, MAX_WAIT, CriticalRules, compile_patterns
from core.agent.egress.upstream import ParentProxies
from core.domain.actor import Role
from core.domain.errors import OpsError
from core.domain.fleet.workers import Caps
from core.domain.isolation import IsolationMode
from core.domain.kills.termination import DRAIN_LIMIT
from core.domain.network import NetworkPolicy
from core.domain.repositories import HostRule, OwnerRule, RepositoryPolicy
from core.domain.workflow import OnWorkerLost

DEFAULT_API_URL = "https://slack.com/api/"
DEFAULT_PORT = 8765
DEFAULT_SLOTS = 4
# An agent takes about 200 MB of memory and half a core while it starts.
MAX_SLOTS = 256
# Within the 15 s that a shutdown takes by default.
DEFAULT_DRAIN = timedelta(seconds=3)
MAX_DRAIN = timedelta(days=1)
# A Postgres that recovers after a crash of its machine takes seconds, rarely more.
DEFAULT_DATABASE_WAIT = timedelta(minutes=1)
MAX_DATABASE_WAIT = timedelta(hours=1)


class BadSetting(OpsError):
    """A wrong setting, which prevents the start: one line that names it and how to fix it."""

    code = "bad_setting"

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}", user_message=f"{name}: {problem}")
        self.name = name


class _EnvSettings(BaseSettings):
    model_config = SettingsConfigDict(
        frozen=True, env_ignore_empty=True, extra="ignore", populate_by_name=True
    )


class DatabaseSettings(_EnvSettings):
    """The database.  Without `DATABASE_URL` an embedded Postgres is started.

    Attributes:
        wait_seconds: How long a start waits for a database that does not answer; 0 does not wait.
    """

    url: SecretStr | None = Field(default=None, alias="DATABASE_URL")
    wait_seconds: float = Field(
        default=DEFAULT_DATABASE_WAIT.total_seconds(),
        ge=0,
        le=MAX_DATABASE_WAIT.total_seconds(),
        alias="SIGNALBOX_DATABASE_WAIT",
    )

    @field_validator("url")
    @classmethod
    def _is_postgres(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(
            ("postgres://", "postgresql://", "postgresql+asyncpg://")
        ):
            raise ValueError("must be a Postgres URL like postgresql://user@host:5432/name")
        return value


class SlackSettings(_EnvSettings):
    """Slack's address and the app's credentials."""

    bot_token: SecretStr | None = Field(default=None, alias="SLACK_BOT_TOKEN")
    app_token: SecretStr | None = Field(default=None, alias="SLACK_APP_TOKEN")
    signing_secret: SecretStr | None = Field(default=None, alias="SLACK_SIGNING_SECRET")
    # Needed only if Slack does not say which app the bot token is for.
    app_id: str | None = Field(default=None, alias="SLACK_APP_ID")
    api_url: str = Field(default=DEFAULT_API_URL, alias="SLACK_API_URL")
    # Not used here; read only to warn about them.
    https_proxy: SecretStr | None = Field(default=None, alias="HTTPS_PROXY")
    http_proxy: SecretStr | None = Field(default=None, alias="HTTP_PROXY")
    client_id: SecretStr | None = Field(default=None, alias="SLACK_CLIENT_ID")
    client_secret: SecretStr | None = Field(default=None, alias="SLACK_CLIENT_SECRET")

    @property
    def variable_names(self) -> frozenset[str]:
        """Names of variables that are set although Signalbox does not use them."""
        found = {
            "HTTPS_PROXY": self.https_proxy,
            "HTTP_PROXY": self.http_proxy,
            "SLACK_CLIENT_ID": self.client_id,
            "SLACK_CLIENT_SECRET": self.client_secret,
        }
        return frozenset(name for name, value in found.items() if value is not None)

    @field_validator("bot_token")
    @classmethod
    def _is_bot_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith("xoxb-"):
            raise ValueError("must be the bot token, which begins with xoxb-")
        return value

    @field_validator("app_token")
    @classmethod
    def _is_app_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith("xapp-"):
            raise ValueError("must be the app-level token, which begins with xapp-")
        return value

    @field_validator("api_url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        if urlsplit(value).scheme not in ("http", "https"):
            raise ValueError("must be an http(s) URL like https://slack.com/api/")
        return value if value.endswith("/") else value + "/"


class AgentSettings(_EnvSettings):
    """What the agent needs to reach its model; passed on, never stored."""

    api_key: SecretStr | None = Field(default=None, alias="ANTHROPIC_API_KEY")
    base_url: str | None = Field(default=None, alias="ANTHROPIC_BASE_URL")
    oauth_token: SecretStr | None = Field(default=None, alias="CLAUDE_CODE_OAUTH_TOKEN")
    # Where agents find their programs, and the home that they must not see.
    search_path: str = Field(default=os.defpath, alias="PATH")
    user_home: Path = Field(default=Path("/nonexistent"), alias="HOME")

    @property
    def credentials(self) -> Mapping[str, str]:
        """Environment variables for the agent."""
        found = {
            "ANTHROPIC_API_KEY": self.api_key.get_secret_value() if self.api_key else None,
            "ANTHROPIC_BASE_URL": self.base_url,
            "CLAUDE_CODE_OAUTH_TOKEN": self.oauth_token.get_secret_value()
            if self.oauth_token
            else None,
        }
        return {name: value for name, value in found.items() if value}


class ProxySettings(_EnvSettings):
    """The proxies through which this machine reaches the internet; names in either case."""

    https: SecretStr | None = Field(default=None, alias="HTTPS_PROXY")
    http: SecretStr | None = Field(default=None, alias="HTTP_PROXY")
    exceptions: str | None = Field(default=None, alias="NO_PROXY")

    @property
    def parents(self) -> ParentProxies:
        """The proxies to which an agent's proxy passes requests on.

        Raises:
            BadSetting: If an address is none of an HTTP proxy.  Read it only for agents that need
                it: git and curl also accept addresses that this refuses.
        """
        try:
            return ParentProxies.parse(
                https=self.https.get_secret_value() if self.https else None,
                http=self.http.get_secret_value() if self.http else None,
                exceptions=self.exceptions,
            )
        except ValueError as error:
            raise BadSetting("HTTPS_PROXY or HTTP_PROXY", str(error)) from None


class NodeSettings(_EnvSettings):
    """This process on this machine: directories, web server, log."""

    home: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("signalbox", appauthor=False)),
        alias="SIGNALBOX_HOME",
    )
    host: str = Field(default="127.0.0.1", alias="SIGNALBOX_HOST")
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535, alias="SIGNALBOX_PORT")
    public_url: str | None = Field(default=None, alias="SIGNALBOX_PUBLIC_URL")
    config: Path | None = Field(default=None, alias="SIGNALBOX_CONFIG")
    workflows: Path | None = Field(default=None, alias="SIGNALBOX_WORKFLOWS")
    worker_slots: int | None = Field(
        default=None, ge=1, le=MAX_SLOTS, alias="SIGNALBOX_WORKER_SLOTS"
    )
    # "json", "text", a level, or both: "json,debug".  Without a level each command has its own.
    log: Annotated[tuple[str, ...], NoDecode] = Field(default=(), alias="SIGNALBOX_LOG")

    @field_validator("home", "config", "workflows")
    @classmethod
    def _expanded(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value is not None else None

    @field_validator("log", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        words = tuple(word.strip().lower() for word in value.split(",") if word.strip())
        known = {"text", "json", "debug", "info", "warning", "error"}
        for word in words:
            if word not in known:
                raise ValueError(f"{word!r} is none of {', '.join(sorted(known))}")
        return words


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChannelsTable(_Table):
    """`[channels]`: where the bot works; without `allow` in every channel it is a member of."""

    allow: frozenset[str] | None = None


class RolesTable(_Table):
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


class WorkerTable(_Table):
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


class AgentTable(_Table):
    """`[agent]`: what holds for every agent.

    Attributes:
        api_retries: How often a failed model call is retried; the agent program's default is 10.
        isolation: Whether each attempt runs in namespaces of its own.
        share: What isolated agents may read of the worker's user, such as `~/.ssh`.
        network: What an agent may reach beside its model; a workflow may only narrow it.
    """

    api_retries: int | None = Field(default=None, ge=0, le=100)
    isolation: IsolationMode = IsolationMode.AUTO
    share: tuple[Path, ...] = ()
    network: NetworkPolicy = NetworkPolicy()

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


class CriticalTable(_Table):
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


class LimitsTable(_Table):
    """`[limits]`: the most live runs at a time; a limit that is left out does not apply."""

    live: int | None = Field(default=None, ge=1)
    per_repository: int | None = Field(default=None, ge=1)
    per_person: int | None = Field(default=None, ge=1)

    @property
    def caps(self) -> Caps:
        """The limits as caps of the fleet."""
        return Caps(fleet=self.live, repository=self.per_repository, person=self.per_person)


class RepositoriesTable(_Table):
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


class Config(_Table):
    """signalbox.toml.

    Attributes:
        limits: Of the whole fleet; a process without this table leaves the stored limits
            unchanged.
    """

    roles: RolesTable | None = None
    channels: ChannelsTable = ChannelsTable()
    worker: WorkerTable = WorkerTable()
    limits: LimitsTable | None = None
    agent: AgentTable = AgentTable()
    critical: CriticalTable = CriticalTable()
    repositories: RepositoriesTable = RepositoriesTable()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of a process.

    Attributes:
        inherited_secrets: Of variables that are not Signalbox's, for example `GITHUB_TOKEN`.
    """

    database: DatabaseSettings
    slack: SlackSettings
    agent: AgentSettings
    proxy: ProxySettings
    node: NodeSettings
    config: Config
    inherited_secrets: tuple[SecretStr, ...] = ()

    @property
    def agent_environment(self) -> Mapping[str, str]:
        """Environment variables for every agent of this process."""
        retries = self.config.agent.api_retries
        limits = {} if retries is None else {"CLAUDE_CODE_MAX_RETRIES": str(retries)}
        return {**self.agent.credentials, **limits}

    @property
    def secrets(self) -> tuple[SecretStr, ...]:
        """Every secret of this process, which must appear in no log line and no event.

        The address of a database, a proxy or a model counts if it holds a password, and so does
        the password alone.
        """
        values = [
            *secrets_in_address(self.agent.base_url or ""),
            *secrets_in_address(self.slack.api_url),
            *(value.get_secret_value() for value in self.inherited_secrets),
        ]
        for group in (self.database, self.slack, self.agent):
            for _, value in group:
                if isinstance(value, SecretStr):
                    values += secrets_in_value(value.get_secret_value())
        return tuple(SecretStr(value) for value in dict.fromkeys(values))

    @property
    def slots(self) -> int:
        """How many runs to execute at a time; the environment wins over the file."""
        return self.node.worker_slots or self.config.worker.slots


# What the settings take over as secrets, or warn about.  A proxy's address stays, although it can
# contain a password: git and agents need it too.
_SECRET_VARIABLES = frozenset(
    {
        "DATABASE_URL",
        "SLACK_BOT_TOKEN",
        "SLACK_APP_TOKEN",
        "SLACK_SIGNING_SECRET",
        "SLACK_CLIENT_ID",
        "SLACK_CLIENT_SECRET",
        "ANTHROPIC_API_KEY",
        "CLAUDE_CODE_OAUTH_TOKEN",
    }
)


def remove_secrets_from_environment() -> None:
    """Remove the secrets of `load_settings` from this process's environment.

    Child processes inherit the environment: git, ssh, and what starts an agent.  Each gets what
    it needs explicitly; a settings class that is read later does not find the secrets any more.
    """
    # Settings are found in any case.
    for name in [name for name in os.environ if name.upper() in _SECRET_VARIABLES]:
        del os.environ[name]


def load_settings(**overrides: Any) -> Settings:
    """Read all settings.

    Args:
        overrides: Values by the name of their variable, which win over the environment.

    Raises:
        BadSetting: For the first wrong setting.
    """
    try:
        node = NodeSettings(**_overrides_for(NodeSettings, overrides))
        return Settings(
            database=DatabaseSettings(**_overrides_for(DatabaseSettings, overrides)),
            slack=SlackSettings(**_overrides_for(SlackSettings, overrides)),
            agent=AgentSettings(**_overrides_for(AgentSettings, overrides)),
            proxy=ProxySettings(**_overrides_for(ProxySettings, overrides)),
            node=node,
            config=_read_config(node),
            inherited_secrets=tuple(map(SecretStr, secrets_in_environment(os.environ))),
        )
    except ValidationError as error:
        raise _first_problem(error) from error


def _overrides_for(kind: type[_EnvSettings], overrides: Mapping[str, Any]) -> dict[str, Any]:
    names = {field.alias for field in kind.model_fields.values()}
    return {name: value for name, value in overrides.items() if name in names}


def _read_config(node: NodeSettings) -> Config:
    path = node.config or node.home / "signalbox.toml"
    if node.config is None and not path.exists():
        return Config()
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadSetting(
            "SIGNALBOX_CONFIG", f"{path} cannot be read ({error.strerror}); check the path"
        ) from error
    try:
        return Config(**tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BadSetting(path.name, f"is not valid TOML: {error}") from error
    except ValidationError as error:
        problem = _first_problem(error)
        raise BadSetting(f"{path.name}, {problem.name}", str(problem.args[0])) from error


def _first_problem(error: ValidationError) -> BadSetting:
    found = error.errors(include_url=False, include_input=False)[0]
    name = ".".join(str(part) for part in found["loc"]) or "setting"
    if found["type"] == "extra_forbidden":
        return BadSetting(name, "is not known; remove it or check the spelling")
    return BadSetting(name, found["msg"].removeprefix("Value error, "))
