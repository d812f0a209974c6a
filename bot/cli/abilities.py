"""What workflows can do, in one line for people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from types import MappingProxyType

from core.agent.definitions.tool_effects import ToolEffect
from core.agent.policy import effect_of_definition
from core.domain.workflow import WorkflowDefinition

_READ_ONLY = "change nothing"
ABILITIES = MappingProxyType(
    {
        ToolEffect.RUNS_CODE: "run any code in their workspace",
        ToolEffect.WRITES: "change files in their workspace",
        ToolEffect.READS: "only read",
    }
)


def abilities_line(definitions: Iterable[WorkflowDefinition]) -> str:
    """Group workflows by what they can do: `run any code …: fix, pr; change nothing: review`."""
    groups: dict[str, list[str]] = defaultdict(list)
    for definition in definitions:
        ability = (
            _READ_ONLY if definition.read_only else ABILITIES[effect_of_definition(definition)]
        )
        groups[ability].append(definition.name)
    order = (*ABILITIES.values(), _READ_ONLY)
    return "; ".join(
        f"{ability}: {', '.join(groups[ability])}" for ability in order if ability in groups
    )
