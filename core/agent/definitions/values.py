"""The values of a definition's front matter: one parser for each key.  Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any

from core.agent.definitions.mcp_servers import BadServer, normalise_servers
from core.domain.failures.retry_parsing import parse_auto_continue, parse_retry
from core.domain.failures.retry_policy import AutoContinue, RetryPolicy
from core.domain.isolation import IsolationMode
from core.domain.reach.network import NetworkPolicy
from core.domain.workflow import (
    MAX_BUDGET_USD,
    MAX_TIMEOUT,
    MAX_TURNS_LIMIT,
    OnWorkerLost,
    PermissionMode,
)

# A name is used as an option of a Slack select menu, as a file name, and in a git branch.
NAME = re.compile(r"[a-z][a-z0-9-]{0,39}\Z")
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?\Z")
_SETTING_SOURCES = ("user", "project", "local")
_MAX_DESCRIPTION_CHARS = 200


class InvalidValue(Exception):
    """A value does not suit its key; the text completes the `BadDefinition`."""


def _description(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidValue("must be a line of text")
    line = " ".join(value.split())
    if len(line) > _MAX_DESCRIPTION_CHARS:
        raise InvalidValue(f"has {len(line)} characters; at most {_MAX_DESCRIPTION_CHARS}")
    return line


def _text_list(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(
        isinstance(item, str) and item.strip() for item in value
    ):
        raise InvalidValue("must be a list of texts, like `[Read, Grep]`")
    texts = tuple(item.strip() for item in value)
    if len(set(texts)) != len(texts):
        raise InvalidValue("holds something twice; remove one")
    return texts


def _aliases(value: object) -> tuple[str, ...]:
    aliases = _text_list(value)
    for alias in aliases:
        if not NAME.match(alias):
            raise InvalidValue(f"`{alias[:40]}` must be small letters, digits and hyphens")
    return aliases


def _model(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or value.startswith("-"):
        raise InvalidValue("must be a model's name, like `sonnet`; leave it out for the default")
    return value.strip()


def _max_turns(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_TURNS_LIMIT:
        raise InvalidValue(f"must be a whole number from 1 to {MAX_TURNS_LIMIT}")
    return value


def _budget(value: object) -> Decimal | None:
    if value is None:
        return None
    problem = f"must be US dollars, more than 0 and at most {MAX_BUDGET_USD}, like `2.50`"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise InvalidValue(problem)
    try:
        amount = Decimal(str(value))
    except InvalidOperation as error:
        raise InvalidValue(problem) from error
    if not amount.is_finite() or not 0 < amount <= MAX_BUDGET_USD:
        raise InvalidValue(problem)
    return amount


def _timeout(value: object) -> timedelta:
    found = _DURATION.match(value.strip()) if isinstance(value, str) else None
    problem = "must be a duration with its unit from 10s to 24h, like `30m` or `1h30m`"
    if found is None or not any(found.groups()) or len(str(value)) > 20:
        raise InvalidValue(problem)
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    try:
        duration = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError as error:
        raise InvalidValue(problem) from error
    if not timedelta(seconds=10) <= duration <= MAX_TIMEOUT:
        raise InvalidValue(problem)
    return duration


def _permission_mode(value: object) -> PermissionMode:
    known = next((mode for mode in PermissionMode if mode == value), None)
    if known is None:
        raise InvalidValue(f"must be one of {', '.join(PermissionMode)}")
    return known


def _mcp_servers(value: object) -> Mapping[str, Mapping[str, Any]]:
    try:
        return normalise_servers(value)
    except BadServer as error:
        raise InvalidValue(str(error)) from error


def _setting_sources(value: object) -> tuple[str, ...]:
    sources = _text_list(value)
    unknown = sorted(set(sources) - set(_SETTING_SOURCES))
    if unknown:
        raise InvalidValue(f"`{unknown[0][:40]}` is none of {', '.join(_SETTING_SOURCES)}")
    return sources


def _on_worker_lost(value: object) -> OnWorkerLost:
    known = next((choice for choice in OnWorkerLost if choice == value), None)
    if known is None:
        raise InvalidValue(
            "must be `resume` (go on on another worker) or `fail` (stop, to be continued by hand)"
        )
    return known


def _read_only(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidValue("must be `true` (the agent cannot change its workspace) or `false`")
    return value


def _isolation(value: object) -> IsolationMode | None:
    if value is None:
        return None
    known = next((mode for mode in IsolationMode if mode == value), None)
    if known is None:
        raise InvalidValue(
            f"must be one of {', '.join(IsolationMode)}; leave it out for that of signalbox.toml"
        )
    return known


def _network(value: object) -> NetworkPolicy | None:
    if value is None:
        return None
    try:
        return NetworkPolicy.parse(value)
    except ValueError as error:
        raise InvalidValue(str(error)) from error


def _retry(value: object) -> RetryPolicy:
    try:
        return parse_retry(value)
    except ValueError as error:
        raise InvalidValue(str(error)) from error


def _auto_continue(value: object) -> AutoContinue | None:
    if value is None:
        return None
    try:
        return parse_auto_continue(value)
    except ValueError as error:
        raise InvalidValue(str(error)) from error


PARSERS: Mapping[str, Callable[[object], object]] = MappingProxyType(
    {
        "description": _description,
        "aliases": _aliases,
        "model": _model,
        "max_turns": _max_turns,
        "budget_usd": _budget,
        "timeout": _timeout,
        "allowed_tools": _text_list,
        "disallowed_tools": _text_list,
        "permission_mode": _permission_mode,
        "mcp_servers": _mcp_servers,
        "setting_sources": _setting_sources,
        "on_worker_lost": _on_worker_lost,
        "read_only": _read_only,
        "isolation": _isolation,
        "network": _network,
        "retry": _retry,
        "auto_continue": _auto_continue,
    }
)
