"""How a run is called: by its task, and by its number if it goes on with that."""

from __future__ import annotations

from bot.words.markup import Markup
from bot.words.runs.recovery import RECOVERY_LABEL
from core.domain.runs.snapshot import RunSnapshot
from core.domain.sessions.recovery import is_recovery


def task_name(snapshot: RunSnapshot, markup: Markup, limit: int) -> str:
    """The task that a run works on, on one line: of a later leg the task of the first one."""
    words = snapshot.run.task_input if snapshot.about is None else snapshot.about
    return markup.inline(words, limit) or markup.quiet("no task")


def leg_suffix(snapshot: RunSnapshot) -> str:
    """` · leg 2` for a run that goes on with the task of another one, ` · leg 2, recovery`."""
    if snapshot.leg <= 1:
        return ""
    label = f", {RECOVERY_LABEL}" if is_recovery(snapshot.run) else ""
    return f" · leg {snapshot.leg}{label}"
