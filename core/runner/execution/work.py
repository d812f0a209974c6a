"""The work of an attempt: prepare the workspace, then run the agent to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from core.agent.critical import DEFAULT_RULES, CriticalRules
from core.agent.egress.control import NetworkAccess
from core.agent.process.isolation_probe import (
    NOT_ISOLATED,
    FoundIsolation,
    IsolationUnavailable,
)
from core.agent.process.ladder import end_tree
from core.agent.protocol import (
    AgentFailed,
    AgentSession,
    Launch,
    TranscriptDamaged,
    TranscriptMissing,
)
from core.agent.session import open_agent
from core.domain.errors import OpsError, unforeseen
from core.domain.failures.retry_policy import RetryPolicy
from core.domain.isolation import IsolationMode
from core.domain.reach.repositories import RepositoryNotAllowed
from core.domain.runs.activity.awaited import AwaitedKind
from core.domain.runs.event import EventKind, ToolFinished, TurnUsage
from core.domain.runs.run import Run, StopReason
from core.domain.workflow import NO_OVERRIDES, WorkflowDefinition
from core.runner.checkpoints.checkpointer import Checkpointer
from core.runner.execution.attempt import Attempt, Failure, Prepared
from core.runner.execution.attempt_result import failure_of_os, unexpected_error
from core.runner.execution.history import SessionHistory, prompt_of
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.execution.restarts.conversation import fork_conversation
from core.runner.execution.restarts.files import put_files_back
from core.runner.execution.usage.prior_usage import budget_left, turns_left
from core.runner.execution.workspace import ensure_workspace, workspace_id_of
from core.runner.keeping.carry import Carrier
from core.runner.keeping.earlier_work import wait_for_earlier_work
from core.runner.log_fields import log_fields
from core.runner.resilience import retry_while_unavailable
from core.store.sessions.transcripts import Transcripts
from core.workspace.errors import WorkspaceError
from core.workspace.source import BadRepository
from core.workspace.workspaces import Workspaces

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class AgentEnvironment:
    """The settings that every agent of a worker is started with.

    Attributes:
        home: The worker's home; it contains the agents' own homes, one for each attempt.
        credentials: The agent's credentials, as environment variables; never stored.
        secrets: The worker's secrets, to redact from everything that an agent says and does.
        installation_id: Marks the processes of this installation, to find leftovers.
        program: The agent program, if it is not the one that the SDK finds.
        critical: The tool calls that a stop lets finish.
        isolation: Whether and how agents are isolated.
        network: What agents may reach, unless their workflow may reach less.
        shares_proxy_password: Whether agents get the password of the worker's proxy.
        retry: Which failures are tried again, where their workflow says nothing; by default none.
    """

    home: Path
    credentials: Mapping[str, str]
    installation_id: str
    program: Path | None = None
    critical: CriticalRules = DEFAULT_RULES
    isolation: FoundIsolation = NOT_ISOLATED
    network: NetworkAccess = field(default_factory=NetworkAccess)
    shares_proxy_password: bool = False
    retry: RetryPolicy = NO_OVERRIDES
    secrets: tuple[str, ...] = field(default=(), repr=False)


class Room(Protocol):
    """The room on the worker's disk; see `Caretaker`."""

    async def require_room(self, *, is_new: bool) -> None:
        """Make sure that a run can begin; raise `NoDiskRoom` if it cannot."""
        ...


