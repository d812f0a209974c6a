"""The kinds of steps, told by their source: items of a plan, and what stands in for a plan.

A run has steps of one kind.  If the agent keeps a task list, they are its items (source "1" of
"Task #1").  Otherwise the steps that it announces in its texts ("Step 2/5: …") stand in for a
plan, and without those the phases of its work: looking around, changing files, running commands.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from core.domain.runs.step import Step

# The tools of the agent's task list; their calls are no work of a step.
PLAN_TOOLS = frozenset({"TaskCreate", "TaskUpdate", "TaskList", "TaskGet", "TaskStop", "TodoWrite"})

_PHASE_PREFIX = "phase:"
_MARKER_PREFIX = "marker:"

_PHASE_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "look": "Look around",
        "change": "Change files",
        "run": "Run commands",
        "delegate": "Delegate to helpers",
        "other": "Use other tools",
    }
)
_PHASE_OF_TOOL: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            ("Read", "Grep", "Glob", "LS", "WebFetch", "WebSearch", "NotebookRead"), "look"
        ),
        **dict.fromkeys(("Edit", "Write", "MultiEdit", "NotebookEdit"), "change"),
        **dict.fromkeys(("Bash", "BashOutput", "KillShell"), "run"),
        **dict.fromkeys(("Task", "Agent", "Workflow"), "delegate"),
    }
)


def is_phase(step: Step) -> bool:
    """Whether the step is a phase of work."""
    return bool(step.source_id and step.source_id.startswith(_PHASE_PREFIX))


def is_marker(step: Step) -> bool:
    """Whether the agent announced the step in a text."""
    return bool(step.source_id and step.source_id.startswith(_MARKER_PREFIX))


def is_stand_in(step: Step) -> bool:
    """Whether the step stands in for a plan."""
    return (step.source_id or "").startswith((_PHASE_PREFIX, _MARKER_PREFIX))


def phase_of(tool: str) -> tuple[str, str]:
    """Source and name of the phase in which a tool is used."""
    phase = _PHASE_OF_TOOL.get(tool, "other")
    return _PHASE_PREFIX + phase, _PHASE_NAMES[phase]


def marker_source(number: int, total: int | None) -> str:
    """The source of an announced step: its number, and how many there are if the agent said so."""
    return f"{_MARKER_PREFIX}{number}" if total is None else f"{_MARKER_PREFIX}{number}/{total}"


def marker_total(step: Step) -> int | None:
    """How many steps there are according to an announced step; `None` if the agent did not say."""
    total = (step.source_id or "").rpartition("/")[2]
    return int(total) if is_marker(step) and total.isdecimal() else None
