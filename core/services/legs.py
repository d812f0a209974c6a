"""A new leg: the row of a run made from what was asked, and entered with all that goes with it."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.actor import Action, Actor
from core.domain.errors import BadRequest
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.request import ContinueRequest, Place, Started, StartRequest
from core.domain.runs.run import RUN_ID_PREFIX, Run, RunStatus, SessionBusy
from core.domain.runs.session import Message, MessageRole, MessageType, Session
from core.domain.workflow import OnWorkerLost, WorkflowDefinition
from core.services.admission import admit
from core.services.work import demand, entry
from core.store import audit, events
from core.store.runs import runs
from core.store.sessions import messages, sessions

GO_ON = "Please go on with the task from where you stopped."


def first_leg(
    request: StartRequest,
    definition: WorkflowDefinition,
    conversation: Session,
    *,
    after: Run | None,
    by: Actor,
    now: datetime,
    on_lost: OnWorkerLost = OnWorkerLost.RESUME,
) -> Run:
    """The run a start asks for; it heads a thread of its own.

    `on_lost` is for a definition that does not say what becomes of a run whose worker died.
    """
    identity = uuid4()
    run_id = RUN_ID_PREFIX + identity.hex[:12]
    place = request.place
    return Run(
        id=identity,
        run_id=run_id,
        workflow_name=definition.name,
        task_input=request.task,
        status=RunStatus.PENDING,
        created_at=now,
        updated_at=now,
        session_id=conversation.id,
        session_name=conversation.name,
        ai_model=request.model or definition.model,
        git_repo=conversation.git_repo,
        git_branch=request.branch or conversation.git_branch,
        max_turns=request.max_turns or definition.max_turns,
        budget_usd=request.budget_usd or definition.budget_usd,
        timeout=request.timeout or definition.timeout,
        user_id=by.user_id,
        parent_run_id=after.id if after else None,
        workspace_id=conversation.workspace_id,
        priority=request.priority,
        slack_team_id=place.team_id if place else None,
        slack_channel_id=place.channel_id if place else None,
        thread_key=run_id,
        request_key=request.request_key,
        on_worker_lost=definition.on_worker_lost or on_lost,
    )


def next_leg(
    request: ContinueRequest,
    definition: WorkflowDefinition,
    *,
    after: Run,
    place: Place | None,
    by: Actor,
    now: datetime,
    on_lost: OnWorkerLost = OnWorkerLost.RESUME,
) -> Run:
    """The run that goes on after another one, in its thread if that has one."""
    identity = uuid4()
    run_id = RUN_ID_PREFIX + identity.hex[:12]
    has_thread = after.slack_channel_id is not None
    return Run(
        id=identity,
        run_id=run_id,
        workflow_name=after.workflow_name,
        agent_type=after.agent_type,
        task_input=(request.message or "").strip() or GO_ON,
        status=RunStatus.PENDING,
        created_at=now,
        updated_at=now,
        session_id=after.session_id,
        session_name=after.session_name,
        ai_model=after.ai_model,
        git_repo=after.git_repo,
        git_branch=after.git_branch,
        max_turns=request.additional_turns or definition.max_turns,
        budget_usd=after.budget_usd,
        timeout=after.timeout,
        user_id=by.user_id,
        parent_run_id=after.id,
        workspace_id=after.workspace_id,
        workspace_path=after.workspace_path,
        priority=after.priority,
        slack_team_id=after.slack_team_id if has_thread else (place.team_id if place else None),
        slack_channel_id=after.slack_channel_id
        if has_thread
        else (place.channel_id if place else None),
        thread_key=after.thread_key if has_thread else run_id,
        # One continuation per leg, whoever asks and however often.
        request_key=f"continue:{after.run_id}",
        on_worker_lost=definition.on_worker_lost or on_lost,
    )


async def conversation(
    session: AsyncSession,
    request: StartRequest,
    definition: WorkflowDefinition,
    *,
    by: Actor,
    now: datetime,
) -> tuple[Session, Run | None]:
    """The session a start belongs to, and its newest leg if it had one.

    Raises:
        SessionBusy: If the named session has a live run.
        NotAllowed: If it is somebody else's.
        BadRequest: If it works on another repository.
    """
    if request.session_name is not None:
        found = await sessions.find_by_name(session, request.session_name, user_id=by.user_id)
        if found is not None:
            return found, await _free_leg(session, request, found, by)
    identity = uuid4()
    made = Session(
        id=identity,
        agent_name=definition.name,
        created_at=now,
        name=request.session_name,
        user_id=by.user_id,
        git_repo=request.repo,
        git_branch=request.branch,
        workspace_id=f"ws_{identity.hex[:12]}",
    )
    await sessions.add(session, made)
    return made, None


async def _free_leg(
    session: AsyncSession, request: StartRequest, found: Session, by: Actor
) -> Run | None:
    legs = await runs.legs_of_session(session, found.id)
    newest = legs[-1] if legs else None
    if newest is not None:
        demand(by, Action.CONTINUE, newest)
        if newest.is_live:
            raise SessionBusy(newest.run_id)
    if request.repo and request.repo != found.git_repo:
        raise BadRequest(
            "session of another repository",
            user_message=f"The session `{request.session_name}` works on another repository. "
            "Leave `--repo` out to go on with it, or choose another session name.",
        )
    return newest


async def enter(session: AsyncSession, run: Run, kind: MessageType, *, by: Actor) -> Started:
    """Write a new run, its first message, its event, its audit line, and its job if it may go.

    Raises:
        AlreadyRequested: If this request has started a run before.
        SessionBusy: If the session got a live run meanwhile.
    """
    await runs.add(session, run)
    await messages.add(
        session,
        Message(
            id=run.id,
            session_id=run.session_id,
            role=MessageRole.USER,
            message_type=kind,
            text_content=run.task_input,
            created_at=run.created_at,
            run_id=run.id,
            user_id=by.user_id,
        ),
    )
    await events.append(
        session,
        run.id,
        run.attempt,
        [EventRecord(kind=EventKind.RUN_QUEUED, at=run.created_at, data={"by": by.name})],
    )
    action = Action.START if kind is MessageType.WORKFLOW_START else Action.CONTINUE
    await audit.record(
        session,
        entry(
            by, action, run.created_at, run=run, workflow=run.workflow_name, priority=run.priority
        ),
    )
    await admit(session, now=run.created_at)
    return await started(session, await runs.get(session, run.run_id), is_new=True)


async def started(session: AsyncSession, run: Run, *, is_new: bool) -> Started:
    """The answer about a run, with its place in the queue while it waits."""
    position = None
    if run.status is RunStatus.PENDING:
        position = await runs.queue_position(session, run.run_id)
    return Started(run=run, is_new=is_new, queue_position=position)
