"""Chooses the script for a task; holds the scripts of ordinary work."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from bot.sandbox.model.failures import FAILURE_SCRIPTS
from bot.sandbox.model.script import Conversation, Play, Script, Turn
from bot.sandbox.model.variety import VARIETY_SCRIPTS
from bot.sandbox.model.work import work_play

DEFAULT = "work"
# Slow enough for a person to follow.
_SLOW = timedelta(seconds=2)
_MAX_DELAY = timedelta(minutes=10)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m)?")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, None: 1.0}


def _with_slow_delay(play: Play) -> Play:
    def slow(conversation: Conversation) -> Turn:
        requested = delay_of(conversation)
        return replace(play(conversation), delay=_SLOW if requested is None else requested)

    return slow


_WORK_SCRIPTS: tuple[Script, ...] = (
    Script(
        name=DEFAULT,
        description="plans, looks around, writes a module and its test, runs it, commits, sums up",
        play=work_play(),
    ),
    Script(
        name="slow", description="the same at a pace to watch", play=_with_slow_delay(work_play())
    ),
    Script(
        name="fix",
        description="the first version has a mistake; its test finds it; it is fixed and committed",
        play=work_play(flawed=True),
    ),
    Script(
        name="failing-tests",
        description="ends with a failing test, says so, commits nothing",
        play=work_play(flawed=True, repairs=False),
    ),
    Script(
        name="no-commit",
        description="the work is left uncommitted",
        play=work_play(commits=False),
    ),
)

SCRIPTS: Mapping[str, Script] = {
    script.name: script for script in (*_WORK_SCRIPTS, *VARIETY_SCRIPTS, *FAILURE_SCRIPTS)
}


def choose_script(conversation: Conversation, scripts: Mapping[str, Script]) -> Script:
    """The script a task names (`[scenario: hang]`), or one that fits its words and tools."""
    script_name = conversation.directives.get("scenario", "").strip().lower().replace("_", "-")
    if script_name in scripts:
        return scripts[script_name]
    if not conversation.tools & {"Write", "Edit"}:
        return scripts["review"]
    if re.search(r"(?i)\b(fix|bug|repair)\b", conversation.task):
        return scripts["fix"]
    return scripts[DEFAULT]


def delay_of(conversation: Conversation) -> timedelta | None:
    """The pause that `[delay: 2s]` in the task requests, at most 10 minutes."""
    found = _DURATION.fullmatch(conversation.directives.get("delay", "").strip().lower())
    if found is None:
        return None
    return min(timedelta(seconds=float(found[1]) * _UNIT_SECONDS[found[2]]), _MAX_DELAY)
