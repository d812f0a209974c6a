"""The agent's task list, rebuilt from its tool calls.  Pure.

There are two sets of tools.  Current versions of the program have TaskCreate and TaskUpdate; a
task's id appears only in the text of the result ("Task #1 created successfully").  Older
versions rewrite the whole list with TodoWrite.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from core.agent.program_values import result_text
from core.domain.runs.event import PlanItem, ToolFinished, ToolStarted
from core.domain.runs.step import StepStatus

_WRITE_TOOLS = frozenset({"TaskCreate", "TaskUpdate", "TodoWrite"})
# The program counts its tasks.  An id is also a file's name (see `task_files`).
_MAX_ID_CHARS = 20
_CREATED_PATTERN = re.compile(rf"Task #(\w{{1,{_MAX_ID_CHARS}}}) created")
# Of a plan that people read; each event is compared with all of them.
_MAX_ITEMS = 100
# Calls of a program that sends no results; it waits for those of one answer.
_MAX_PENDING_CALLS = 100

_STATUSES: Mapping[str, StepStatus] = MappingProxyType(
    {
        "pending": StepStatus.PENDING,
        "in_progress": StepStatus.IN_PROGRESS,
        "completed": StepStatus.COMPLETED,
        "deleted": StepStatus.SKIPPED,
        "cancelled": StepStatus.SKIPPED,
    }
)


_STATUS_WORDS: Mapping[StepStatus, str] = MappingProxyType(
    {
        StepStatus.PENDING: "pending",
        StepStatus.IN_PROGRESS: "in_progress",
        StepStatus.COMPLETED: "completed",
        StepStatus.FAILED: "pending",
        StepStatus.SKIPPED: "deleted",
    }
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The task list at one moment.

    Attributes:
        pending_calls: Calls that change the list and have no result yet, by call id; each with
            the list as it was before the call.
    """

    items: tuple[PlanItem, ...] = ()
    pending_calls: Mapping[str, tuple[ToolStarted, tuple[PlanItem, ...]]] = field(
        default_factory=dict
    )

    def apply(self, event: ToolStarted | ToolFinished) -> Plan:
        """Return the plan after a tool event.  Events of subagents change nothing.

        A change of status takes effect with the call, not with its result: tools that are called
        later in the same answer then belong to the right item.  It is undone if the call fails.
        """
        if event.is_subagent:
            return self
        if isinstance(event, ToolStarted):
            return self._apply_call(event)
        if event.tool_use_id not in self.pending_calls:
            return self
        call, before = self.pending_calls[event.tool_use_id]
        pending_calls = {
            key: value for key, value in self.pending_calls.items() if key != event.tool_use_id
        }
        # The program does not flag the answer "Task not found" as an error.
        if event.is_error or "not found" in event.output.lower():
            return Plan(items=_revert(self.items, call, before), pending_calls=pending_calls)
        if call.name == "TaskCreate":
            return Plan(
                items=_create_item(self.items, call.input, event.output),
                pending_calls=pending_calls,
            )
        if call.name == "TaskUpdate":
            return Plan(items=_update_item(self.items, call.input), pending_calls=pending_calls)
        return Plan(items=self.items, pending_calls=pending_calls)

    def _apply_call(self, call: ToolStarted) -> Plan:
        if call.name not in _WRITE_TOOLS:
            return self
        items = self.items
        if call.name == "TodoWrite":
            items = _items_from_todos(call.input.get("todos"), items)
        elif call.name == "TaskUpdate" and _find_item(items, call.input) is not None:
            items = _update_item(items, call.input)
        newest = list(self.pending_calls.items())[1 - _MAX_PENDING_CALLS :]
        return Plan(
            items=items, pending_calls={**dict(newest), call.tool_use_id: (call, self.items)}
        )


def task_files(items: Sequence[PlanItem]) -> dict[str, str]:
    """Build the files in which the program stores a task list: name to content.

    With them a resumed session continues its numbering.  Without them it would not know
    "Task #3", and would call its next task "#1".
    """
    numbered = [
        item
        for item in items
        if item.source_id.isdecimal() and len(item.source_id) <= _MAX_ID_CHARS
    ]
    files = {
        f"{item.source_id}.json": json.dumps(
            {
                "id": item.source_id,
                "subject": item.name,
                "description": item.name,
                "activeForm": item.active_name or item.name,
                "status": _STATUS_WORDS[item.status],
                "blocks": [],
                "blockedBy": [],
            }
        )
        for item in numbered
        if item.status is not StepStatus.SKIPPED
    }
    highest = max((int(item.source_id) for item in numbered), default=0)
    return {**files, ".highwatermark": str(highest)}


