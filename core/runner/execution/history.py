"""What a session holds before an attempt, and the first prompt that follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.failures.failed_attempt import failed_attempts_of
from core.domain.failures.failure_class import FailureClass
from core.domain.runs.event import EventKind, PlanItem
from core.domain.runs.run import Run
from core.domain.runs.step import Step
from core.domain.sessions.recovery import is_recovery
from core.domain.sessions.transcript_check import TranscriptState
from core.domain.steps.planned import plan_from_steps, steps_for_next_leg
from core.runner.execution.attempt import prompt_uuid_of
from core.runner.execution.conversation.recovery_prompt import (
    deeds_of_events,
    deeds_of_transcript,
    recovery_prompt,
)
from core.runner.execution.conversation.state import has_been_answered, read_state
from core.runner.execution.restarts.beginning import Fork, fork_of, said_at_fork, steps_at_fork
from core.store import events, steps
from core.store.runs import run_queries
from core.store.sessions import messages, sessions, transcript_pages, transcripts

_GO_ON = "Look at the state of the workspace and go on with the task from where you stopped."
RESUME_PROMPT = f"Your work was interrupted because the machine it ran on was restarted. {_GO_ON}"
# After a failure of these classes; after one of another class it was interrupted for some reason.
_INTERRUPTIONS: Mapping[FailureClass, str] = MappingProxyType(
    {
        FailureClass.TRANSIENT: "by a failed call to the model",
        FailureClass.OVERLOADED: "because the model was overloaded",
        FailureClass.USAGE_LIMIT: "by a usage limit, which has been reset meanwhile",
    }
)
# Of a lost conversation only its end is summed up.
_MAX_LINES = 2_000
_MAX_EVENTS = 500


@dataclass(frozen=True, kw_only=True)
class SessionHistory:
    """What a session holds before an attempt.

    Attributes:
        first_task: The task of the session's first run.
        has_received_task: Whether an earlier attempt of this run has sent the agent its task.
        steps: Of this run's earlier attempts; before the first one those of the session's last run
            with a plan, so that they keep their ids.
        plan: The task list as the last run left it.
        branch: The branch that a new workspace starts from; not the branch of the work.
        fork_point: The entry of the transcript after which the conversation goes on, if the session
            was forked from a checkpoint and nothing was said in it yet.
        said: What is said then: the task was said long before.
        is_missing: Whether an agent has worked in this conversation, and nothing of it is stored.
        is_damaged: Whether parts of what is stored are missing.
        recovery: The first message of a recovery leg; `None` for any other run.
    """

    first_task: str
    has_transcript: bool
    plan: tuple[PlanItem, ...]
    branch: str | None
    has_received_task: bool = False
    steps: tuple[Step, ...] = ()
    fork_point: UUID | None = None
    said: str | None = None
    is_missing: bool = False
    is_damaged: bool = False
    recovery: str | None = None


async def read_history(session: AsyncSession, run: Run) -> SessionHistory:
    """Read the history of a run's session, without the runs that were created after it.

    The first attempt of a recovery leg sets the conversation aside that it leaves behind.
    """
    legs = await run_queries.legs_of_session(session, run.session_id)
    earlier_runs = [earlier_run for earlier_run in legs if earlier_run.created_at <= run.created_at]
    plan: tuple[PlanItem, ...] = ()
    begun: tuple[Step, ...] = ()
    for earlier_run in reversed(earlier_runs):
        found = await steps.of_run(session, earlier_run.id)
        if found:
            plan = plan_from_steps(found)
            begun = tuple(found) if earlier_run.id == run.id else steps_for_next_leg(found)
            break
    fork = fork_of(earlier_runs)
    if fork is not None and not plan and not begun:
        forked = await steps_at_fork(session, fork)
        plan, begun = plan_from_steps(forked), steps_for_next_leg(forked)
    is_silent = fork is not None and not await _is_anything_said(session, run, earlier_runs)
    conversation = await sessions.get(session, run.session_id)
    has_received_task = await transcripts.contains_any(
        session,
        run.session_id,
        [prompt_uuid_of(run, attempt) for attempt in range(1, run.attempt)],
    )
    history = SessionHistory(
        first_task=earlier_runs[0].task_input if earlier_runs else run.task_input,
        has_transcript=False,
        has_received_task=has_received_task,
        plan=plan,
        # Once the workspace was prepared, the row names the branch of the work instead.
        branch=conversation.git_branch if run.workspace_path else run.git_branch,
        steps=begun,
        fork_point=fork.point[1] if fork is not None and fork.point and is_silent else None,
        said=await _said_first(session, run, fork) if fork is not None and is_silent else None,
    )
    if is_recovery(run) and not has_received_task:
        return await _recovering(session, run, earlier_runs, history)
    state = await read_state(session, run, earlier_runs)
    return replace(
        history,
        has_transcript=state is not TranscriptState.NONE,
        is_missing=state is TranscriptState.NONE and has_been_answered(earlier_runs),
        is_damaged=state is TranscriptState.DAMAGED,
    )


async def _recovering(
    session: AsyncSession, run: Run, earlier_runs: Sequence[Run], history: SessionHistory
) -> SessionHistory:
    """The history with which a new conversation begins; the earlier one is set aside."""
    lines = await transcript_pages.newest_lines(session, run.session_id, limit=_MAX_LINES)
    worked = [one for one in earlier_runs if one.id != run.id and one.turns > 0]
    deeds = deeds_of_transcript(lines)
    if not deeds and worked:
        kinds = (EventKind.AGENT_TEXT, EventKind.TOOL_STARTED)
        found = await events.newest(
            session, worked[-1].id, kinds=kinds, limit=_MAX_EVENTS, within=4 * _MAX_EVENTS
        )
        deeds = deeds_of_events(found)
    own = {run.id} | ({earlier_runs[0].id} if earlier_runs else set())
    said = [one for one in await messages.of_session(session, run.session_id) if one.id not in own]
    await transcript_pages.set_aside(session, run.session_id, run.run_id)
    return replace(
        history,
        # The program's new list has no item yet; one with the name of a step is that step.
        plan=(),
        steps=tuple(replace(step, source_id=None) for step in history.steps),
        recovery=recovery_prompt(
            task=history.first_task,
            message=run.task_input,
            said=said,
            deeds=deeds,
            steps=history.steps,
            last_run=worked[-1] if worked else None,
        ),
    )


async def _is_anything_said(session: AsyncSession, run: Run, earlier_runs: Sequence[Run]) -> bool:
    """Whether the agent has received a message of any attempt of the session."""
    uuids = [
        prompt_uuid_of(leg, attempt)
        for leg in earlier_runs
        for attempt in range(1, run.attempt if leg.id == run.id else leg.attempt + 1)
    ]
    return await transcripts.contains_any(session, run.session_id, uuids)


async def _said_first(session: AsyncSession, run: Run, fork: Fork) -> str | None:
    """What is said first in a session that was forked from a checkpoint."""
    if fork.point is None:
        return None
    said = await said_at_fork(session, fork)
    return said if run.id == fork.first.id else f"{said}\n\n{run.task_input}"


def prompt_of(run: Run, history: SessionHistory) -> str:
    """The first prompt of an attempt: everything that the agent has not received yet."""
    if history.has_received_task:
        return _resume_prompt(run)
    if history.recovery is not None:
        return history.recovery
    if history.said is not None:
        return history.said
    if run.parent_run_id is not None and not history.has_transcript:
        # The earlier runs ended before the agent received the task.
        return (
            history.first_task
            if run.task_input == history.first_task
            else (f"{history.first_task}\n\n{run.task_input}")
        )
    return run.task_input


def _resume_prompt(run: Run) -> str:
    """What an agent is told that goes on with its task, by what has interrupted it."""
    before = [one for one in failed_attempts_of(run) if one.attempt == run.attempt - 1]
    if not before or before[-1].failure_class is FailureClass.WORKER_LOST:
        return RESUME_PROMPT
    how = _INTERRUPTIONS.get(before[-1].failure_class, "by a failure")
    return f"Your work was interrupted {how}. {_GO_ON}"
