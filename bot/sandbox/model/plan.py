"""The scripted model's task list, in the format that the running program understands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bot.sandbox.model.script import Conversation, ToolCall

_CREATED = re.compile(r"Task #(\d+) created")
_CREATE_TOOL = "TaskCreate"


@dataclass(frozen=True)
class PlanStep:
    """One step, in both forms the program asks for: to do, and in progress."""

    name: str
    active_name: str


def create_plan(steps: Sequence[PlanStep]) -> tuple[ToolCall, ...]:
    """Calls that create the list with all steps pending."""
    return tuple(
        ToolCall(
            _CREATE_TOOL,
            {
                "subject": step.name,
                "description": f"{step.name}.",
                "activeForm": step.active_name,
            },
        )
        for step in steps
    )


def update_plan(
    conversation: Conversation, steps: Sequence[PlanStep], *, done: int
) -> tuple[ToolCall, ...]:
    """Calls after which `done` steps are completed and the next one is in progress.

    A program without TaskCreate gets the whole list as TodoWrite; if it refused that too,
    there is no list.
    """
    created = [r for r in conversation.results if r.name == _CREATE_TOOL]
    ids = [match[1] for r in created if (match := _CREATED.search(r.text))]
    if len(ids) >= len(steps):
        return _task_updates(ids, done)
    if any(r.name == "TodoWrite" and r.is_error for r in conversation.results):
        return ()
    return (todo_write(steps, done=done),)


def todo_write(steps: Sequence[PlanStep], *, done: int) -> ToolCall:
    """The older format: every call contains the whole list."""
    return ToolCall(
        "TodoWrite",
        {
            "todos": [
                {
                    "content": step.name,
                    "activeForm": step.active_name,
                    "status": _status(index, done),
                }
                for index, step in enumerate(steps)
            ]
        },
    )


def _status(index: int, done: int) -> str:
    if index < done:
        return "completed"
    return "in_progress" if index == done else "pending"


def _task_updates(ids: Sequence[str], done: int) -> tuple[ToolCall, ...]:
    calls: list[ToolCall] = []
    if 0 < done <= len(ids):
        calls.append(ToolCall("TaskUpdate", {"taskId": ids[done - 1], "status": "completed"}))
    if done < len(ids):
        calls.append(ToolCall("TaskUpdate", {"taskId": ids[done], "status": "in_progress"}))
    return tuple(calls)
