"""The options, environment and directories with which the agent program is started."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import claude_agent_sdk
from claude_agent_sdk import (
    ClaudeAgentOptions,
    HookMatcher,
    PermissionResultDeny,
    SessionStore,
    ToolPermissionContext,
)

from core.agent.critical import GATE_SCRIPT, CriticalCalls
from core.agent.plan import task_files
from core.agent.policy import allowed_rules, denial_message, denied_tools, effective_definition
from core.agent.process import launch as launcher
from core.agent.process.isolation import AgentView, write_arguments
from core.agent.process.process_tree import ATTEMPT_MARKER, INSTALLATION_MARKER, RUN_MARKER
from core.agent.protocol import Launch
from core.agent.transcript_buffer import LOAD_TIMEOUT, TranscriptBuffer
from core.domain.workflow import PermissionMode, WorkflowDefinition

# The program writes one line for each message, and a message can contain a whole large file.
_MAX_LINE_BYTES = 64 * 1024 * 1024
_AUTHOR = "Signalbox agent"
AGENT_EMAIL = "agent@signalbox.invalid"
# Names the directory in which an agent may write that cannot change its workspace.
SCRATCH_VARIABLE = "SIGNALBOX_SCRATCH"
_INSIDE_SCRIPT = Path(__file__).parent / "process" / "launch_inside.py"
_LISTENER_SCRIPT = Path(__file__).parent / "egress" / "listener.py"
_LAUNCHER = Path(__file__).parent / "process" / "launch.sh"
BUNDLED_PROGRAM = Path(claude_agent_sdk.__file__).with_name("_bundled") / "claude"


def build_options(
    launch: Launch,
    transcript_buffer: TranscriptBuffer,
    *,
    stderr: Callable[[str], None],
    critical: CriticalCalls | None = None,
) -> ClaudeAgentOptions:
    """Build the SDK's options for a launch.

    Args:
        launch: What to start.
        transcript_buffer: Receives the transcript, and provides it when a session is resumed.
        stderr: Called with each line of the program's error output.
        critical: The tracker whose hook and environment the agent gets; `None` for neither.
    """
    definition = effective_definition(launch.definition, is_isolated=launch.isolation is not None)
    is_bypassing = definition.permission_mode is PermissionMode.BYPASS
    session_id = str(launch.session_id)
    return ClaudeAgentOptions(
        cli_path=_LAUNCHER,
        cwd=launch.cwd,
        env=environment(launch, critical),
        session_id=None if launch.resume else session_id,
        resume=session_id if launch.resume else None,
        resume_session_at=str(launch.resume_at) if launch.resume and launch.resume_at else None,
        session_store=cast("SessionStore", transcript_buffer),
        session_store_flush="eager",
        load_timeout_ms=2 * int(LOAD_TIMEOUT.total_seconds()) * 1000,
        system_prompt={
            "type": "preset",
            "preset": "claude_code",
            "append": definition.prompt,
        },
        model=launch.model,
        max_turns=launch.max_turns,
        max_budget_usd=None if launch.budget_usd is None else float(launch.budget_usd),
        permission_mode=definition.permission_mode.value,
        # Passed as settings because the command-line flag splits a rule at its commas.
        settings=json.dumps({"permissions": {"allow": allowed_rules(definition)}}),
        disallowed_tools=list(denied_tools(definition)),
        # The program asks nothing in this mode, and the SDK warns about an unused callback.
        can_use_tool=None if is_bypassing else _deny_callback(definition),
        hooks=_hooks(critical),
        mcp_servers=cast("dict[str, Any]", dict(definition.mcp_servers)),
        strict_mcp_config="project" not in definition.setting_sources,
        setting_sources=cast("Any", list(definition.setting_sources)),
        # Text that people typed is sent as a message, never read as a command or a file reference.
        verbatim_prompts=True,
        extra_args={"replay-user-messages": None},
        max_buffer_size=_MAX_LINE_BYTES,
        stderr=stderr,
    )


def environment(launch: Launch, critical: CriticalCalls | None = None) -> dict[str, str]:
    """The variables set for the agent, in addition to those that `launch.py` lets through."""
    variables = {
        **launch.credentials,
        RUN_MARKER: launch.run_id,
        ATTEMPT_MARKER: str(launch.attempt),
        INSTALLATION_MARKER: launch.installation_id,
        "HOME": str(home_dir(launch)),
        "CLAUDE_CONFIG_DIR": str(config_dir(launch)),
        "TMPDIR": str(tmp_dir(launch)),
        "CLAUDE_CODE_TMPDIR": str(tmp_dir(launch)),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_AUTOUPDATER": "1",
        # Otherwise a turn can end while a command that it started still runs.
        "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
        # Newer models get the task list only if this is set, and the run's steps come from it.
        "CLAUDE_CODE_ENABLE_TODO_TOOLS": "1",
        "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
        "GIT_AUTHOR_NAME": _AUTHOR,
        "GIT_AUTHOR_EMAIL": AGENT_EMAIL,
        "GIT_COMMITTER_NAME": _AUTHOR,
        "GIT_COMMITTER_EMAIL": AGENT_EMAIL,
        "GIT_TERMINAL_PROMPT": "0",
        **({SCRATCH_VARIABLE: str(scratch_dir(launch))} if launch.definition.read_only else {}),
        **(critical.environment if critical else {}),
        **_isolated_environment(launch),
    }
    tasks = {launcher.TASKS_VARIABLE: str(tasks_dir(launch))} if launch.plan else {}
    isolation = {}
    if launch.isolation is not None:
        isolation[launcher.ISOLATION_VARIABLE] = str(isolation_file(launch))
        isolation[launcher.ISOLATOR_VARIABLE] = launch.isolation.program
    if not has_network(launch):
        isolation[launcher.NETWORK_VARIABLE] = str(socket_file(launch))
    # In a network of its own the agent gets another proxy, which logs in for it.
    is_proxy_given = launch.shares_proxy_password and has_network(launch)
    given = (*variables, *(launcher.PROXY_VARIABLES if is_proxy_given else ()))
    return {
        **variables,
        **tasks,
        **isolation,
        launcher.GIVEN_VARIABLE: ",".join(given),
        launcher.PROGRAM_VARIABLE: str(program_of(launch)),
        launcher.PYTHON_VARIABLE: sys.executable,
    }


def home_dir(launch: Launch) -> Path:
    """The agent's home directory."""
    return launch.state_dir / "home"


