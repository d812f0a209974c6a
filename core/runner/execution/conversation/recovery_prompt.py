"""The first message of a recovery leg: a summary of a conversation that cannot be restored.  Pure.

It is made of what is stored, and says that it may have gaps.  The files are the better witness.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core.domain.redact import redact
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import Run
from core.domain.runs.session import Message, MessageRole
from core.domain.runs.step import Step, StepStatus

# So much of each part at most: the summary must leave the agent room to work.
_MAX_TASK_CHARS = 12_000
_MAX_SAID = 20
_MAX_SAID_CHARS = 1_500
_MAX_DEEDS = 80
_MAX_DEED_CHARS = 300
_MAX_STEPS = 60
_MAX_FILES = 60

_LEAD = (
    "This is a RECOVERY: the conversation in which this work was done so far could not be restored,"
    " and you do not remember it. What follows is a summary that was made of what is stored of it;"
    " it may have gaps. The files in the workspace are as that work left them. Look at them first"
    " (git status, git log, git diff), and where they differ from the summary, trust the files. Do"
    " not begin again what is already done."
)
_MARKS: Mapping[StepStatus, str] = {
    StepStatus.COMPLETED: "x",
    StepStatus.SKIPPED: "-",
}


def recovery_prompt(
    *,
    task: str,
    message: str,
    said: Sequence[Message],
    deeds: Sequence[str],
    steps: Sequence[Step],
    last_run: Run | None,
) -> str:
    """The message with which a recovery leg begins.

    Args:
        task: The task of the session's first run.
        message: What the person asks for now.
        said: What people and the agent said, oldest first, without the task and the message.
        deeds: What the agent did and said meanwhile, oldest first.
        steps: The task list as it was.
        last_run: The last run that worked, whose changes are named.
    """
    parts = [_LEAD, _part("The task", task[:_MAX_TASK_CHARS])]
    parts.append(_part("What was said since", "\n\n".join(_said(one) for one in said[-_MAX_SAID:])))
    shown = deeds[-_MAX_DEEDS:]
    title = "What you did, from the stored conversation"
    if len(deeds) > len(shown):
        title += f" (the last {len(shown)} of {len(deeds)} entries)"
    parts.append(_part(title, "\n".join(f"- {deed}" for deed in shown)))
    parts.append(_part("The task list", _task_list(steps)))
    parts.append(_part("The files", _files(last_run)))
    parts.append(_part("What to do now", message))
    return "\n\n".join(part for part in parts if part)


def deeds_of_transcript(lines: Iterable[str]) -> list[str]:
    """What the agent said and which tools it called, from entries of its transcript."""
    deeds: list[str] = []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, Mapping) and entry.get("type") == "assistant":
            deeds += _deeds_of_entry(entry)
    return deeds


def deeds_of_events(events: Iterable[EventRecord]) -> list[str]:
    """The same from the events of runs, where no transcript is left."""
    deeds = []
    for event in events:
        if event.data.get("subagent"):
            continue
        if event.kind is EventKind.AGENT_TEXT:
            deeds.append(_short(f"said: {event.data.get('text')}"))
        elif event.kind is EventKind.TOOL_STARTED:
            deeds.append(_short(f"{event.data.get('name')}: {event.data.get('summary')}"))
    return deeds


def _deeds_of_entry(entry: Mapping[str, Any]) -> list[str]:
    message = entry.get("message")
    content = message.get("content") if isinstance(message, Mapping) else None
    if entry.get("isSidechain") or not isinstance(content, list):
        return []
    deeds = []
    for block in content:
        if not isinstance(block, Mapping):
            continue
        if block.get("type") == "text" and str(block.get("text", "")).strip():
            deeds.append(_short(f"said: {block['text']}"))
        elif block.get("type") == "tool_use":
            deeds.append(_short(f"{block.get('name')}: {_input_words(block.get('input'))}"))
    return deeds


def _input_words(given: Any) -> str:
    """The arguments of a call, the telling one first."""
    if not isinstance(given, Mapping):
        return ""
    telling = ("command", "file_path", "path", "pattern", "subject", "taskId", "description", "url")
    named = [f"{given[name]}" for name in telling if name in given]
    return " ".join(named) if named else ", ".join(map(str, given))


def _said(message: Message) -> str:
    who = "A person" if message.role is MessageRole.USER else "You, in a report"
    return f"{who}: {redact(message.text_content)[:_MAX_SAID_CHARS]}"


def _task_list(steps: Sequence[Step]) -> str:
    if not steps:
        return ""
    lines = [f"[{_MARKS.get(step.status, ' ')}] {step.name}" for step in steps[:_MAX_STEPS]]
    return "\n".join(
        (
            *lines,
            "",
            "If you keep a task list, put what is not done on it under exactly these names.",
        )
    )


def _files(run: Run | None) -> str:
    if run is None or run.diff is None or not run.diff.files:
        return ""
    lines = []
    for file in run.diff.files[:_MAX_FILES]:
        size = "" if file.added is None else f" +{file.added} −{file.removed}"
        lines.append(f"- {file.path}{size}{'' if file.committed else ' (not committed)'}")
    left = run.diff.file_count - len(lines)
    more = [f"- and {left} more"] if left > 0 else []
    return "\n".join(("Changed by the last run that worked:", *lines, *more))


def _part(title: str, words: str) -> str:
    return f"## {title}\n\n{words.strip()}" if words.strip() else ""


def _short(words: str) -> str:
    line = " ".join(redact(words).split())
    return line if len(line) <= _MAX_DEED_CHARS else f"{line[: _MAX_DEED_CHARS - 1]}…"
