"""New runs: built from a request, and written with everything that belongs to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.actor import Action, Actor
from core.domain.alerts.posts.progress import ProgressPost
from core.domain.errors import BadRequest
from core.domain.runs.errors import SessionBusy
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.request import ContinueRequest, Place, StartRequest, StartResult
from core.domain.runs.restarts.origin import following, follows
from core.domain.runs.run import RUN_ID_PREFIX, Run, RunStatus
from core.domain.runs.session import Message, MessageRole, MessageType, Session
from core.domain.sessions.names import clean_session_name
from core.domain.sessions.recovery import RECOVERY_KEY, is_unbegun_recovery
from core.domain.workflow import MAX_TURNS_LIMIT, OnWorkerLost, WorkflowDefinition
from core.services import session_names
from core.services.context import audit_entry, require_permission
from core.services.fleet.admission import admit
from core.store import audit, events
from core.store.alerts import progress_posts
from core.store.fleet import pending
from core.store.runs import run_queries, runs
from core.store.runs.tasks import CONTINUATION_KEY
from core.store.sessions import found_sessions, messages, sessions


class OtherRepository(BadRequest):
    """The request names another repository than that of the session to continue."""

    code = "other_repository"

    def __init__(self, session_name: str) -> None:
        super().__init__(
            "session of another repository",
            user_message=f"The session `{session_name}` works on another repository.",
        )
        self.session_name = session_name


# The key of the request that a continuation was started by, in the run's metadata.
REQUEST_FIELD = "continue_request"
# For whom a program started the run, in its own words.
REQUESTED_FOR_FIELD = "requested_for"
CONTINUE_PROMPT = "Please go on with the task from where you stopped."


def run_for_start(
    request: StartRequest,
    definition: WorkflowDefinition,
    conversation: Session,
    *,
    previous: Run | None,
    by: Actor,
    now: datetime,
    default_on_worker_lost: OnWorkerLost = OnWorkerLost.RESUME,
) -> Run:
    """Build the run for a start request; it gets a thread of its own.

    Args:
        request: The request; what it leaves open comes from the definition or the session.
        definition: The definition of the workflow.
        conversation: The session that the run belongs to.
        previous: The session's newest run, if it has one.
        by: The owner of the run.
        now: The present time.
        default_on_worker_lost: What happens if the worker dies, if the definition does not say.
    """
    place = request.place
    return replace(
        pending_run(definition, request.task, conversation.id, by=by, now=now),
        session_name=conversation.name,
        ai_model=request.model or definition.model,
        git_repo=conversation.git_repo,
        git_branch=request.branch or conversation.git_branch,
        max_turns=request.max_turns or definition.max_turns,
        budget_usd=request.budget_usd or definition.budget_usd,
        timeout=request.timeout or definition.timeout,
        parent_run_id=previous.id if previous else None,
        workspace_id=conversation.workspace_id,
        priority=request.priority,
        slack_team_id=place.team_id if place else None,
        slack_channel_id=place.channel_id if place else None,
        request_key=request.request_key,
        metadata={REQUESTED_FOR_FIELD: request.requested_for} if request.requested_for else {},
        on_worker_lost=definition.on_worker_lost or default_on_worker_lost,
    )


def run_for_continue(
    request: ContinueRequest,
    definition: WorkflowDefinition,
    *,
    previous: Run,
    place: Place | None,
    by: Actor,
    now: datetime,
    default_on_worker_lost: OnWorkerLost = OnWorkerLost.RESUME,
) -> Run:
    """Build the run that continues another one, in the same thread if that has one.

    `place` is where the thread goes if the previous run has none.  The other arguments are as in
    `run_for_start`.
    """
    task = (request.message or "").strip() or CONTINUE_PROMPT
    run = replace(
        pending_run(definition, task, previous.session_id, by=by, now=now),
        workflow_name=previous.workflow_name,
        agent_type=previous.agent_type,
        session_name=previous.session_name,
        ai_model=request.model or previous.ai_model,
        git_repo=previous.git_repo,
        git_branch=previous.git_branch,
        max_turns=_turn_limit(request, definition, previous),
        budget_usd=request.budget_usd or previous.budget_usd,
        timeout=previous.timeout,
        parent_run_id=previous.id,
        workspace_id=previous.workspace_id,
        workspace_path=previous.workspace_path,
        priority=previous.priority,
        # One continuation per run, however often and by whom it is requested.
        request_key=f"{CONTINUATION_KEY}{previous.run_id}",
        metadata={REQUEST_FIELD: request.request_key, **following(follows(previous))}
        | ({RECOVERY_KEY: True} if request.recovers or is_unbegun_recovery(previous) else {}),
        on_worker_lost=definition.on_worker_lost or default_on_worker_lost,
    )
    if previous.slack_channel_id is not None:
        return replace(
            run,
            slack_team_id=previous.slack_team_id,
            slack_channel_id=previous.slack_channel_id,
            thread_key=previous.thread_key,
        )
    return replace(
        run,
        slack_team_id=place.team_id if place else None,
        slack_channel_id=place.channel_id if place else None,
    )


def _turn_limit(request: ContinueRequest, definition: WorkflowDefinition, previous: Run) -> int:
    """The limit of a continuation: what was left of the previous one is never taken away."""
    if request.additional_turns is None:
        return previous.turns_left or definition.max_turns
    return min(previous.turns_left + request.additional_turns, MAX_TURNS_LIMIT)


def pending_run(
    definition: WorkflowDefinition, task: str, session_id: UUID, *, by: Actor, now: datetime
) -> Run:
    """A new run with its ids and the fields that every new run has."""
    identity = uuid4()
    run_id = RUN_ID_PREFIX + identity.hex[:12]
    return Run(
        id=identity,
        run_id=run_id,
        workflow_name=definition.name,
        task_input=task,
        status=RunStatus.PENDING,
        created_at=now,
        updated_at=now,
        session_id=session_id,
        user_id=by.user_id,
        thread_key=run_id,
    )


async def find_or_create_session(
    session: AsyncSession,
    request: StartRequest,
    definition: WorkflowDefinition,
    *,
    by: Actor,
    now: datetime,
) -> tuple[Session, Run | None]:
    """Find or create the session of a start request.

    Returns:
        The session, and its newest run if it has one.

    Raises:
        SessionNotFound: If no session has the given id.
        SessionBusy: If the named session has a live run.
        SessionNameTaken: If a concurrent request has just given the name to another session.
        NotAllowed: If it belongs to somebody else.
        OtherRepository: If it works on another repository.
    """
    if request.session_id is not None:
        known = await sessions.get(session, request.session_id)
        return known, await _latest_run_of_idle_session(session, request, known, by)
    name = None if request.session_name is None else clean_session_name(request.session_name)
    if name is not None:
        found = await found_sessions.open_by_name(session, name, user_id=by.user_id)
        if found is not None and not request.new_session:
            return found, await _latest_run_of_idle_session(session, request, found, by)
        if found is not None:
            # The name moves; the other session can still be continued by its id.
            await sessions.change(session, found.id, closed_at=now)
    identity = uuid4()
    made = Session(
        id=identity,
        agent_name=definition.name,
        created_at=now,
        name=name,
        user_id=by.user_id,
        git_repo=request.repo,
        git_branch=request.branch,
        workspace_id=f"ws_{identity.hex[:12]}",
    )
    await sessions.add(session, made)
    return made, None


async def _latest_run_of_idle_session(
    session: AsyncSession, request: StartRequest, found: Session, by: Actor
) -> Run | None:
    legs = await run_queries.legs_of_session(session, found.id)
    newest = legs[-1] if legs else None
    if newest is not None:
        require_permission(by, Action.CONTINUE, newest)
        if newest.is_live:
            raise SessionBusy(newest.run_id)
    if request.repo and request.repo != found.git_repo:
        raise OtherRepository(request.session_name or str(found.id))
    return newest


async def create_run(
    session: AsyncSession,
    run: Run,
    kind: MessageType,
    *,
    by: Actor,
    progress_every: timedelta | None = None,
    said: str | None = None,
    action: Action | None = None,
    audited: Mapping[str, object] | None = None,
) -> StartResult:
    """Write a new run with its first message, event and audit entry, and admit it if it fits.

    Args:
        session: An open database session.
        run: The new run.
        kind: What its first message is.
        by: The actor of the request.
        progress_every: How often its progress is posted; `None` for never.
        said: Its first message, if that is not its task.
        action: What is audited, if it is neither a start nor a continuation.
        audited: What else the audit entry tells.

    Raises:
        AlreadyRequested: If this request has started a run before.
        SessionBusy: If the session has a live run by now.
    """
    # A session that goes on is open again.
    known = await session_names.reopen(session, await sessions.get(session, run.session_id))
    run = replace(run, session_name=known.name)
    await runs.add(session, run)
    if progress_every is not None:
        due_at = run.created_at + progress_every
        post = ProgressPost(run_id=run.id, every=progress_every, due_at=due_at)
        await progress_posts.add(session, post)
    await messages.add(
        session,
        Message(
            id=run.id,
            session_id=run.session_id,
            role=MessageRole.USER,
            message_type=kind,
            text_content=run.task_input if said is None else said,
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
    usual = Action.START if kind is MessageType.WORKFLOW_START else Action.CONTINUE
    entry = audit_entry(
        by, action or usual, run.created_at, run=run, workflow=run.workflow_name,
        priority=run.priority,
    )  # fmt: skip
    await audit.record(session, replace(entry, details={**entry.details, **(audited or {})}))
    await admit(session, now=run.created_at)
    return await start_result(session, await run_queries.get(session, run.run_id), is_new=True)


async def start_result(session: AsyncSession, run: Run, *, is_new: bool) -> StartResult:
    """The result of a start, with the queue position while the run is pending."""
    position = None
    if run.status is RunStatus.PENDING:
        position = await pending.queue_position(session, run.run_id)
    return StartResult(run=run, is_new=is_new, queue_position=position)
