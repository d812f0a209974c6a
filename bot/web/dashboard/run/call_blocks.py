"""Tool calls as blocks of a timeline: however many there are, few enough to see and to send."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from bot.web.dashboard.shown_texts import shown_line
from bot.words import counts
from bot.words.times import duration
from core.domain.runs.tool_call import ToolCall

# Of the width.  A block can be seen from this width on; blocks that are closer than the gap are
# one, up to the longest.
_LEAST_WIDTH = 0.35
_LEAST_GAP = 0.5
_LONGEST = 2.5
_NAMED = 3
_SUMMARY_CHARS = 90

_OTHER = "Other tools"
_FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "Bash": "Commands",
        "BashOutput": "Commands",
        "KillShell": "Commands",
        "KillBash": "Commands",
        "Edit": "Edits",
        "MultiEdit": "Edits",
        "Write": "Edits",
        "NotebookEdit": "Edits",
        "Read": "Reads",
        "Glob": "Reads",
        "Grep": "Reads",
        "LS": "Reads",
        "NotebookRead": "Reads",
        "WebFetch": "Web",
        "WebSearch": "Web",
        "Task": "Subagents",
        "Agent": "Subagents",
        "TodoWrite": "Plan",
        "TaskCreate": "Plan",
        "TaskUpdate": "Plan",
        "TaskList": "Plan",
        "TaskGet": "Plan",
    }
)
# The order in which they are shown.
_ORDER = ("Commands", "Edits", "Reads", "Web", "Subagents", "Plan", _OTHER)


@dataclass(frozen=True, kw_only=True)
class CallBlock:
    """One or several calls in a lane.

    Attributes:
        heat: How much of its length a tool worked, from 1 to 4.
        has_error: Whether a call of it failed.
        is_failed: Whether all of them did.
        label: What it is, in words.
    """

    x: float
    width: float
    heat: int
    has_error: bool
    is_failed: bool
    label: str


@dataclass(frozen=True, kw_only=True)
class CallTotals:
    """The calls of one tool together.

    Attributes:
        took: The time of those that have ended.
        longest: The longest of those; `None` if none has ended.
    """

    name: str
    calls: int
    errors: int
    took: timedelta
    longest: timedelta | None


def families(calls: Sequence[ToolCall]) -> dict[str, list[ToolCall]]:
    """The calls by what their tools do, in the order in which that is shown."""
    found: defaultdict[str, list[ToolCall]] = defaultdict(list)
    for call in calls:
        found[_FAMILIES.get(call.name, _OTHER)].append(call)
    return {name: found[name] for name in _ORDER if name in found}


def totals(calls: Sequence[ToolCall]) -> list[CallTotals]:
    """The calls of each tool together, those that took longest first."""
    by_name: defaultdict[str, list[ToolCall]] = defaultdict(list)
    for call in calls:
        by_name[call.name].append(call)
    found = []
    for name, of_tool in by_name.items():
        lengths = [one.ended_at - one.started_at for one in of_tool if one.ended_at is not None]
        found.append(
            CallTotals(
                name=name,
                calls=len(of_tool),
                errors=sum(one.is_error for one in of_tool),
                took=sum(lengths, timedelta(0)),
                longest=max(lengths, default=None),
            )
        )
    return sorted(found, key=lambda one: (-one.took, -one.calls, one.name))


def blocks(
    calls: Sequence[ToolCall],
    *,
    place: Callable[[datetime], float],
    end_of: Callable[[ToolCall], datetime],
) -> list[CallBlock]:
    """The calls of one lane as blocks.

    Args:
        calls: In the order in which they began.
        place: Where a time is, from 0 to 100.
        end_of: Until when a call is drawn, also one that has not ended.
    """
    drawn: list[CallBlock] = []
    open_block: list[tuple[ToolCall, float, float]] = []

    def close() -> None:
        if open_block:
            drawn.append(_block(open_block))
            open_block.clear()

    for call in calls:
        start, end = place(call.started_at), place(end_of(call))
        if open_block:
            first = open_block[0][1]
            last = max(one[2] for one in open_block)
            is_apart = start > max(last, first + _LEAST_WIDTH) + _LEAST_GAP
            is_long = start - first > _LONGEST or end - start > _LONGEST or last - first > _LONGEST
            if is_apart or is_long:
                close()
        open_block.append((call, start, end))
    close()
    return drawn


def _block(found: Sequence[tuple[ToolCall, float, float]]) -> CallBlock:
    x, end = found[0][1], max(one[2] for one in found)
    width = max(end - x, _LEAST_WIDTH)
    busy = sum(min(stop - start, width) for _, start, stop in found) / width
    calls = [one[0] for one in found]
    return CallBlock(
        # At the very end a block would lie outside.
        x=round(min(x, 100 - width), 2),
        width=round(width, 2),
        heat=min(1 + int(busy * 4), 4),
        has_error=any(call.is_error for call in calls),
        is_failed=all(call.is_error for call in calls),
        label=_label(calls),
    )


def _label(calls: Sequence[ToolCall]) -> str:
    if len(calls) == 1:
        (call,) = calls
        words = shown_line(call.summary, _SUMMARY_CHARS) or shown_line(call.name, 60)
        took = "" if call.ended_at is None else f", {duration(call.ended_at - call.started_at)}"
        state = " (failed)" if call.is_error else "" if call.ended_at is not None else " (open)"
        return f"{words}{took}{state}"
    names = Counter(shown_line(call.name, 60) for call in calls).most_common()
    named = ", ".join(f"{count} {name}" for name, count in names[:_NAMED])
    more = len(names) - _NAMED
    errors = sum(call.is_error for call in calls)
    failed = f", {errors} failed" if errors else ""
    others = " and others" if more > 0 else ""
    return f"{counts.plural(len(calls), 'call')}: {named}{others}{failed}"
