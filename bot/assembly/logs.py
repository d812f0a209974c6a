"""Logging: one line per event, as text or JSON, without secrets and Slack payloads."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from types import TracebackType
from typing import TypeAlias

from core.domain.redact import redact

ExcInfo: TypeAlias = (
    "tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]"
)

_LEVELS = {"debug", "info", "warning", "error"}
# Bolt and the SDK log whole payloads (people's words) at WARNING and below.
_PAYLOAD_LOGGERS = ("slack_bolt", "slack_sdk", "slack_sdk.web.async_client")
# Their reports also arrive as exceptions or events, and are logged where those are handled.
_REPORTED_ELSEWHERE = ("claude_agent_sdk",)
# Warns every second while Postgres is unreachable; the worker logs that itself, once.
_REPETITIVE_LOGGERS = ("psycopg.pool",)
# Their INFO lines are about library internals.
_CHATTY_LOGGERS = ("procrastinate", "apscheduler", "aiohttp.access", "alembic", "asyncio", "mcp")

# Top-level packages of this project; loggers are named after their module.
_OWN_PACKAGES = frozenset({"bot", "core", "migrations"})
# The attributes of every log record; any other came from `extra`.
_STANDARD_FIELDS = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})


class _RedactingFilter(logging.Filter):
    """Removes known secrets and anything that looks like a credential from each line."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._secrets = tuple(secrets)

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        clean = redact(message, secrets=self._secrets)
        if clean != message:
            record.msg, record.args = clean, None
        return True


class _TextFormatter(logging.Formatter):
    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
        self._secrets = tuple(secrets)

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802 - the library's name
        return redact(super().formatException(ei), secrets=self._secrets)


class _JsonFormatter(_TextFormatter):
    """One JSON object per line; the `extra` fields of a log call are fields of it."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            **self._fields(record),
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)

    def _fields(self, record: logging.LogRecord) -> dict[str, object]:
        """The extra fields of our own log calls; those of libraries can hold payloads."""
        if record.name.partition(".")[0] not in _OWN_PACKAGES:
            return {}
        given = vars(record).items()
        return {name: self._plain(value) for name, value in given if name not in _STANDARD_FIELDS}

    def _plain(self, value: object) -> object:
        """A value for JSON: numbers, booleans and null as such, anything else as redacted text."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, list | tuple | set | frozenset):
            return [self._plain(item) for item in value]
        text = value.isoformat() if isinstance(value, datetime) else str(value)
        return redact(text, secrets=self._secrets)


def set_up_logging(
    options: Iterable[str], *, level: str = "info", secrets: Iterable[str] = ()
) -> None:
    """Send log lines to standard error.

    Args:
        options: The words of `SIGNALBOX_LOG`: a format, a level, both or neither.  Of two levels
            the first one counts.
        level: The level if the options name none.
        secrets: Texts that are removed from every line.
    """
    chosen, secrets = tuple(options), tuple(secrets)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter(secrets) if "json" in chosen else _TextFormatter(secrets))
    handler.addFilter(_RedactingFilter(secrets))
    level = next((word for word in chosen if word in _LEVELS), level)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in (*_PAYLOAD_LOGGERS, *_REPETITIVE_LOGGERS):
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in _REPORTED_ELSEWHERE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name in _CHATTY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
