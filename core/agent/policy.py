"""The permission policy for an agent's tool calls.  Pure.

The program asks about each call that neither the workflow's tools nor its permission mode
allow.  No person is asked: the call is denied, with a message that says what to do instead.
"""

from dataclasses import replace

from core.agent.definitions.tool_effects import WRITING_TOOLS, ToolEffect, effect_of
from core.domain.steps.kinds import PLAN_TOOLS
from core.domain.workflow import PermissionMode, WorkflowDefinition

# These have effects beyond the run: they outlive it, leave its workspace, or message other agents.
ALWAYS_DENIED_TOOLS = (
    "CronCreate", "CronDelete", "CronList", "EnterWorktree", "ExitWorktree", "ListAgents",
    "Monitor", "RemoteTrigger", "ScheduleWakeup", "SendMessage",
)  # fmt: skip

# These allow edits without a rule.
_WRITING_MODES = (PermissionMode.ACCEPT_EDITS, PermissionMode.BYPASS)


def effective_definition(
    definition: WorkflowDefinition, *, is_isolated: bool
) -> WorkflowDefinition:
    """Return the definition as an agent gets it.

    An isolated agent of a read-only workflow has a workspace that the kernel keeps unchanged, and
    may run what it likes.  Without isolation it keeps only rules that cannot change anything: no
    rule that runs the repository's code, no settings and no servers from which code runs.
    """
    if is_isolated or not definition.read_only:
        return definition
    is_writing = definition.permission_mode in _WRITING_MODES
    return replace(
        definition,
        allowed_tools=tuple(
            rule for rule in definition.allowed_tools if effect_of(rule) is ToolEffect.READS
        ),
        disallowed_tools=tuple(
            dict.fromkeys((*definition.disallowed_tools, *sorted(WRITING_TOOLS)))
        ),
        permission_mode=PermissionMode.DEFAULT if is_writing else definition.permission_mode,
        setting_sources=(),
        mcp_servers={
            name: server
            for name, server in definition.mcp_servers.items()
            if "command" not in server
        },
    )


def effect_of_definition(definition: WorkflowDefinition) -> ToolEffect:
    """What an agent of this workflow can do at most, apart from `read_only`."""
    effects = [
        effect_of(rule)
        for rule in definition.allowed_tools
        if rule not in definition.disallowed_tools
    ]
    if definition.permission_mode is PermissionMode.ACCEPT_EDITS:
        effects.append(ToolEffect.WRITES)
    runs_code = (
        definition.permission_mode is PermissionMode.BYPASS
        or definition.setting_sources
        or any("command" in server for server in definition.mcp_servers.values())
    )
    if runs_code:
        effects.append(ToolEffect.RUNS_CODE)
    return max(effects, default=ToolEffect.READS)


def allowed_rules(definition: WorkflowDefinition) -> tuple[str, ...]:
    """The permission rules of calls that need no question; the task list's tools are included."""
    return tuple(dict.fromkeys((*definition.allowed_tools, *sorted(PLAN_TOOLS))))


def denied_tools(definition: WorkflowDefinition) -> tuple[str, ...]:
    """The tools and rules that are denied even if something else allows them."""
    return tuple(dict.fromkeys((*definition.disallowed_tools, *ALWAYS_DENIED_TOOLS)))


def denial_message(tool: str, definition: WorkflowDefinition) -> str:
    """The answer to the agent when it requests a call that the policy does not allow."""
    if tool == "AskUserQuestion":
        return (
            "Nobody can answer during this run. Choose what seems best, go on, and say in "
            "your final summary what you assumed."
        )
    if tool == "ExitPlanMode":
        if definition.permission_mode is PermissionMode.PLAN:
            return "This workflow ends with the plan. Give it as your final answer, and stop."
        return "There is nobody to approve the plan. Carry it out within your permissions."
    allowed = ", ".join(definition.allowed_tools) or "only what its permission mode permits"
    return (
        f"The workflow {definition.name} does not permit this use of {tool} "
        f"(permitted without asking: {allowed}). Find another way, or say in your final "
        "summary what you would need it for."
    )
