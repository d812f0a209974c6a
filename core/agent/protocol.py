"""The interface to an agent: what it takes to launch one, and what a running one offers."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from core.agent.conversation_point import ConversationPoint
from core.agent.critical import DEFAULT_RULES, CriticalCalls, CriticalRules
from core.agent.egress.control import NetworkAccess
from core.agent.process.isolation import Isolation
from core.agent.process.process_tree import ProcessTree
from core.agent.server_check import ServerCheck
from core.domain.errors import OpsError
from core.domain.failure_cause import FailureCause
from core.domain.kills.termination import ProcessIdentity
from core.domain.runs.event import AgentEvent, PlanItem
from core.domain.workflow import WorkflowDefinition


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Everything an agent process is started with.

    Attributes:
        resume: Whether to resume the session from its stored transcript.  The prompt is then the
            message with which the conversation continues.
        resume_at: The entry of the transcript after which the conversation goes on, if it is to go
            on from exactly there: what a resume adds about an interruption is left out.
        prompt: The task; empty starts the program without one, so that it asks no model.
        prompt_uuid: The prompt's id in the transcript; a `MessageConsumed` event reports it back.
        max_turns: Turn limit of this launch.
        budget_usd: Cost limit of this launch in US dollars; `None` is no limit.
        cwd: The workspace in which the agent works.
        state_dir: Holds the agent's home, configuration and temporary files.  A fresh one for
            each attempt, so that cost and settings of one never leak into the next.
        credentials: `ANTHROPIC_API_KEY`, `ANTHROPIC_BASE_URL`, `CLAUDE_CODE_OAUTH_TOKEN`, as far
            as set.  The agent gets no other variable of Anthropic's.
        secrets: Texts to redact from everything that the agent says and does, besides its own
            credentials: the worker's.  The agent does not get them.
        plan: The task list as the session's earlier runs left it.
        installation_id: The installation that owns the process.  `sweep_orphans` of another
            installation on the same machine does not touch it.
        program: The `claude` program; `None` is the one that comes with the SDK.
        critical: Which tool calls a kill waits for.
        isolation: How to isolate the agent; `None` does not isolate it.
        network: What it may reach; anything but an open network needs `isolation`.
        shares_proxy_password: Whether it gets the user name and password in `HTTPS_PROXY` and the
            like, if its network is open; otherwise only the proxy's address.
    """

    run_id: str
    session_id: UUID
    resume: bool
    prompt: str
    prompt_uuid: UUID
    definition: WorkflowDefinition
    model: str | None
    max_turns: int
    budget_usd: Decimal | None
    cwd: Path
    state_dir: Path
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    plan: tuple[PlanItem, ...] = ()
    installation_id: str = ""
    program: Path | None = None
    attempt: int = 1
    critical: CriticalRules = DEFAULT_RULES
    isolation: Isolation | None = None
    network: NetworkAccess = field(default_factory=NetworkAccess)
    shares_proxy_password: bool = False
    resume_at: UUID | None = None


class TranscriptStore(Protocol):
    """Storage for the transcripts of sessions, as the SDK needs it.

    A key holds `project_key`, `session_id` and, for a subagent, `subpath`.  Entries are opaque.
    """

    async def append(self, key: Any, entries: Any) -> None:
        """Store entries in order; an entry whose `uuid` is stored already is skipped."""
        ...

    async def load(self, key: Any) -> Any:
        """Return all entries of a transcript in order, `None` if there are none."""
        ...

    async def list_subkeys(self, key: Any) -> Any:
        """Return the subpaths of a session, which are its subagents' transcripts."""
        ...


