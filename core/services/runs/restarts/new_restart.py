"""The runs that restarts make: in a session of their own, or with files put back in theirs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from uuid import uuid4

from core.domain.actor import Actor
from core.domain.runs.checkpoint import Checkpoint
from core.domain.runs.request import ContinueRequest, Place
from core.domain.runs.restarts.origin import RestartOrigin, following
from core.domain.runs.restarts.request import RestartRequest
from core.domain.runs.run import Run
from core.domain.runs.session import Session
from core.domain.workflow import OnWorkerLost, WorkflowDefinition
from core.services.runs.new_runs import pending_run, run_for_continue
from core.services.runs.restarts.points import RestartPoint

_AFTER_STEP = " after the step “{step}”"
_RESTART_PROMPT = (
    "The task was restarted from an earlier point. This conversation and the files of the "
    "workspace are as they were{after}; what was done later is not in them. The workspace is a new "
    "one: what git ignores (installed packages, build output) is not there. Look at the state of "
    "the workspace and go on with the task from here."
)
_FILES_PROMPT = (
    "The files of the workspace were put back to an earlier state{after}; what was done to them "
    "later is not there any more. Look at the state of the workspace and go on with the task from "
    "there."
)


def said_at_restart(request: RestartRequest, point: RestartPoint) -> str:
    """The first message of the new run to its agent."""
    if point.checkpoint is None:
        return point.root.task_input
    return (request.message or "").strip() or _RESTART_PROMPT.format(after=_after(point.checkpoint))


def _after(checkpoint: Checkpoint) -> str:
    return _AFTER_STEP.format(step=checkpoint.step_name) if checkpoint.step_name else ""


def origin_of(request: RestartRequest, point: RestartPoint) -> RestartOrigin:
    """Where the new run comes from, as its row stores it."""
    checkpoint = point.checkpoint
    if checkpoint is None:
        return RestartOrigin(run_id=point.origin.run_id, base_commit=point.root.initial_commit_hash)
    message = None if checkpoint.message_uuid is None else str(checkpoint.message_uuid)
    return RestartOrigin(
        run_id=point.origin.run_id,
        mode=request.mode,
        checkpoint=checkpoint.number,
        step=checkpoint.step_name,
        session_id=str(checkpoint.session_id),
        message_uuid=message,
        message=(request.message or "").strip() or None,
    )


def session_for_restart(root: Session, *, by: Actor, now: datetime) -> Session:
    """The session of a restart, without a name: the old session keeps its own.

    Args:
        root: The session with which the lineage began.
        by: The person who asks.
        now: The present time.
    """
    identity = uuid4()
    return Session(
        id=identity,
        agent_name=root.agent_name,
        created_at=now,
        user_id=by.user_id,
        git_repo=root.git_repo,
        git_branch=root.git_branch,
        workspace_id=f"ws_{identity.hex[:12]}",
    )


def run_for_restart(
    request: RestartRequest,
    point: RestartPoint,
    definition: WorkflowDefinition,
    conversation: Session,
    *,
    place: Place | None,
    by: Actor,
    now: datetime,
    digest: str | None,
    default_on_worker_lost: OnWorkerLost,
) -> Run:
    """Build the run that restarts another one in a session of its own, and a thread of its own.

    Args:
        request: The request; what it leaves open is as in the old run.
        point: The point to restart from.
        definition: The definition to follow.
        conversation: The new session.
        place: Where the thread goes if the old run has none.
        by: The owner of the run.
        now: The present time.
        digest: The digest of `definition`, if it is a stored one.
        default_on_worker_lost: What happens if the worker dies, if the definition does not say.
    """
    old, checkpoint = point.run, point.checkpoint
    team = place.team_id if place else None
    channel = place.channel_id if place else None
    if old.slack_channel_id is not None:
        team, channel = old.slack_team_id, old.slack_channel_id
    return replace(
        pending_run(definition, point.root.task_input, conversation.id, by=by, now=now),
        workflow_name=old.workflow_name,
        agent_type=old.agent_type,
        ai_model=old.ai_model,
        git_repo=conversation.git_repo,
        git_branch=conversation.git_branch,
        max_turns=request.max_turns or old.max_turns or definition.max_turns,
        budget_usd=request.budget_usd or old.budget_usd,
        timeout=old.timeout,
        parent_run_id=old.id,
        restarted_from_checkpoint_id=None if checkpoint is None else checkpoint.id,
        workspace_id=conversation.workspace_id,
        priority=old.priority,
        request_key=request.request_key,
        metadata={**origin_of(request, point).to_metadata(), **following(digest)},
        on_worker_lost=definition.on_worker_lost or default_on_worker_lost,
        slack_team_id=team,
        slack_channel_id=channel,
    )


def run_with_files_put_back(
    request: RestartRequest,
    point: RestartPoint,
    definition: WorkflowDefinition,
    *,
    place: Place | None,
    by: Actor,
    now: datetime,
    digest: str | None,
    default_on_worker_lost: OnWorkerLost,
) -> Run:
    """Build the next run of the same session, whose files go back to a checkpoint first.

    The arguments are as in `run_for_restart`.
    """
    checkpoint = point.checkpoint
    after = "" if checkpoint is None else _after(checkpoint)
    asked = ContinueRequest(
        target=point.newest.run_id,
        request_key=request.request_key,
        message=(request.message or "").strip() or _FILES_PROMPT.format(after=after),
    )
    run = run_for_continue(
        asked,
        definition,
        previous=point.newest,
        place=place,
        by=by,
        now=now,
        default_on_worker_lost=default_on_worker_lost,
    )
    return replace(
        run,
        max_turns=request.max_turns or run.max_turns,
        budget_usd=request.budget_usd or run.budget_usd,
        restarted_from_checkpoint_id=None if checkpoint is None else checkpoint.id,
        metadata={
            **run.metadata,
            **origin_of(request, point).to_metadata(),
            **following(digest),
        },
    )
