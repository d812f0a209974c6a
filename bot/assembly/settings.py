"""Settings: read once at the start, from the environment and signalbox.toml."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from bot.assembly.config.bad_setting import BadSetting
from bot.assembly.config.problems import first_problem, unknown_variables
from bot.assembly.config.tables import Config
from bot.assembly.environment_settings import (
    AgentSettings,
    DatabaseSettings,
    EnvironmentSettings,
    NodeSettings,
    ProxySettings,
    SlackSettings,
)
from bot.assembly.own_secrets import secrets_in_address, secrets_in_environment, secrets_in_value


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of a process.

    Attributes:
        inherited_secrets: Of variables that are not Signalbox's, for example `GITHUB_TOKEN`.
        unknown_variables: A line for each `SIGNALBOX_…` variable that does not exist.
    """

    database: DatabaseSettings
    slack: SlackSettings
    agent: AgentSettings
    proxy: ProxySettings
    node: NodeSettings
    config: Config
    inherited_secrets: tuple[SecretStr, ...] = ()
    unknown_variables: tuple[str, ...] = ()

    @property
    def agent_environment(self) -> Mapping[str, str]:
        """Environment variables for every agent of this process."""
        retries = self.config.agent.api_retries
        limits = {} if retries is None else {"CLAUDE_CODE_MAX_RETRIES": str(retries)}
        return {**self.agent.credentials, **limits}

    @property
    def withheld_proxy_logins(self) -> tuple[str, ...]:
        """Variables with a proxy's address of which agents do not get the name and password."""
        agent = self.config.agent
        is_needed = agent.network.is_open and not agent.share_proxy_password
        return self.proxy.names_with_login if is_needed else ()

    @property
    def secrets(self) -> tuple[SecretStr, ...]:
        """Every secret of this process, which must appear in no log line and no event.

        The address of a database, a proxy or a model counts if it holds a password, and so does
        the password alone.
        """
        values = [
            *secrets_in_address(self.agent.base_url or ""),
            *secrets_in_address(self.slack.api_url),
            *(part for url in self.proxy.addresses.values() for part in secrets_in_address(url)),
            *(value.get_secret_value() for value in self.inherited_secrets),
        ]
        for group in (self.database, self.slack, self.agent):
            for _, value in group:
                if isinstance(value, SecretStr):
                    values += secrets_in_value(value.get_secret_value())
        if self.config.metrics.token is not None:
            values.append(self.config.metrics.token.get_secret_value())
        return tuple(SecretStr(value) for value in dict.fromkeys(values))

    @property
    def slots(self) -> int:
        """How many runs to execute at a time; the environment wins over the file."""
        return self.node.worker_slots or self.config.worker.slots


# What the settings take over as secrets, or warn about.  A proxy's address stays, although it can
# contain a password: git needs it too, and agents the rest of it.
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
        "SIGNALBOX_TOKEN",
    }
)


_GROUPS: tuple[type[EnvironmentSettings], ...] = (
    DatabaseSettings,
    SlackSettings,
    AgentSettings,
    ProxySettings,
    NodeSettings,
)
# What an agent finds in its environment, and so does a Signalbox that an agent starts.  Written
# out, since the modules that set them load the agent's library.
AGENT_VARIABLES = frozenset(
    {"SIGNALBOX_RUN_ID", "SIGNALBOX_ATTEMPT", "SIGNALBOX_INSTALLATION", "SIGNALBOX_SCRATCH"}
)
# What commands that act through the API read; see `bot.cli.client.settings`.
CLIENT_VARIABLES = frozenset({"SIGNALBOX_URL", "SIGNALBOX_TOKEN"})


def _known_variables() -> tuple[str, ...]:
    """The names of all variables that may be set."""
    fields = (field for group in _GROUPS for field in group.model_fields.values())
    return (*(field.alias for field in fields if field.alias), *AGENT_VARIABLES, *CLIENT_VARIABLES)


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
            unknown_variables=unknown_variables(os.environ, _known_variables()),
        )
    except ValidationError as error:
        groups = {group.__name__: group for group in _GROUPS}
        raise first_problem(error, groups[error.title]) from error


def _overrides_for(kind: type[EnvironmentSettings], overrides: Mapping[str, Any]) -> dict[str, Any]:
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
        config = Config(**tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BadSetting(path.name, f"is not valid TOML: {error}") from error
    except ValidationError as error:
        found = first_problem(error, Config)
        raise BadSetting(f"{path.name}, {found.name}", found.problem) from error
    _check_shares(config.agent.share, node.home)
    return config


def _check_shares(shares: Iterable[Path], home: Path) -> None:
    """Keep Signalbox's own files out of what agents may read.

    Raises:
        BadSetting: If a shared path is in its home directory, or contains it.
    """
    own = home.resolve()
    for share in shares:
        shared = share.resolve()
        if shared.is_relative_to(own) or own.is_relative_to(shared):
            raise BadSetting(
                "agent.share",
                f"{share} and SIGNALBOX_HOME ({home}) are one in the other, so agents could read "
                "Signalbox's own files; share a directory elsewhere",
            )
