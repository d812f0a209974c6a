"""How a run is called: by its task, and by its number if it goes on with that."""

from __future__ import annotations

from bot.words.markup import Markup
from core.domain.runs.snapshot import RunSnapshot


def task_name(snapshot: RunSnapshot, markup: Markup, limit: int) -> str:
    """The task that a run works on, on one line: of a later leg the task of the first one."""
    words = snapshot.run.task_input if snapshot.about is None else snapshot.about
    return markup.inline(words, limit) or markup.quiet("no task")


def leg_suffix(snapshot: RunSnapshot) -> str:
    """` · leg 2` for a run that goes on with the task of another one."""
    return f" · leg {snapshot.leg}" if snapshot.leg > 1 else ""