def _revert(
    items: tuple[PlanItem, ...], call: ToolStarted, before: tuple[PlanItem, ...]
) -> tuple[PlanItem, ...]:
    if call.name == "TodoWrite":
        return before
    earlier = _find_item(before, call.input)
    return items if earlier is None else _put_item(items, earlier)


def _create_item(
    items: tuple[PlanItem, ...], tool_input: Mapping[str, object], output: str
) -> tuple[PlanItem, ...]:
    found = _CREATED_PATTERN.search(output)
    if found is None:
        return items
    created = PlanItem(
        source_id=found[1],
        name=_text(tool_input.get("subject")) or f"Task #{found[1]}",
        status=StepStatus.PENDING,
        active_name=_text(tool_input.get("activeForm")),
    )
    return _put_item(items, created)


def _update_item(
    items: tuple[PlanItem, ...], tool_input: Mapping[str, object]
) -> tuple[PlanItem, ...]:
    source_id = _task_id(tool_input)
    if not source_id:
        return items
    present = _find_item(items, tool_input) or PlanItem(
        source_id=source_id, name=f"Task #{source_id}", status=StepStatus.PENDING
    )
    changed = replace(
        present,
        name=_text(tool_input.get("subject")) or present.name,
        status=_STATUSES.get(str(tool_input.get("status")), present.status),
        active_name=_text(tool_input.get("activeForm")) or present.active_name,
    )
    return _put_item(items, changed)


def _task_id(tool_input: Mapping[str, object]) -> str:
    task_id = str(tool_input.get("taskId") or "").lstrip("#")
    return task_id if len(task_id) <= _MAX_ID_CHARS else ""


def _find_item(items: tuple[PlanItem, ...], tool_input: Mapping[str, object]) -> PlanItem | None:
    """Return the item that a call refers to."""
    return next((item for item in items if item.source_id == _task_id(tool_input)), None)


def _put_item(items: tuple[PlanItem, ...], item: PlanItem) -> tuple[PlanItem, ...]:
    """Replace the item with the same id; insert a new one in the order of the numbers.

    A full plan takes no new item.
    """
    for position, present in enumerate(items):
        if present.source_id == item.source_id:
            return (*items[:position], item, *items[position + 1 :])
    if len(items) >= _MAX_ITEMS:
        return items
    if item.source_id.isdecimal():
        for position, present in enumerate(items):
            if present.source_id.isdecimal() and int(present.source_id) > int(item.source_id):
                return (*items[:position], item, *items[position:])
    return (*items, item)


def _items_from_todos(todos: object, items: tuple[PlanItem, ...]) -> tuple[PlanItem, ...]:
    if not isinstance(todos, list):
        return items
    return tuple(
        PlanItem(
            source_id=str(number),
            name=_text(todo.get("content")) or f"Task {number}",
            status=_STATUSES.get(str(todo.get("status")), StepStatus.PENDING),
            active_name=_text(todo.get("activeForm")),
        )
        for number, todo in enumerate(todos[:_MAX_ITEMS], start=1)
        if isinstance(todo, Mapping)
    )


def _text(value: object) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def plan_of_transcript(entries: Iterable[Mapping[str, Any]]) -> tuple[PlanItem, ...]:
    """The task list after the entries of a main transcript, in their order.

    Names are as the agent gave them: they are not redacted.
    """
    plan = Plan()
    for entry in entries:
        if entry.get("isSidechain"):
            continue
        message = entry.get("message")
        content = message.get("content") if isinstance(message, Mapping) else None
        for block in content if isinstance(content, list) else ():
            event = _event_of_block(block)
            if event is not None:
                plan = plan.apply(event)
    return plan.items


def _event_of_block(block: object) -> ToolStarted | ToolFinished | None:
    if not isinstance(block, Mapping):
        return None
    if block.get("type") == "tool_use" and block.get("name") in _WRITE_TOOLS:
        given = block.get("input")
        return ToolStarted(
            tool_use_id=str(block.get("id")),
            name=str(block["name"]),
            summary="",
            input=given if isinstance(given, Mapping) else {},
        )
    if block.get("type") == "tool_result":
        return ToolFinished(
            tool_use_id=str(block.get("tool_use_id")),
            is_error=bool(block.get("is_error")),
            output=result_text(block.get("content")),
        )
    return None
