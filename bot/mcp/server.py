"""The MCP server: its tools' names, schemas and annotations, and the answers to calls.

The library's low-level server, because its high-level one changes the logging of the process.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)
from pydantic import ValidationError

from bot.mcp.advice import error_text
from bot.mcp.arguments import (
    Arguments,
    ContinueWorkflow,
    GetWorkflowStatus,
    KillWorkflow,
    ListRuns,
    RestartWorkflow,
    RunWorkflow,
    problem_words,
)
from bot.mcp.progress_results import Result
from bot.mcp.results import (
    KillResult,
    RestartResult,
    RunResult,
    RunsResult,
    StartedResult,
    run_result,
)
from bot.mcp.tools import Tools, Watch
from core.domain.actor import Actor
from core.domain.errors import OpsError
from core.domain.runs.snapshot import RunSnapshot
from core.domain.workflow import WorkflowDefinition

log = logging.getLogger(__name__)

Context = ServerRequestContext[dict[str, Any], Any]
# Who makes a call: the same person for all of a pipe, the token's owner over HTTP.
ActorOf = Callable[[Context], Awaitable[Actor]]
_Act = Callable[[Tools, Any, Actor, Watch], Awaitable[Result]]

_INSTRUCTIONS = (
    "Signalbox runs Claude Code workflows: each run is an agent in a git workspace of its own. "
    "Start one with run_workflow, watch it with get_workflow_status, and go on with "
    "continue_workflow after a limit. What people see of it in Slack is the same state."
)
_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)


@dataclass(frozen=True, kw_only=True)
class _ToolKind:
    """One tool.

    Attributes:
        description: May contain `{workflows}`.
    """

    title: str
    description: str
    arguments: type[Arguments]
    result: type[Result]
    annotations: ToolAnnotations
    act: _Act


_TOOLS: Mapping[str, _ToolKind] = {
    "run_workflow": _ToolKind(
        title="Run a workflow",
        description="Start a workflow on a task. Answers at once; the run goes on by itself.\n\n"
        "Workflows:\n{workflows}",
        arguments=RunWorkflow,
        result=StartedResult,
        # It spends money and lets an agent change its own workspace, but nothing that exists.
        annotations=ToolAnnotations(
            read_only_hint=False, destructive_hint=False, idempotent_hint=False
        ),
        act=lambda tools, given, by, _: tools.run_workflow(given, by=by),
    ),
    "get_workflow_status": _ToolKind(
        title="Look at a run",
        description="The state of a run: status, steps, turns, cost, what it changed, its report. "
        "With wait_seconds it waits until the run has ended or needs a person.",
        arguments=GetWorkflowStatus,
        result=RunResult,
        annotations=_READS,
        act=lambda tools, given, by, watch: tools.get_workflow_status(given, by=by, watch=watch),
    ),
    "list_runs": _ToolKind(
        title="List runs",
        description="The newest runs, without their reports and steps.",
        arguments=ListRuns,
        result=RunsResult,
        annotations=_READS,
        act=lambda tools, given, by, _: tools.list_runs(given, by=by),
    ),
    "continue_workflow": _ToolKind(
        title="Continue a run",
        description="Start the next run of the session of a run that has ended: the same "
        "conversation and workspace, with a message or more turns.",
        arguments=ContinueWorkflow,
        result=StartedResult,
        annotations=ToolAnnotations(
            read_only_hint=False, destructive_hint=False, idempotent_hint=False
        ),
        act=lambda tools, given, by, _: tools.continue_workflow(given, by=by),
    ),
    "restart_workflow": _ToolKind(
        title="Restart a run",
        description="Restart a run that has ended, from its start or from a checkpoint, as a new "
        "run with a session and a workspace of its own; the old ones stay. Unless preview is false "
        "it only says what that would do, and from where one can restart.",
        arguments=RestartWorkflow,
        result=RestartResult,
        annotations=ToolAnnotations(
            read_only_hint=False, destructive_hint=False, idempotent_hint=False
        ),
        act=lambda tools, given, by, _: tools.restart_workflow(given, by=by),
    ),
    "kill_workflow": _ToolKind(
        title="Kill a run",
        description="End a run and all its processes, and say whether that is proven. Its work is "
        "saved first, and it can be continued.",
        arguments=KillWorkflow,
        result=KillResult,
        annotations=ToolAnnotations(
            read_only_hint=False,
            destructive_hint=True,
            idempotent_hint=True,
            open_world_hint=False,
        ),
        act=lambda tools, given, by, watch: tools.kill_workflow(given, by=by, watch=watch),
    ),
}


def build_server(tools: Tools, actor_of: ActorOf, *, version: str) -> Server[dict[str, Any]]:
    """The server, for any transport.

    Args:
        tools: What the calls do.
        actor_of: Finds the actor of a call; may raise an `OpsError`.
        version: The program's version.
    """

    async def list_tools(_: Context, __: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=tool_list(tools.runs.workflows))

    async def call_tool(context: Context, params: CallToolRequestParams) -> CallToolResult:
        kind = _TOOLS.get(params.name)
        if kind is None:
            raise MCPError(INVALID_PARAMS, f"There is no tool of this name; {', '.join(_TOOLS)}.")
        try:
            given = kind.arguments.model_validate(params.arguments or {})
            by = await actor_of(context)
            result = await kind.act(tools, given, by, _watch(context, tools))
        except ValidationError as error:
            return _failed("bad_arguments", problem_words(error))
        except OpsError as error:
            return _failed(error.code, error_text(error))
        except Exception:
            reference = uuid4().hex[:8]
            log.exception(
                "the tool %s failed, reference %s",
                params.name,
                reference,
                extra={"event": "mcp_tool.failed", "tool": params.name, "reference": reference},
            )
            return _failed(
                "internal_error",
                f"This is a defect of Signalbox, reference `{reference}`. Look at the state with "
                "`list_runs` before you try again: the call may have had its effect.",
            )
        return CallToolResult(
            content=[TextContent(text=result.model_dump_json())],
            structured_content=result.model_dump(mode="json"),
        )

    return Server(
        "signalbox",
        version=version,
        title="Signalbox",
        instructions=_INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def tool_list(workflows: tuple[WorkflowDefinition, ...]) -> list[Tool]:
    """The tools as a client sees them."""
    lines = "\n".join(f"- {one.name}: {one.description}" for one in workflows)
    return [
        Tool(
            name=name,
            title=kind.title,
            description=kind.description.replace("{workflows}", lines),
            input_schema=kind.arguments.model_json_schema(),
            output_schema=kind.result.model_json_schema(mode="serialization"),
            annotations=kind.annotations,
        )
        for name, kind in _TOOLS.items()
    ]


def _watch(context: Context, tools: Tools) -> Watch:
    """Report a run's turns as progress; nothing is sent to a client that did not ask for it."""
    reported = -1

    async def report(seen: RunSnapshot) -> None:
        nonlocal reported
        if seen.run.turns <= reported:
            # Progress must rise.
            return
        reported = seen.run.turns
        await context.session.report_progress(
            seen.run.turns, seen.run.max_turns, run_result(seen, now=tools.clock()).summary
        )

    return report


def _failed(code: str, words: str) -> CallToolResult:
    return CallToolResult(
        content=[TextContent(text=words)],
        structured_content={"error": code, "message": words},
        is_error=True,
    )
