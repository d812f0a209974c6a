"""What the rest of Signalbox knows of an agent: how to launch one and what it then offers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from core.agent.critical import DEFAULT_RULES, CriticalCalls, CriticalRules
from core.agent.process.ladder import ProcessTree
from core.domain.errors import OpsError
from core.domain.kills.termination import ProcessIdentity
from core.domain.runs.event import AgentEvent, PlanItem
from core.domain.workflow import WorkflowDefinition


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Everything an agent process is started with.

    Attributes:
        resume: Whether the session has a transcript to go on from; the prompt is then
            the message that sends it on its way again.
        prompt_uuid: The prompt's own id in the transcript; it comes back as consumed.
        state_dir: Fresh for each leg: its home and configuration live here, so that one
            leg's cost and settings never leak into the next.
        credentials: `ANTHROPIC_API_KEY`, `ANTHROPIC_BASE_URL`, `CLAUDE_CODE_OAUTH_TOKEN`,
            as far as set.  Nothing else of Anthropic's reaches the agent.
        plan: The task list as the session's earlier legs left it.
        installation_id: Whose process this is: `sweep_orphans` of another installation on the same
            machine
            leaves it alone.
        program: The `claude` program; the SDK's own if not given.
        critical: Which tool calls a kill lets come to their end.
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
    plan: tuple[PlanItem, ...] = ()
    installation_id: str = ""
    program: Path | None = None
    attempt: int = 1
    critical: CriticalRules = DEFAULT_RULES


class TranscriptStore(Protocol):
    """Where a session's transcript is kept: what the SDK asks of a session store.

    A key holds `project_key`, `session_id` and sometimes `subpath`.  Entries are opaque.
    """

    async def append(self, key: Any, entries: Any) -> None:
        """Keep entries, in order; an entry with a known `uuid` is already kept."""
        ...

    async def load(self, key: Any) -> Any:
        """All entries of a transcript in order, or `None` if there are none."""
        ...

    async def list_subkeys(self, key: Any) -> Any:
        """The subpaths (subagents' transcripts) under a session."""
        ...


class AgentSession(Protocol):
    """A running agent.  `send` and `interrupt` may be called from any task."""

    @property
    def root(self) -> ProcessIdentity:
        """The agent program's process, known from the moment the session is open."""
        ...

    @property
    def tree(self) -> ProcessTree:
        """Its processes as met so far: what the kill ladder wants as `known`."""
        ...

    @property
    def critical(self) -> CriticalCalls:
        """Its calls that are not to be cut in half."""
        ...

    @property
    def has_ended(self) -> bool:
        """Whether the agent has nothing more to do: its last result came, or it is gone."""
        ...

    @property
    def stderr_tail(self) -> str:
        """The last of what it wrote to its error output, redacted."""
        ...

    def events(self) -> AsyncIterator[AgentEvent]:
        """What happens, until the agent's stream ends.  To be read once.

        Raises:
            AgentFailed: If the program crashed or talked nonsense.
        """
        ...

    async def send(self, text: str, *, message_uuid: UUID) -> None:
        """Say something to the agent while it works; `MessageConsumed` proves it heard.

        Raises:
            AgentEnded: If it has already ended its work.
        """
        ...

    async def catch_up(self) -> None:
        """Wait until all that the agent has said so far is known here; half a second at most."""
        ...

    async def interrupt(self) -> None:
        """Ask it to stop what it does; its result follows as an event."""
        ...


class AgentFailed(OpsError):
    """The agent program could not be started, crashed, hung, or talked nonsense.

    Attributes:
        exit_code: The program's, if it ended; negative is the signal that ended it.
        stderr_tail: The last of its error output, redacted.
    """

    code = "agent_failed"

    def __init__(
        self,
        problem: str,
        *,
        exit_code: int | None = None,
        stderr_tail: str = "",
        hint: str = "Its log has the details; starting or continuing the run again may work.",
    ) -> None:
        super().__init__(
            problem if exit_code is None else f"{problem} (exit code {exit_code})",
            user_message=f"The agent program {problem}. {hint}",
        )
        self.problem = problem
        self.exit_code = exit_code
        self.stderr_tail = stderr_tail


class AgentEnded(OpsError):
    """The agent has ended its work and hears no more."""

    code = "agent_ended"

    def __init__(self) -> None:
        super().__init__(
            "the agent's work has ended",
            user_message="The agent has just finished; it takes no more messages.",
        )


class TranscriptMissing(AgentFailed):
    """The session to be resumed was never written down."""

    code = "transcript_missing"

    def __init__(self, *, stderr_tail: str = "") -> None:
        super().__init__(
            "has no conversation to go on with",
            stderr_tail=stderr_tail,
            hint="Start a new run: nothing of this session was kept.",
        )
