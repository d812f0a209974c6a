"""Reads the arguments of a start and a continuation into what the API takes."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from bot.cli.client.errors import BadArgument
from bot.words.times import parse_time_limit

_FROM_INPUT = ["-"]
_MORE_TURNS = re.compile(r"\+([0-9]{1,6})")
_POINT = re.compile(r"[@#]?([0-9]{1,6})", re.ASCII)
_START_WORDS = frozenset({"start", "@start", "@0"})
_DOLLARS = re.compile(r"[0-9]{1,7}(?:\.[0-9]{1,4})?|\.[0-9]{1,4}", re.ASCII)


def start_body(
    *,
    task: Sequence[str],
    repo: str | None,
    branch: str | None,
    model: str | None,
    turns: int | None,
    budget: str | None,
    timeout: str | None,
    session: str | None,
    priority: int | None,
    progress: str | None = None,
    new_session: str | None = None,
) -> dict[str, Any]:
    """The body of a start; what is not given is the workflow's own, and left out.

    Raises:
        BadArgument: If the task is empty, or the budget or a duration cannot be read.
    """
    message = words_of(task)
    if message is None:
        raise BadArgument("TASK", "say what is to be done.")
    if session is not None and new_session is not None:
        raise BadArgument("--new-session", "stands in the place of --session.")
    given = {
        "message": message,
        "repository_url": repo,
        "git_branch": branch,
        "model": model,
        "max_turns": turns,
        "budget_usd": None if budget is None else _dollars(budget),
        "timeout": None if timeout is None else _seconds(timeout, "--timeout", "10s", "30m"),
        "session_name": session if new_session is None else new_session,
        "new_session": None if new_session is None else True,
        "priority": priority,
        "progress_every": None
        if progress is None
        else _seconds(progress, "--progress", "1m", "10m"),
    }
    return {name: value for name, value in given.items() if value is not None}


def restart_body(
    *,
    point: str | None,
    message: str | None,
    files: bool,
    stored: bool,
    turns: int | None,
    budget: str | None,
) -> dict[str, Any]:
    """The body of a restart; what is not given is left out.

    Raises:
        BadArgument: If the checkpoint or the budget cannot be read, or a message has no checkpoint.
    """
    number = None if point is None or point.lower() in _START_WORDS else _number(point)
    if message is not None and number is None:
        raise BadArgument("MESSAGE", "needs a checkpoint: from the start the task is said again.")
    if files and number is None:
        raise BadArgument("--files", "needs a checkpoint, as in restart RUN @2 --files.")
    given = {
        "checkpoint": number,
        "message": message,
        "mode": "files" if files else None,
        "definition": "stored" if stored else None,
        "max_turns": turns,
        "budget_usd": None if budget is None else _dollars(budget),
    }
    return {name: value for name, value in given.items() if value is not None}


def _number(point: str) -> int:
    found = _POINT.fullmatch(point)
    if found is None or int(found[1]) == 0:
        raise BadArgument("@N", "must be a checkpoint, as @2; leave it out for the start.")
    return int(found[1])


def words_of(words: Sequence[str]) -> str | None:
    """A text of an argument or several, or of standard input if it is `-`; `None` if it is blank.

    One argument is taken as it is, line breaks included.
    """
    text = sys.stdin.read().rstrip("\n") if list(words) == _FROM_INPUT else " ".join(words)
    return text if text.strip() else None


def more_turns(words: Sequence[str], turns: int | None) -> tuple[int | None, Sequence[str]]:
    """The additional turns and the message of `continue`: `+20` may stand before the message."""
    found = _MORE_TURNS.fullmatch(words[0]) if words else None
    if found is None or turns is not None:
        return turns, words
    return int(found[1]), words[1:]


def continue_body(
    *,
    message: str | None,
    turns: int | None,
    budget: str | None,
    model: str | None,
    recovers: bool,
) -> dict[str, Any]:
    """The body of a continuation without its session; what is not given is left out.

    Raises:
        BadArgument: If the budget cannot be read.
    """
    given = {
        "message": message,
        "additional_turns": turns,
        "budget_usd": None if budget is None else _dollars(budget),
        "model": model,
        "recovery": True if recovers else None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _dollars(text: str) -> str:
    digits = text.strip().removeprefix("$")
    if not _DOLLARS.fullmatch(digits):
        raise BadArgument("--budget", "needs US dollars, for example --budget 2.50.")
    return str(Decimal(digits))


def _seconds(text: str, option: str, least: str, example: str) -> int:
    length, shortest = parse_time_limit(text), parse_time_limit(least)
    if length is None or shortest is None or length < shortest:
        raise BadArgument(
            option,
            f"needs a duration with its unit, from {least} to 24h, for example {option} {example}.",
        )
    return round(length.total_seconds())
