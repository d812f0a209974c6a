"""Suggestions for a shell: ids of runs and alerts, names of workflows, asked of the API.

A shell waits while a word is completed, so this ends in time whatever the network does, and a
failure is no suggestion and no message.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Iterable, Sequence
from typing import Any

from bot.cli.client.api import CONSOLE, Query, open_client
from bot.cli.client.connection import find_connection
from bot.cli.client.run_texts import state_words
from bot.cli.client.settings import read_client_settings
from bot.cli.client.text_table import fit, one_line
from core.domain.errors import OpsError

Suggestion = tuple[str, str]

_LIMIT_SECONDS = 1.5
_MOST = "50"
_HELP_CELLS = 60
# A shell evaluates suggestions.  Tasks are written by others, and zsh would run a command in one.
_SAFE_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_UNSAFE_IN_HELP = re.compile(r"[^\w .,/+=@%-]")
LIVE: Query = (("status", "pending"), ("status", "running"))


def suggest_runs(beginning: str, query: Query = ()) -> list[Suggestion]:
    """The newest runs whose id begins so, with their state and task."""
    found = _ask(f"{CONSOLE}/runs", [("limit", _MOST), *query], "runs")
    return _suggestions(
        ((one.get("run_id"), f"{state_words(one)}, {one.get('task')}") for one in found), beginning
    )


def suggest_workflows(beginning: str) -> list[Suggestion]:
    """The workflows whose name begins so, with what they do."""
    found = _ask(f"{CONSOLE}/workflows", [], "workflows")
    return _suggestions(
        ((one.get("name"), str(one.get("description"))) for one in found), beginning
    )


def suggest_sessions(beginning: str) -> list[Suggestion]:
    """The newest sessions whose name or id begins so, with what they are about."""
    found = _ask("/sessions", [("limit", _MOST)], "sessions")
    return _suggestions(
        ((one.get("name") or one.get("session_id"), str(one.get("task"))) for one in found),
        beginning,
    )


def suggest_alerts(beginning: str) -> list[Suggestion]:
    """The newest open alerts whose id begins so, with what they tell."""
    found = _ask("/alerts", [("open", "true"), ("limit", _MOST)], "alerts")
    return _suggestions(
        ((one.get("alert_id"), str(one.get("sentence"))) for one in found), beginning
    )


def _suggestions(found: Iterable[tuple[object, str]], beginning: str) -> list[Suggestion]:
    """Those that begin so, made safe for a shell."""
    return [
        (word, fit(one_line(_UNSAFE_IN_HELP.sub(" ", words)), _HELP_CELLS))
        for word, words in found
        if isinstance(word, str) and word.startswith(beginning) and _SAFE_WORD.fullmatch(word)
    ]


def _ask(path: str, query: Query, name: str) -> Sequence[dict[str, Any]]:
    _end_in_time()
    try:
        listed = asyncio.run(_get(path, query)).get(name)
    except OpsError:
        return []
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


async def _get(path: str, query: Query) -> dict[str, Any]:
    async with open_client(find_connection(read_client_settings())) as client:
        return dict((await client.get(path, query)).body)


def _end_in_time() -> None:
    """End this process soon: also a look-up of a name can hang, which cannot be cancelled."""
    signal.signal(signal.SIGALRM, lambda *_: os._exit(1))
    signal.setitimer(signal.ITIMER_REAL, _LIMIT_SECONDS)
