"""What a session holds before an attempt, and the first prompt that follows from it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.event import PlanItem
from core.domain.runs.run import Run
from core.domain.runs.step import Step
from core.domain.steps.planned import plan_from_steps, steps_for_next_leg
from core.runner.execution.attempt import prompt_uuid_of
from core.store import steps
from core.store.runs import run_queries
from core.store.sessions import sessions, transcripts

RESUME_PROMPT = (
    "Your work was interrupted because the machine it ran on was restarted. Look at the state "
    "of the workspace and go on with the task from where you stopped."
)


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
    """

    first_task: str
    has_transcript: bool
    plan: tuple[PlanItem, ...]
    branch: str | None
    has_received_task: bool = False
    steps: tuple[Step, ...] = ()


async def read_history(session: AsyncSession, run: Run) -> SessionHistory:
    """Read the history of a run's session, without the runs that were created after it."""
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
    conversation = await sessions.get(session, run.session_id)
    return SessionHistory(
        first_task=earlier_runs[0].task_input if earlier_runs else run.task_input,
        has_transcript=await transcripts.exists(session, run.session_id),
        has_received_task=await transcripts.contains_any(
            session,
            run.session_id,
            [prompt_uuid_of(run, attempt) for attempt in range(1, run.attempt)],
        ),
        plan=plan,
        # Once the workspace was prepared, the row names the branch of the work instead.
        branch=conversation.git_branch if run.workspace_path else run.git_branch,
        steps=begun,
    )


def prompt_of(run: Run, history: SessionHistory) -> str:
    """The first prompt of an attempt: everything that the agent has not received yet."""
    if history.has_received_task:
        return RESUME_PROMPT
    if run.parent_run_id is not None and not history.has_transcript:
        # The earlier runs ended before the agent received the task.
        return (
            history.first_task
            if run.task_input == history.first_task
            else (f"{history.first_task}\n\n{run.task_input}")
        )
    return run.task_input
