"""Which script plays for a task, and the ones that show ordinary work."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from bot.sandbox.model.script import Play, Scene, Script, Turn
from bot.sandbox.model.trouble import TROUBLES
from bot.sandbox.model.variety import VARIETY
from bot.sandbox.model.work import piece_of_work

DEFAULT = "work"
# A pace at which a person can follow.
_SLOW = timedelta(seconds=2)
_LONGEST_DELAY = timedelta(minutes=10)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m)?")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, None: 1.0}


def _slowly(play: Play) -> Play:
    def slow(scene: Scene) -> Turn:
        asked = delay_of(scene)
        return replace(play(scene), delay=_SLOW if asked is None else asked)

    return slow


_WORK: tuple[Script, ...] = (
    Script(
        name=DEFAULT,
        about="plans, looks around, writes a module and its test, runs it, commits, sums up",
        play=piece_of_work(),
    ),
    Script(name="slow", about="the same at a pace to watch", play=_slowly(piece_of_work())),
    Script(
        name="fix",
        about="the first version has a mistake; its test finds it; mended and committed",
        play=piece_of_work(flawed=True),
    ),
    Script(
        name="failing-tests",
        about="ends with a failing test, says so, commits nothing",
        play=piece_of_work(flawed=True, repairs=False),
    ),
    Script(
        name="no-commit",
        about="the work is left uncommitted",
        play=piece_of_work(commits=False),
    ),
)

SCRIPTS: Mapping[str, Script] = {script.name: script for script in (*_WORK, *VARIETY, *TROUBLES)}


def choose(scene: Scene, scripts: Mapping[str, Script]) -> Script:
    """The script a task names (`[scenario: hang]`), or what suits its words and tools."""
    named = scene.directives.get("scenario", "").strip().lower().replace("_", "-")
    if named in scripts:
        return scripts[named]
    if not scene.tools & {"Write", "Edit"}:
        return scripts["review"]
    if re.search(r"(?i)\b(fix|bug|repair)\b", scene.task):
        return scripts["fix"]
    return scripts[DEFAULT]


def delay_of(scene: Scene) -> timedelta | None:
    """What `[delay: 2s]` in the task asks for, clipped to 10 minutes."""
    found = _DURATION.fullmatch(scene.directives.get("delay", "").strip().lower())
    if found is None:
        return None
    return min(timedelta(seconds=float(found[1]) * _UNIT_SECONDS[found[2]]), _LONGEST_DELAY)