@dataclass(frozen=True)
class AgentWork:
    """Does the work of one worker's attempts.

    Attributes:
        room: Makes room on the disk; `None` if nobody cares for it.
    """

    ledger: Ledger
    workspaces: Workspaces
    transcripts: Transcripts
    carrier: Carrier
    checkpointer: Checkpointer
    environment: AgentEnvironment
    room: Room | None = None

    async def run(self, attempt: Attempt) -> Failure | None:
        """Prepare the workspace, and run the agent to its end.

        Returns:
            Why it failed, if it did.  It raises nothing but `CancelledError`.
        """
        run_id = attempt.run.run_id
        try:
            attempt.progress.awaiting.wait_for(
                AwaitedKind.WORKSPACE, at=self.ledger.context.clock()
            )
            await retry_while_unavailable(lambda: fork_conversation(self.ledger, attempt.run))
            history = await retry_while_unavailable(lambda: self.ledger.history(attempt.run))
            attempt.progress.begin_with(history.plan, history.steps)
            attempt.checkpoint_state.begin_with(history.steps)
            _require_conversation(history)
            prepared = await self._prepare(attempt, history)
            if attempt.cause is None:
                await self._converse(attempt, prepared, history)
        except (WorkspaceError, BadRepository, RepositoryNotAllowed) as error:
            log.warning(
                "%s: workspace unusable: %s",
                run_id,
                error,
                extra=log_fields("workspace.failed", attempt.run),
            )
            return Failure(stop_reason=StopReason.WORKSPACE_ERROR, error=error)
        except AgentFailed as error:
            return Failure(stop_reason=StopReason.AGENT_ERROR, error=error)
        except OpsError as error:
            return Failure(stop_reason=StopReason.SETUP_ERROR, error=error)
        except OSError as error:
            log.exception("%s failed", run_id, extra=log_fields("attempt.failed", attempt.run))
            return failure_of_os(error)
        except Exception:
            log.exception("%s failed", run_id, extra=log_fields("attempt.failed", attempt.run))
            return Failure(stop_reason=StopReason.SETUP_ERROR, error=unexpected_error(attempt.run))
        return None

    async def _prepare(self, attempt: Attempt, history: SessionHistory) -> Prepared:
        if attempt.run.attempt > 1:
            # Processes of an earlier attempt must not work at the same time as this one.
            await end_tree(run_marker=attempt.run.run_id, root=None)
        if not attempt.is_first:
            await wait_for_earlier_work(self.ledger, attempt.run)
            # That can take minutes, and now something else begins.
            attempt.progress.awaiting.wait_for(
                AwaitedKind.WORKSPACE, at=self.ledger.context.clock()
            )
            attempt.progress.has_new_signs = True
            attempt.has_changes.set()
        workspace_id = workspace_id_of(attempt.run)
        await attempt.opened.held.enter_async_context(self.workspaces.in_use(workspace_id))
        if self.room is not None:
            is_new = not self.workspaces.folders.is_taken(workspace_id)
            await self.room.require_room(is_new=is_new)
        found = await ensure_workspace(
            attempt, history.branch, ledger=self.ledger, workspaces=self.workspaces
        )
        workspace = found.workspace
        await put_files_back(
            attempt,
            workspace,
            is_older=found.is_older,
            ledger=self.ledger,
            workspaces=self.workspaces,
        )
        base_commit, branches = await self.workspaces.start_state(workspace)
        run = await retry_while_unavailable(
            lambda: self.ledger.record_workspace(attempt, workspace, base_commit, branches)
        )
        prepared = Prepared(run=run, workspace=workspace, base_commit=base_commit)
        # From here on a stop has work to save.
        attempt.opened.prepared = prepared
        attempt.progress.add_record(
            EventKind.WORKSPACE_READY, self.ledger.context.clock(), commit=base_commit
        )
        await retry_while_unavailable(lambda: self.carrier.load_carry_state(attempt, prepared))
        return prepared

    async def _converse(
        self, attempt: Attempt, prepared: Prepared, history: SessionHistory
    ) -> None:
        run = prepared.run
        transcripts = self.transcripts.for_attempt(run.run_id, run.attempt)

        def add_answer(answer: TurnUsage) -> None:
            attempt.progress.add_answer(answer)
            attempt.has_changes.set()

        launch = self._launch(attempt, prepared, history)
        async with open_agent(launch, transcripts, on_answer=add_answer) as agent:
            attempt.opened.agent = agent
            # In the background, so that events are read even while the database is unreachable.
            recording = asyncio.create_task(
                self._record_agent(attempt, agent), name=f"note agent {run.run_id}"
            )
            try:
                async with (
                    self.carrier.carrying_commits(attempt, prepared),
                    self.checkpointer.taking(attempt, prepared, agent),
                ):
                    await self._take_events(attempt, agent)
                await recording
            finally:
                recording.cancel()
                await asyncio.gather(recording, return_exceptions=True)

    async def _record_agent(self, attempt: Attempt, agent: AgentSession) -> None:
        try:
            await retry_while_unavailable(lambda: self.ledger.record_agent(attempt, agent.root))
        except Exception as error:
            # Only a rescue reads it, and finds the processes by their marker as well.
            log.warning(
                "%s: its agent's process is not recorded: %s",
                attempt.run.run_id,
                error,
                exc_info=unforeseen(error),
                extra=log_fields("agent.record_failed", attempt.run),
            )

    async def _take_events(self, attempt: Attempt, agent: AgentSession) -> None:
        async for event in agent.events():
            attempt.progress.add_event(event, at=self.ledger.context.clock())
            attempt.checkpoint_state.follow(attempt.progress.steps)
            attempt.has_changes.set()
            if isinstance(event, ToolFinished):
                attempt.carry_state.check_needed.set()

    def _launch(self, attempt: Attempt, prepared: Prepared, history: SessionHistory) -> Launch:
        run, environment = prepared.run, self.environment
        if (
            attempt.definition.isolation is IsolationMode.REQUIRED
            and environment.isolation.isolation is None
        ):
            raise IsolationUnavailable(environment.isolation.status.detail)
        return Launch(
            run_id=run.run_id,
            attempt=run.attempt,
            session_id=run.session_id,
            resume=history.has_transcript,
            resume_at=history.fork_point,
            prompt=prompt_of(run, history),
            prompt_uuid=attempt.prompt_uuid,
            definition=attempt.definition,
            model=run.ai_model,
            max_turns=turns_left(run, attempt.definition.max_turns),
            budget_usd=budget_left(
                run, attempt.definition.retry.over(environment.retry).budget_usd
            ),
            cwd=prepared.workspace.path,
            state_dir=state_dir_of(environment.home, run),
            credentials=environment.credentials,
            secrets=environment.secrets,
            plan=history.plan,
            installation_id=environment.installation_id,
            program=environment.program,
            critical=environment.critical,
            isolation=environment.isolation.isolation,
            network=_network_of(attempt.definition, environment.network),
            shares_proxy_password=environment.shares_proxy_password,
        )


def _require_conversation(history: SessionHistory) -> None:
    """Check that the agent can be given all of the conversation.

    It never begins afresh in silence: a person decides whether a recovery leg does.

    Raises:
        TranscriptMissing: If nothing of it is stored.
        TranscriptDamaged: If parts of what is stored are missing.
    """
    if history.is_missing:
        raise TranscriptMissing
    if history.is_damaged:
        raise TranscriptDamaged


def _network_of(definition: WorkflowDefinition, access: NetworkAccess) -> NetworkAccess:
    """What a workflow's agents may reach: at most what the settings allow."""
    if definition.network is None:
        return access
    return replace(access, policy=access.policy.narrowed_to(definition.network))


def state_dir_of(home: Path, run: Run) -> Path:
    """The home of the agent of this attempt; each attempt has its own."""
    return home / "agents" / f"{run.run_id}-{run.attempt}"
