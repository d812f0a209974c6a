"""The permission policy for an agent's tool calls.  Pure.

The program asks about each call that neither the workflow's tools nor its permission mode
allow.  No person is asked: the call is denied, with a message that says what to do instead.
"""

from core.agent.plan import PLAN_TOOLS
from core.domain.workflow import PermissionMode, WorkflowDefinition

# These have effects beyond the run: they outlive it, leave its workspace, or message other agents.
ALWAYS_DENIED_TOOLS = (
    "CronCreate", "CronDelete", "CronList", "EnterWorktree", "ExitWorktree", "ListAgents",
    "Monitor", "RemoteTrigger", "ScheduleWakeup", "SendMessage",
)  # fmt: skip


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
