"""The tables of signalbox.toml that are about what a process serves over HTTP."""

from __future__ import annotations

import re

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from bot.assembly.config.table import Table
from bot.web.streams.limits import StreamLimits
from core.services.runs.recent_runs import CacheLimits

_TOKEN = re.compile(r"[!-~]{16,200}")
_CHANNEL = re.compile(r"[CG][A-Z0-9]{2,31}")


class ApiTable(Table):
    """`[api]`: the HTTP API.

    Attributes:
        channel: The Slack channel in which runs that are started through the API have their
            threads; without it they have none.
        max_streams: How many streams and waits a process serves at a time.
        max_streams_per_token: How many of them one token may have.
    """

    channel: str | None = None
    max_streams: int = Field(default=1000, ge=1, le=100_000)
    max_streams_per_token: int = Field(default=100, ge=1, le=100_000)

    @field_validator("channel")
    @classmethod
    def _is_channel(cls, value: str | None) -> str | None:
        if value is not None and not _CHANNEL.fullmatch(value):
            raise ValueError('must be the id of a channel, like "C0123ABCD"')
        return value

    @property
    def limits(self) -> StreamLimits:
        """The limits of streams."""
        return StreamLimits(total=self.max_streams, per_token=self.max_streams_per_token)


class MetricsTable(Table):
    """`[metrics]`: the readers of `/metrics` beside this machine.

    Attributes:
        token: What every reader must send then, also from this machine.
        open: Everybody who reaches the server may read.
    """

    token: SecretStr | None = None
    open: bool = False

    @field_validator("token")
    @classmethod
    def _is_hard_to_guess(cls, value: SecretStr | None) -> SecretStr | None:
        text = "" if value is None else value.get_secret_value()
        if value is not None and not _TOKEN.fullmatch(text):
            raise ValueError(
                "must have 16 to 200 letters, digits or other characters of ASCII, without spaces; "
                "make one with `openssl rand -hex 32`"
            )
        return value

    @field_validator("open")
    @classmethod
    def _has_no_token(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("token") is not None:
            raise ValueError("cannot be true with a token; remove one of the two")
        return value


class StatusTable(Table):
    """`[status]`: the cache of what is answered about ended runs.

    Attributes:
        cache: Whether there is one; answers are the same without it.
        cache_mb: Its memory, in megabytes.
    """

    cache: bool = True
    cache_mb: int = Field(default=16, ge=1, le=1024)

    @property
    def limits(self) -> CacheLimits:
        """The table as limits of the cache."""
        return CacheLimits(is_on=self.cache, max_bytes=self.cache_mb * 1_000_000)