def config_dir(launch: Launch) -> Path:
    """The agent program's configuration directory."""
    return launch.state_dir / "config"


def tmp_dir(launch: Launch) -> Path:
    """The directory for temporary files of the agent and its tools."""
    return launch.state_dir / "tmp"


def tasks_dir(launch: Launch) -> Path:
    """The directory with the task lists of the agent program's sessions."""
    return launch.state_dir / "tasks"


def scratch_dir(launch: Launch) -> Path:
    """Where an agent that cannot change its workspace may write."""
    return launch.state_dir / "scratch"


def socket_file(launch: Launch) -> Path:
    """The Unix socket to which the agent's network namespace hands its listening socket."""
    return launch.state_dir / "network"


def has_network(launch: Launch) -> bool:
    """Whether the agent shares the worker's network."""
    return launch.network.policy.is_open


def gate_file(launch: Launch) -> Path:
    """The file that exists as long as the agent may start shells (see `CriticalCalls`)."""
    return launch.state_dir / "open"


def isolation_file(launch: Launch) -> Path:
    """The file with the arguments that isolate the agent."""
    return launch.state_dir / "isolation"


def program_of(launch: Launch) -> Path:
    """The agent program."""
    return launch.program or BUNDLED_PROGRAM


def prepare_state(launch: Launch) -> None:
    """Create the directories of an attempt, with the session's task list.  Blocking."""
    launch.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in _writable_dirs(launch):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if launch.plan:
        folder = tasks_dir(launch) / str(launch.session_id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, text in task_files(launch.plan).items():
            (folder / name).write_text(text, encoding="utf-8")
    if launch.isolation is not None:
        write_arguments(isolation_file(launch), launch.isolation.agent_arguments(_view_of(launch)))


def _writable_dirs(launch: Launch) -> tuple[Path, ...]:
    tasks = (tasks_dir(launch),) if launch.plan else ()
    scratch = (scratch_dir(launch),) if launch.definition.read_only else ()
    return (home_dir(launch), config_dir(launch), tmp_dir(launch), *tasks, *scratch)


def _view_of(launch: Launch) -> AgentView:
    inside = (_INSIDE_SCRIPT, _LISTENER_SCRIPT) if not has_network(launch) else ()
    return AgentView(
        workspace=launch.cwd,
        state_dir=launch.state_dir,
        tmp_dir=tmp_dir(launch),
        home=home_dir(launch),
        writable=_writable_dirs(launch),
        read_only=(
            program_of(launch).resolve(),
            program_of(launch),
            GATE_SCRIPT,
            *inside,
            *_server_files(launch.definition),
        ),
        is_workspace_read_only=launch.definition.read_only,
        has_network=has_network(launch),
    )


def _server_files(definition: WorkflowDefinition) -> Iterator[Path]:
    """The files that the commands of a workflow's own MCP servers name by their full paths."""
    for server in definition.mcp_servers.values():
        arguments = server.get("args") or ()
        named = (server.get("command"), *(arguments if isinstance(arguments, list) else ()))
        for word in named:
            if isinstance(word, str) and word.startswith("/") and Path(word).is_file():
                yield Path(word)


def _isolated_environment(launch: Launch) -> dict[str, str]:
    """What a program needs to know because it is isolated.

    An isolated root has no other user ids, so files cannot be given to other users, which `tar`
    would try as root.
    """
    is_root = launch.isolation is not None and os.geteuid() == 0
    return {"TAR_OPTIONS": "--no-same-owner"} if is_root else {}


def _hooks(critical: CriticalCalls | None) -> dict[Any, list[HookMatcher]] | None:
    if critical is None or not critical.rules.patterns:
        return None
    return {"PreToolUse": [HookMatcher(matcher=critical.matcher, hooks=[critical.pre_tool_use])]}


def _deny_callback(definition: WorkflowDefinition) -> Any:
    async def can_use_tool(
        tool: str,
        tool_input: Mapping[str, Any],  # noqa: ARG001 - the SDK passes it
        context: ToolPermissionContext,  # noqa: ARG001 (as above)
    ) -> PermissionResultDeny:
        return PermissionResultDeny(message=denial_message(tool, definition))

    return can_use_tool
