"""Words about the progress that a run posts at intervals."""

from __future__ import annotations

from datetime import datetime, timedelta

from bot.words import counts, money, times
from bot.words.markup import Markup
from core.domain.alerts.posts.progress import ProgressFigures, ProgressPost
from core.domain.runs.run import CostSource, Run

_NAME_LIMIT = 100
# Shorter silences are part of the work.
_SILENT_AFTER = timedelta(minutes=1)


def progress_title(run: Run, post: ProgressPost, taken_at: datetime) -> str:
    """What it is, and of which time: `Progress after 30 min`; plain text."""
    words = "Progress"
    if run.started_at is not None:
        words += f" after {times.duration(_minutes(taken_at - run.started_at))}"
    if not run.is_live:
        return f"{words}, before the run ended"
    return f"{words} (every {times.duration(post.every)})"


def progress_lines(
    told: ProgressFigures, taken_at: datetime, markup: Markup, *, is_live: bool
) -> list[str]:
    """The figures, the step in progress, what changed since the last look, and a silence."""
    lines = [" · ".join(_figures(told))]
    if told.step is not None:
        lead = "Now" if is_live else "Then"
        lines.append(f"{lead}: {markup.inline(told.step, _NAME_LIMIT)}")
    changes = _changes(told, taken_at, markup)
    if changes:
        lines.append(changes)
    if told.heard_at is not None and taken_at - told.heard_at >= _SILENT_AFTER:
        silence = times.duration(_minutes(taken_at - told.heard_at))
        lines.append(f"Nothing had been heard for {silence}")
    return lines


def _figures(told: ProgressFigures) -> list[str]:
    turns = counts.plural(told.turns, "turn")
    parts = [turns if told.max_turns is None else f"{told.turns}/{told.max_turns} turns"]
    if told.cost_usd is not None:
        mark = "" if told.cost_source is CostSource.REPORTED else "~"
        parts.append(f"{mark}{money.dollars(told.cost_usd)}")
    if told.steps_total is not None:
        parts.append(f"{told.steps_done} of {counts.plural(told.steps_total, 'step')} done")
    return parts


def _changes(told: ProgressFigures, taken_at: datetime, markup: Markup) -> str:
    """What changed since the last look; in the first one only what was finished."""
    parts = []
    if told.more_turns:
        parts.append(f"+{counts.plural(told.more_turns, 'turn')}")
    if told.more_cost_usd:
        parts.append(f"+{money.dollars(told.more_cost_usd)}")
    names = ", ".join(markup.inline(name, _NAME_LIMIT) for name in told.finished)
    if names:
        more = f" and {told.more_finished} more" if told.more_finished else ""
        parts.append(f"finished: {names}{more}")
    if told.since is None:
        return f"So far {parts[-1]}" if names else ""
    words = " · ".join(parts) or "nothing new"
    return f"In the last {times.duration(_minutes(taken_at - told.since))}: {words}"


def _minutes(length: timedelta) -> timedelta:
    """A duration without its seconds, from a minute on."""
    minute = timedelta(minutes=1)
    return length if length < minute else length // minute * minute
