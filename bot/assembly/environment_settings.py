"""The settings that are read from the environment, one class for each concern."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from bot.assembly.config.bad_setting import BadSetting
from bot.assembly.config.tables import MAX_SLOTS
from core.agent.egress.upstream import ParentProxies
from core.private_files import default_home

DEFAULT_API_URL = "https://slack.com/api/"
DEFAULT_PORT = 8765
# A Postgres that recovers after a crash of its machine takes seconds, rarely more.
DEFAULT_DATABASE_WAIT = timedelta(minutes=1)
MAX_DATABASE_WAIT = timedelta(hours=1)


class EnvironmentSettings(BaseSettings):
    """A group of variables; an empty one counts as not set."""

    model_config = SettingsConfigDict(
        frozen=True, env_ignore_empty=True, extra="ignore", populate_by_name=True
    )


def _http_address(value: str, example: str) -> str:
    """Check that a value is the URL of a server."""
    try:
        address = urlsplit(value)
        is_address = address.scheme in ("http", "https") and bool(address.hostname)
    except ValueError:
        is_address = False
    if not is_address:
        raise ValueError(f"must be an http(s) URL like {example}")
    return value


class DatabaseSettings(EnvironmentSettings):
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


class SlackSettings(EnvironmentSettings):
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
        address = _http_address(value, DEFAULT_API_URL)
        return address if address.endswith("/") else address + "/"


class AgentSettings(EnvironmentSettings):
    """What the agent needs to reach its model; passed on, never stored."""

    api_key: SecretStr | None = Field(default=None, alias="ANTHROPIC_API_KEY")
    base_url: str | None = Field(default=None, alias="ANTHROPIC_BASE_URL")
    oauth_token: SecretStr | None = Field(default=None, alias="CLAUDE_CODE_OAUTH_TOKEN")
    # Where agents find their programs, and the home that they must not see.
    search_path: str = Field(default=os.defpath, alias="PATH")
    user_home: Path = Field(default=Path("/nonexistent"), alias="HOME")

    @field_validator("base_url")
    @classmethod
    def _is_base_url(cls, value: str | None) -> str | None:
        return value and _http_address(value, "https://api.anthropic.com")

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


class ProxySettings(EnvironmentSettings):
    """The proxies through which this machine reaches the internet; names in either case."""

    https: SecretStr | None = Field(default=None, alias="HTTPS_PROXY")
    http: SecretStr | None = Field(default=None, alias="HTTP_PROXY")
    # Not used here; read for its password.
    other: SecretStr | None = Field(default=None, alias="ALL_PROXY")
    exceptions: str | None = Field(default=None, alias="NO_PROXY")

    @property
    def addresses(self) -> Mapping[str, str]:
        """The addresses by their variables, each with a scheme; a secret if it has a password."""
        found = {"HTTPS_PROXY": self.https, "HTTP_PROXY": self.http, "ALL_PROXY": self.other}
        written = {name: url.get_secret_value() for name, url in found.items() if url}
        return {name: url if "://" in url else f"http://{url}" for name, url in written.items()}

    @property
    def names_with_login(self) -> tuple[str, ...]:
        """The variables whose address holds a user's name or password."""
        return tuple(name for name, url in self.addresses.items() if "@" in url)

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


class NodeSettings(EnvironmentSettings):
    """This process on this machine: directories, web server, log."""

    home: Path = Field(default_factory=default_home, alias="SIGNALBOX_HOME")
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

    @field_validator("public_url")
    @classmethod
    def _is_public_url(cls, value: str | None) -> str | None:
        return value and _http_address(value, "https://signalbox.example.com").rstrip("/")

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
