"""What a running run did last, in words: `Editing 3 files`, `Running: make test`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from core.domain.runs.activity.awaited import Awaited, AwaitedKind
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import Run, RunStatus, WaitingOn
from core.domain.steps.kinds import PLAN_TOOLS

_MAX_CHARS = 160

WAITING_WORDS: Mapping[WaitingOn, str] = MappingProxyType(
    {
        WaitingOn.APPROVAL: "Waiting for an approval",
        WaitingOn.QUESTION: "Waiting for an answer",
        WaitingOn.BUDGET: "Waiting for a budget",
        WaitingOn.USAGE_LIMIT: "Waiting for the account's usage limit to reset",
    }
)
# Before its first answer, and while that fails.  Otherwise the last tools say more.
_AWAITED_WORDS: Mapping[AwaitedKind, str] = MappingProxyType(
    {
        AwaitedKind.WORKSPACE: "Preparing the workspace",
        AwaitedKind.PROGRAM: "Starting the agent",
        AwaitedKind.RETRY: "Asking the model again",
    }
)


@dataclass(frozen=True)
class _Kind:
    """Words for calls of one kind: of one thing (`{}`), and of several (`{}` is the number)."""

    one: str
    several: str | None = None
    unnamed: str = ""


_EDIT = _Kind("Editing {}", "Editing {} files", "Editing files")
_READ = _Kind("Reading {}", "Reading {} files", "Reading files")
_SEARCH = _Kind("Searching for {}", unnamed="Searching the code")
_RUN = _Kind("Running: {}", unnamed="Running a command")
_DELEGATE = _Kind("Delegating: {}", unnamed="Delegating to a helper")
_PLAN = _Kind("Updating its task list", unnamed="Updating its task list")
_KIND_OF_TOOL: Mapping[str, _Kind] = MappingProxyType(
    {
        **dict.fromkeys(("Edit", "Write", "MultiEdit", "NotebookEdit"), _EDIT),
        **dict.fromkeys(("Read", "NotebookRead"), _READ),
        **dict.fromkeys(("Grep", "Glob"), _SEARCH),
        "LS": _Kind("Listing {}", unnamed="Listing files"),
        "WebFetch": _Kind("Reading {}", unnamed="Reading a web page"),
        "WebSearch": _Kind("Searching the web for {}", unnamed="Searching the web"),
        **dict.fromkeys(("Bash", "BashOutput"), _RUN),
        **dict.fromkeys(("Task", "Agent", "Workflow"), _DELEGATE),
        "AskUserQuestion": _Kind("Asking a question", unnamed="Asking a question"),
        **dict.fromkeys(PLAN_TOOLS, _PLAN),
    }
)


def recent_activity(run: Run, events: Sequence[EventRecord]) -> str | None:
    """What the run does, or did last; `None` if it does not run, or nothing is known.

    Args:
        run: The run.
        events: Its newest events, oldest first.
    """
    if run.status is not RunStatus.RUNNING:
        return None
    if run.kill_requested_at is not None:
        return "Stopping"
    if run.waiting_on is not None:
        return WAITING_WORDS[run.waiting_on]
    awaited = Awaited.of_run(run)
    if awaited is not None and awaited.kind in _AWAITED_WORDS:
        return _AWAITED_WORDS[awaited.kind]
    return _tool_words(events) or _text_words(events)


def _tool_words(events: Sequence[EventRecord]) -> str | None:
    """The last calls of the main agent that are of one kind."""
    calls = [_call(event) for event in events if _is_of_main(event, EventKind.TOOL_STARTED)]
    if not calls:
        return None
    # The plan is a note about the work; it counts if there is nothing else.
    work = [call for call in calls if call[0] not in PLAN_TOOLS] or calls
    name = work[-1][0]
    kind = _KIND_OF_TOOL.get(name) or _other_kind(name)
    subjects: dict[str, None] = {}
    for called, subject in reversed(work):
        if called != name and _KIND_OF_TOOL.get(called) is not kind:
            break
        subjects[subject] = None
    if kind.several is not None and len(subjects) > 1:
        return kind.several.format(len(subjects))
    newest = next(iter(subjects))
    return _clip(kind.one.format(newest) if newest else kind.unnamed)


def _text_words(events: Sequence[EventRecord]) -> str | None:
    texts = [event for event in events if _is_of_main(event, EventKind.AGENT_TEXT)]
    line = _first_line(texts[-1].data.get("text")) if texts else ""
    return _clip(f"Writing: {line}") if line else None


def _is_of_main(event: EventRecord, kind: EventKind) -> bool:
    return event.kind is kind and not event.data.get("subagent")


def _call(event: EventRecord) -> tuple[str, str]:
    return _first_line(event.data.get("name")), _first_line(event.data.get("summary"))


def _other_kind(tool: str) -> _Kind:
    """The words for any other tool; one of an MCP server is called `mcp__<server>__<tool>`."""
    parts = tool.split("__", 2)
    if parts[0] == "mcp" and len(parts) == 3:
        shown = f"{parts[1]}: {parts[2].replace('_', ' ')}"
    else:
        shown = tool or "a tool"
    words = f"Using {shown}".replace("{", "").replace("}", "")
    return _Kind(words, unnamed=words)


def _first_line(value: object) -> str:
    if not isinstance(value, str):
        return ""
    return next((line.strip() for line in value.splitlines() if line.strip()), "")


def _clip(words: str) -> str:
    return words if len(words) <= _MAX_CHARS else f"{words[: _MAX_CHARS - 1]}…"
