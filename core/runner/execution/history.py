"""What a session had before an attempt."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from core.agent.steps import plan_from_steps
from core.domain.runs.event import PlanItem
from core.domain.runs.run import Run
from core.domain.runs.step import Step
from core.runner.execution.attempt import prompt_uuid_of
from core.store import steps
from core.store.runs import run_queries
from core.store.sessions import sessions, transcripts


@dataclass(frozen=True, kw_only=True)
class SessionHistory:
    """What the session had before this attempt.

    Attributes:
        first_task: What its first run was asked.
        has_received_task: Whether an earlier attempt of this run has told the agent what was asked.
        steps: Of this run's earlier attempts.
        plan: The task list as the last run left it.
        branch: Where a workspace that has to be made begins; not the branch of the work.
    """

    first_task: str
    has_transcript: bool
    plan: tuple[PlanItem, ...]
    branch: str | None
    has_received_task: bool = False
    steps: tuple[Step, ...] = ()


async def read_history(session: AsyncSession, run: Run) -> SessionHistory:
    """Read what the session brings along."""
    legs = await run_queries.legs_of_session(session, run.session_id)
    earlier_runs = [earlier_run for earlier_run in legs if earlier_run.created_at <= run.created_at]
    plan: tuple[PlanItem, ...] = ()
    for earlier_run in reversed(earlier_runs):
        found = await steps.of_run(session, earlier_run.id)
        if found:
            plan = plan_from_steps(found)
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
        # Once it was prepared, the row names the branch that the work is done on.
        branch=conversation.git_branch if run.workspace_path else run.git_branch,
        steps=tuple(await steps.of_run(session, run.id)),
    )
