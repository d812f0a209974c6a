"""The table `[retention]` of signalbox.toml."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator

from bot.assembly.config.table import Table
from core.domain.retention import DEFAULT_RETENTION, RetentionPolicy

_DAYS = re.compile(r"(\d{1,4})d")
_FOREVER = "forever"


def _length(value: object) -> timedelta | None:
    if value is None or isinstance(value, timedelta):
        return value
    if value == _FOREVER:
        return None
    found = _DAYS.fullmatch(value) if isinstance(value, str) else None
    days = int(found[1]) if found else 0
    if not days:
        raise ValueError('must be days, from "1d" to "9999d", like "90d", or "forever"')
    return timedelta(days=days)


Length = Annotated[timedelta | None, BeforeValidator(_length)]


class RetentionTable(Table):
    """`[retention]`: how long what has happened is kept; see `RetentionPolicy`."""

    events: Length = DEFAULT_RETENTION.events
    transcripts: Length = DEFAULT_RETENTION.transcripts
    audit: Length = DEFAULT_RETENTION.audit
    alerts: Length = DEFAULT_RETENTION.alerts
    digests: Length = DEFAULT_RETENTION.digests
    samples: Length = DEFAULT_RETENTION.samples

    @property
    def policy(self) -> RetentionPolicy:
        """The settings as a value."""
        return RetentionPolicy(
            events=self.events,
            transcripts=self.transcripts,
            audit=self.audit,
            alerts=self.alerts,
            digests=self.digests,
            samples=self.samples,
        )
