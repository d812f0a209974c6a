"""Lines of a log as the page shows them: who speaks, what is shown at once, and what is folded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from markupsafe import Markup

from bot.web.dashboard.log import ansi, folding
from bot.web.dashboard.log.ansi_html import lines_html
from bot.words.runs.log_lines import whole_text
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.log_view import LogLine
from core.domain.runs.run import StopReason

# An event has 4,000 characters at most; this is for rows of other programs.
_MAX_CHARS = 20_000


class Speaker(StrEnum):
    """Whose line it is; the values are names of classes."""

    AGENT = "agent"
    TOOL = "tool"
    PERSON = "person"
    RUN = "run"


# Who says it, and the word before the line.
_SPEAKERS: Mapping[EventKind, tuple[Speaker, str]] = MappingProxyType(
    {
        EventKind.RUN_QUEUED: (Speaker.PERSON, "queue"),
        EventKind.RUN_STARTED: (Speaker.RUN, "start"),
        EventKind.RUN_REQUEUED: (Speaker.RUN, "queue"),
        EventKind.ATTEMPT_FAILED: (Speaker.RUN, "attempt"),
        EventKind.RUN_ENDED: (Speaker.RUN, "end"),
        EventKind.WORKSPACE_READY: (Speaker.RUN, "files"),
        EventKind.AGENT_STARTED: (Speaker.AGENT, "agent"),
        EventKind.AGENT_TEXT: (Speaker.AGENT, "agent"),
        EventKind.TOOL_STARTED: (Speaker.TOOL, "tool"),
        EventKind.TOOL_FINISHED: (Speaker.TOOL, "result"),
        EventKind.PLAN_CHANGED: (Speaker.AGENT, "plan"),
        EventKind.API_RETRY: (Speaker.RUN, "model"),
        EventKind.RATE_LIMIT: (Speaker.RUN, "limit"),
        EventKind.MESSAGE_CONSUMED: (Speaker.PERSON, "message"),
        EventKind.AGENT_RESULT: (Speaker.AGENT, "agent"),
        EventKind.KILL_PHASE: (Speaker.PERSON, "kill"),
        EventKind.CRITICAL_WAITED: (Speaker.PERSON, "kill"),
        EventKind.KILL_UNCONFIRMED: (Speaker.PERSON, "kill"),
        EventKind.WORKER_LOST: (Speaker.RUN, "worker"),
        EventKind.LEFTOVERS_ENDED: (Speaker.RUN, "worker"),
        EventKind.WORK_CARRIED: (Speaker.RUN, "files"),
        EventKind.WORK_RESTORED: (Speaker.RUN, "files"),
        EventKind.CHECKPOINT_RESTORED: (Speaker.RUN, "files"),
        EventKind.HOST_REFUSED: (Speaker.RUN, "network"),
        EventKind.MCP_SERVER_FAILED: (Speaker.RUN, "MCP"),
    }
)
_BAD = frozenset(
    {
        EventKind.ATTEMPT_FAILED,
        EventKind.WORKER_LOST,
        EventKind.KILL_UNCONFIRMED,
        EventKind.MCP_SERVER_FAILED,
        EventKind.HOST_REFUSED,
        EventKind.API_RETRY,
    }
)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a line's text.

    Attributes:
        label: What the press opens; empty if it is shown.
    """

    html: Markup
    label: str


@dataclass(frozen=True, kw_only=True)
class LogRow:
    """A line of a log.

    Attributes:
        number: Its place in the whole log.
        at_ms: Milliseconds since 1970.
        clock: The time in UTC, for pages without a script.
        label: The word before it.
        is_bad: Whether something failed.
    """

    number: int
    at_ms: int
    clock: str
    speaker: Speaker
    label: str
    is_bad: bool
    parts: Sequence[Part]


def log_row(line: LogLine) -> LogRow:
    """A line as the page shows it.  Pure."""
    event = line.event
    speaker, label = _SPEAKERS[event.kind]
    is_bad = _is_bad(event)
    if event.kind is EventKind.TOOL_FINISHED and is_bad:
        label = "failed"
    if event.data.get("subagent"):
        label = f"sub{label}" if speaker is Speaker.AGENT else f"{label} ↳"
    text = _text(event)
    cut = len(text) - _MAX_CHARS
    lines = ansi.parse(text[:_MAX_CHARS].rstrip("\n"))
    parts = [Part(html=lines_html(one.lines), label=one.label) for one in folding.fold(lines)]
    if cut > 0:
        parts.append(Part(html=Markup("… {} more characters are cut here").format(cut), label=""))
    return LogRow(
        number=line.number,
        at_ms=int(event.at.timestamp() * 1000),
        clock=event.at.strftime("%H:%M:%S"),
        speaker=speaker,
        label=label,
        is_bad=is_bad,
        parts=parts,
    )


def _text(event: EventRecord) -> str:
    """What a line says; the word before it is said already."""
    data = event.data
    if event.kind is EventKind.AGENT_TEXT:
        return str(data.get("text") or "")
    if event.kind is EventKind.TOOL_STARTED:
        return " ".join(str(data[name]) for name in ("name", "summary") if data.get(name))
    if event.kind is EventKind.TOOL_FINISHED:
        output = str(data.get("output") or "")
        return output if output.strip() else "(no output)"
    return whole_text(event)


def _is_bad(event: EventRecord) -> bool:
    data = event.data
    if event.kind is EventKind.TOOL_FINISHED:
        return bool(data.get("error"))
    if event.kind is EventKind.RUN_ENDED:
        return data.get("stop_reason") != StopReason.SUCCESS
    if event.kind is EventKind.AGENT_RESULT:
        return data.get("subtype") != "success"
    return event.kind in _BAD
