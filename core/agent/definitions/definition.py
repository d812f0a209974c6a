"""The strict parser of a workflow definition: Markdown with YAML front matter.  Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

import yaml

from core.domain.errors import OpsError
from core.domain.workflow import (
    MAX_BUDGET_USD,
    MAX_TIMEOUT,
    MAX_TURNS_LIMIT,
    OnWorkerLost,
    PermissionMode,
    WorkflowDefinition,
)

# A name is used as an option of a Slack select menu, as a file name, and in a git branch.
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}\Z")
_DELIMITER = "---"
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?\Z")
_SETTING_SOURCES = ("user", "project", "local")
_MAX_DESCRIPTION_CHARS = 200


class BadDefinition(OpsError):
    """A definition file is invalid.

    Attributes:
        file: The file's name, without its folder.
        key: The key in the front matter; `None` if the problem concerns the whole file.
    """

    code = "bad_definition"

    def __init__(self, file: str, key: str | None, problem: str) -> None:
        where = f"{file}, `{key}`" if key else file
        super().__init__(
            f"{where}: {problem}", user_message=f"Workflow definition {where}: {problem}."
        )
        self.file = file
        self.key = key


class _InvalidValue(Exception):
    """A value does not suit its key; the text completes the `BadDefinition`."""


def parse_definition(file: str, text: str) -> WorkflowDefinition:
    """Parse the text of `<name>.md`.

    Raises:
        BadDefinition: If something in it is missing, unknown or out of bounds.
    """
    name = file.removesuffix(".md")
    if not _NAME.match(name):
        raise BadDefinition(
            file, None, "is no good name; use small letters, digits and hyphens, like `review.md`"
        )
    front, body = _split_front_matter(file, text)
    values: dict[str, Any] = {}
    for key, value in front.items():
        parse = _PARSERS.get(key)
        if parse is None:
            raise _unknown_key(file, key)
        try:
            values[key] = parse(value)
        except _InvalidValue as invalid:
            raise BadDefinition(file, key, str(invalid)) from invalid
    if "description" not in values:
        raise BadDefinition(
            file, "description", "is missing; say in one line what the workflow does"
        )
    if not body:
        raise BadDefinition(
            file, None, "has no text after the front matter; write the agent's instructions there"
        )
    if name in values.get("aliases", ()):
        raise BadDefinition(file, "aliases", f"repeats the file's own name `{name}`; remove it")
    return WorkflowDefinition(name=name, prompt=body, **values)


def _split_front_matter(file: str, text: str) -> tuple[Mapping[str, Any], str]:
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    if lines[0].rstrip() != _DELIMITER:
        raise BadDefinition(
            file, None, "must begin with a line `---`, then `description: …`, then a line `---`"
        )
    end = next(
        (n for n, line in enumerate(lines[1:], start=1) if line.rstrip() == _DELIMITER), None
    )
    if end is None:
        raise BadDefinition(file, None, "has no second line `---` to end the front matter")
    try:
        front = yaml.safe_load("\n".join(lines[1:end]))
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark.line + 2 if error.problem_mark else 1  # after the first `---`
        raise BadDefinition(
            file, None, f"line {at} is not YAML ({error.problem}); write `key: value`"
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        raise BadDefinition(file, None, "front matter is not YAML; write `key: value`") from error
    if not isinstance(front, dict) or not all(isinstance(key, str) for key in front):
        raise BadDefinition(file, None, "front matter must be lines of `key: value`")
    return front, "\n".join(lines[end + 1 :]).strip()


def _unknown_key(file: str, key: str) -> BadDefinition:
    suggestions = get_close_matches(key, sorted(_PARSERS), n=1)
    hint = f"; did you mean `{suggestions[0]}`?" if suggestions else ""
    return BadDefinition(
        file, key[:60], f"is not a known key{hint} Known: {', '.join(sorted(_PARSERS))}"
    )


def _description(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _InvalidValue("must be a line of text")
    line = " ".join(value.split())
    if len(line) > _MAX_DESCRIPTION_CHARS:
        raise _InvalidValue(f"has {len(line)} characters; at most {_MAX_DESCRIPTION_CHARS}")
    return line


def _text_list(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(
        isinstance(item, str) and item.strip() for item in value
    ):
        raise _InvalidValue("must be a list of texts, like `[Read, Grep]`")
    texts = tuple(item.strip() for item in value)
    if len(set(texts)) != len(texts):
        raise _InvalidValue("holds something twice; remove one")
    return texts


def _aliases(value: object) -> tuple[str, ...]:
    aliases = _text_list(value)
    for alias in aliases:
        if not _NAME.match(alias):
            raise _InvalidValue(f"`{alias[:40]}` must be small letters, digits and hyphens")
    return aliases


def _model(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or value.startswith("-"):
        raise _InvalidValue("must be a model's name, like `sonnet`; leave it out for the default")
    return value.strip()


def _max_turns(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_TURNS_LIMIT:
        raise _InvalidValue(f"must be a whole number from 1 to {MAX_TURNS_LIMIT}")
    return value


def _budget(value: object) -> Decimal | None:
    if value is None:
        return None
    problem = f"must be US dollars, more than 0 and at most {MAX_BUDGET_USD}, like `2.50`"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _InvalidValue(problem)
    try:
        amount = Decimal(str(value))
    except InvalidOperation as error:
        raise _InvalidValue(problem) from error
    if not amount.is_finite() or not 0 < amount <= MAX_BUDGET_USD:
        raise _InvalidValue(problem)
    return amount


def _timeout(value: object) -> timedelta:
    found = _DURATION.match(value.strip()) if isinstance(value, str) else None
    problem = "must be a duration with its unit from 10s to 24h, like `30m` or `1h30m`"
    if found is None or not any(found.groups()) or len(str(value)) > 20:
        raise _InvalidValue(problem)
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    try:
        duration = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError as error:
        raise _InvalidValue(problem) from error
    if not timedelta(seconds=10) <= duration <= MAX_TIMEOUT:
        raise _InvalidValue(problem)
    return duration


def _permission_mode(value: object) -> PermissionMode:
    known = next((mode for mode in PermissionMode if mode == value), None)
    if known is None:
        raise _InvalidValue(f"must be one of {', '.join(PermissionMode)}")
    return known


def _mcp_servers(value: object) -> Mapping[str, Mapping[str, Any]]:
    if not isinstance(value, dict):
        raise _InvalidValue("must map a server's name to its `command` or `url`")
    for name, server in value.items():
        if not isinstance(name, str) or not isinstance(server, dict):
            raise _InvalidValue("must map a server's name to its `command` or `url`")
        if not isinstance(server.get("command") or server.get("url"), str):
            raise _InvalidValue(f"`{name[:40]}` needs a `command` (a program) or a `url`")
    return value


def _setting_sources(value: object) -> tuple[str, ...]:
    sources = _text_list(value)
    unknown = sorted(set(sources) - set(_SETTING_SOURCES))
    if unknown:
        raise _InvalidValue(f"`{unknown[0][:40]}` is none of {', '.join(_SETTING_SOURCES)}")
    return sources


def _on_worker_lost(value: object) -> OnWorkerLost:
    known = next((choice for choice in OnWorkerLost if choice == value), None)
    if known is None:
        raise _InvalidValue(
            "must be `resume` (go on on another worker) or `fail` (stop, to be continued by hand)"
        )
    return known


_PARSERS: Mapping[str, Callable[[object], object]] = MappingProxyType(
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
    }
)
