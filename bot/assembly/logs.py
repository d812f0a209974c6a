"""Logging: one line per event, as text or JSON, redacted, never Slack's payloads."""

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
_PRIVATE = ("slack_bolt", "slack_sdk", "slack_sdk.web.async_client")
# What they report reaches us as an exception or an event, and is logged where it is handled.
_SAID_ELSEWHERE = ("claude_agent_sdk",)
# Complains every second while Postgres is away; the worker says so itself, once.
_REPEATING = ("psycopg.pool",)
# Their INFO is about their own inner life.
_CHATTY = ("procrastinate", "apscheduler", "aiohttp.access", "alembic", "asyncio")


class _Redacting(logging.Filter):
    """Takes what looks like a credential out of each line, and every known secret."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._secrets = tuple(secrets)

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        clean = redact(message, secrets=self._secrets)
        if clean != message:
            record.msg, record.args = clean, None
        return True


class _Text(logging.Formatter):
    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
        self._secrets = tuple(secrets)

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802 - the library's name
        return redact(super().formatException(ei), secrets=self._secrets)


class _Json(_Text):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def set_up_logging(
    words: Iterable[str], *, level: str = "info", secrets: Iterable[str] = ()
) -> None:
    """Send log lines to standard error.

    Args:
        words: Of `SIGNALBOX_LOG`: a format, a level, both or neither.  Of two levels the first
            one counts.
        level: What is logged where the words name no level.
        secrets: To be taken out of every line.
    """
    chosen, secrets = tuple(words), tuple(secrets)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json(secrets) if "json" in chosen else _Text(secrets))
    handler.addFilter(_Redacting(secrets))
    level = next((word for word in chosen if word in _LEVELS), level)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in (*_PRIVATE, *_REPEATING):
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in _SAID_ELSEWHERE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
