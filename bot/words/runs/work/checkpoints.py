"""Checkpoints in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from bot.words import counts, money
from bot.words.markup import Markup
from core.domain.runs.checkpoint import (
    PROBLEM_KEY,
    Checkpoint,
    CheckpointReason,
    NotStored,
)
from core.domain.runs.run import Run

_SHOWN = 20
_NAME_CHARS = 60
_PROBLEM_CHARS = 300

REASONS: Mapping[CheckpointReason, str] = MappingProxyType(
    {
        CheckpointReason.STEP_ENDED: "after",
        CheckpointReason.BEFORE_KILL: "at the kill",
        CheckpointReason.LEG_ENDED: "at the end",
        CheckpointReason.INTERVAL: "during",
    }
)
NOT_STORED: Mapping[NotStored, str] = MappingProxyType(
    {
        NotStored.TOO_LARGE: "too large for the database, only its worker has it",
        NotStored.FAILED: "could not be stored, only its worker has it",
    }
)


def checkpoint_lines(run: Run, checkpoints: Sequence[Checkpoint], markup: Markup) -> list[str]:
    """A line for each of the newest checkpoints of a run, below one that counts them.

    The last one says why there are no more, if something prevents them.  Empty if there are none.
    """
    problem = run.metadata.get(PROBLEM_KEY)
    problems = [markup.inline(problem, _PROBLEM_CHARS)] if isinstance(problem, str) else []
    if not checkpoints and not problems:
        return []
    lines = [f"{markup.strong('Checkpoints')} · {len(checkpoints)}"]
    return [*lines, *_newest(checkpoints, markup), *problems]


def _newest(checkpoints: Sequence[Checkpoint], markup: Markup) -> list[str]:
    shown = checkpoints[-_SHOWN:]
    lines = []
    if len(shown) < len(checkpoints):
        lines.append(markup.quiet(f"{len(checkpoints) - len(shown)} before"))
    return lines + [checkpoint_line(one, markup) for one in shown]


def checkpoint_line(one: Checkpoint, markup: Markup) -> str:
    """A checkpoint in one line: `@2 after Add tests · 5 turns · $0.031 · 2 files +10 −0`."""
    parts = [
        f"{markup.code(f'@{one.number}')} {_where(one, markup)}",
        counts.plural(one.turns, "turn"),
        *([] if one.cost_usd is None else [money.dollars(one.cost_usd)]),
        *_changes(one),
        markup.clock_time(one.taken_at),
    ]
    if one.is_call_open:
        parts.append("a tool was working")
    if one.not_stored is not None:
        parts.append(NOT_STORED[one.not_stored])
    return " · ".join(parts)


def _where(one: Checkpoint, markup: Markup) -> str:
    name = markup.inline(one.step_name or "", _NAME_CHARS)
    words = REASONS[one.reason]
    if not name:
        return {"after": "after a step", "during": "while it worked"}.get(words, words)
    return f"{words} {name}" if words in ("after", "during") else f"{words}, {name}"


def _changes(one: Checkpoint) -> list[str]:
    diff = one.diff
    if diff is None:
        return []
    if not diff.files:
        return ["no file changed"]
    return [f"{counts.plural(diff.files, 'file')} +{diff.added:,} −{diff.removed:,}"]