class AgentSession(Protocol):
    """A running agent.  `send` and `interrupt` may be called from any task."""

    @property
    def root(self) -> ProcessIdentity:
        """The agent program's process."""
        ...

    @property
    def tree(self) -> ProcessTree:
        """The processes seen so far; `end_tree` takes it as `known`."""
        ...

    @property
    def critical(self) -> CriticalCalls:
        """The agent's critical calls, for which a kill waits."""
        ...

    @property
    def point(self) -> ConversationPoint:
        """How far the conversation has come."""
        ...

    @property
    def servers(self) -> ServerCheck:
        """The agent's MCP servers, and which of them failed."""
        ...

    @property
    def has_ended(self) -> bool:
        """Whether the agent is done: its last result has arrived, or its stream has ended."""
        ...

    @property
    def stderr_tail(self) -> str:
        """The last 60 lines of the program's error output, redacted."""
        ...

    @property
    def lost_entries(self) -> int:
        """How many entries of its transcript could not be stored; known once it is closed."""
        ...

    def events(self) -> AsyncIterator[AgentEvent]:
        """Yield what happens until the agent's stream ends.  Only one reader, only once.

        Raises:
            AgentFailed: If the program crashed or sent something unreadable.
        """
        ...

    async def send(self, text: str, *, message_uuid: UUID) -> None:
        """Send a message to the working agent; a `MessageConsumed` event confirms it.

        Raises:
            AgentEnded: If the agent is already done.
        """
        ...

    async def catch_up(self) -> None:
        """Wait until all messages that the agent has sent so far are processed.

        Takes half a second at most; never raises if the program does not answer.
        """
        ...

    async def interrupt(self) -> None:
        """Ask the agent to stop its current work; its result follows as an event.

        Raises:
            AgentFailed: If the program does not accept the interrupt within 5 s.
        """
        ...


class AgentFailed(OpsError):
    """The agent program could not be started, crashed, hung, or sent something unreadable.

    Attributes:
        problem: A verb phrase that completes "the agent program …".
        exit_code: The program's exit status, if it ended; negative for the signal that ended it.
        stderr_tail: The last of its error output, redacted.
    """

    code = "agent_failed"

    def __init__(
        self,
        problem: str,
        *,
        cause: FailureCause = FailureCause.PROGRAM_CRASHED,
        exit_code: int | None = None,
        stderr_tail: str = "",
        hint: str = "Its log has the details; starting or continuing the run again may work.",
    ) -> None:
        self.problem = problem
        self.exit_code = exit_code
        self.stderr_tail = stderr_tail
        self.cause = cause
        self.subject = None if exit_code is None else _exit_words(exit_code)
        super().__init__(self.problem_and_exit, user_message=f"The agent program {problem}. {hint}")

    @property
    def problem_and_exit(self) -> str:
        """`problem`, with the exit status or the signal's name if the program ended."""
        return self.problem if self.subject is None else f"{self.problem} ({self.subject})"


def _exit_words(exit_code: int) -> str:
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    return f"ended by {name}"


class AgentEnded(OpsError):
    """The agent is done and accepts no more messages."""

    code = "agent_ended"

    def __init__(self) -> None:
        super().__init__(
            "the agent's work has ended",
            user_message="The agent has just finished; it takes no more messages.",
        )


class TranscriptMissing(AgentFailed):
    """The session to be resumed has no stored transcript."""

    code = "transcript_missing"

    def __init__(self, *, stderr_tail: str = "") -> None:
        super().__init__(
            "has no conversation to go on with",
            cause=FailureCause.CONVERSATION_MISSING,
            stderr_tail=stderr_tail,
            hint="The files are kept. A recovery leg goes on in a new conversation, with a summary "
            "of what was said.",
        )


class TranscriptDamaged(AgentFailed):
    """The stored transcript of the session to be resumed has gaps."""

    code = "transcript_damaged"

    def __init__(self) -> None:
        super().__init__(
            "has only parts of the conversation to go on with",
            cause=FailureCause.CONVERSATION_DAMAGED,
            hint="The files are kept. A recovery leg goes on in a new conversation, with a summary "
            "of what is left of this one.",
        )


class NetworkNotIsolated(OpsError):
    """A list of hosts was to be kept, and nothing would keep the agent to it."""

    code = "network_not_isolated"
    cause = FailureCause.ISOLATION_MISSING

    def __init__(self) -> None:
        super().__init__(
            "the network is limited, and the agent would not be isolated",
            user_message="This run may reach only listed hosts, but its worker cannot isolate "
            "agents, so nothing would keep it to them.",
        )
