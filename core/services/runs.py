"""What a person can do with runs: start, continue, kill, look."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from core.agent.catalog import Catalog
from core.domain.actor import Action, Actor
from core.domain.errors import BadRequest, Conflict
from core.domain.event import EventKind, EventRecord
from core.domain.request import (
    ContinueRequest,
    KillRequest,
    Place,
    RunFilter,
    Started,
    StartRequest,
    check_limits,
)
from core.domain.run import RUN_ID_PREFIX, Run, RunNotFound, RunStatus, SessionBusy, StopReason
from core.domain.session import Message, MessageRole, MessageType, Session
from core.domain.snapshot import RunSnapshot
from core.domain.termination import Phase, Termination
from core.domain.workflow import WorkflowDefinition
from core.queue import jobs
from core.services import snapshots
from core.services.work import Work, demand, entry
from core.store import audit, events, messages, runs, sessions, shown, terminations
from core.workspace.source import parse_source

GO_ON = "Please go on with the task from where you stopped."


class AlreadyEnded(Conflict):
    """A run that has ended cannot be killed."""

    def __init__(self, run: Run) -> None:
        super().__init__(
            f"{run.run_id} has ended as {run.status}",
            user_message=f"Run `{run.run_id}` has already ended ({run.status}); nothing of it "
            f"is running. `/workflow status {run.run_id}` shows how it went.",
        )


@dataclass(frozen=True)
class RunService:
    """The acts on runs.  Each method is one transaction."""

    work: Work
    catalog: Catalog

    @property
    def workflows(self) -> tuple[WorkflowDefinition, ...]:
        """All definitions, by name."""
        return self.catalog.all

    async def start(self, request: StartRequest, *, by: Actor) -> Started:
        """Start a workflow: row, first message and job land together or not at all.

        Asking again with the same `request_key` answers with the run of the first time.

        Raises:
            BadRequest: If the request makes no sense.
            UnknownWorkflow: If no definition has that name.
            Refused: If the person may not start runs.
            SessionBusy: If the named session has a live run.
            Unavailable: If the database cannot be reached.
        """
        request.check()
        definition = self.catalog.get(request.workflow)
        if request.repo:
            parse_source(request.repo)
        async with self.work.transaction() as session:
            known = await runs.find_request(session, request.request_key)
            if known is not None:
                return await _started(session, known, is_new=False)
            demand(by, Action.START)
            conversation, parent = await self._conversation(session, request, definition, by)
            identity = uuid4()
            run_id = RUN_ID_PREFIX + identity.hex[:12]
            inherits = parent is not None and parent.slack_channel_id is not None
            place = request.place
            run = Run(
                id=identity,
                run_id=run_id,
                workflow_name=definition.name,
                task_input=request.task,
                status=RunStatus.PENDING,
                created_at=self.work.clock(),
                updated_at=self.work.clock(),
                session_id=conversation.id,
                session_name=request.session_name,
                ai_model=request.model or definition.model,
                git_repo=conversation.git_repo,
                git_branch=request.branch,
                max_turns=request.max_turns or definition.max_turns,
                budget_usd=request.budget_usd or definition.budget_usd,
                timeout=request.timeout or definition.timeout,
                user_id=by.user_id,
                parent_run_id=parent.id if parent else None,
                workspace_id=conversation.workspace_id,
                priority=request.priority,
                slack_team_id=parent.slack_team_id
                if parent and inherits
                else (place.team_id if place else None),
                slack_channel_id=parent.slack_channel_id
                if parent and inherits
                else (place.channel_id if place else None),
                thread_key=parent.thread_key if parent and inherits else run_id,
                request_key=request.request_key,
            )
            return await self._enter(session, run, by, MessageType.WORKFLOW_START)

    async def continue_run(
        self, request: ContinueRequest, *, by: Actor, place: Place | None = None
    ) -> Started:
        """Go on with an ended run's session in a new leg: same conversation, same workspace.

        Two clicks start one leg: a run has at most one continuation, and asking again
        answers with it.

        Raises:
            RunNotFound: If neither a run nor a session is called that.
            Refused: If the run is somebody else's and the person is no operator.
            SessionBusy: If the session's newest run still lives.
            BadRequest: If the number of turns is out of bounds.
            Unavailable: If the database cannot be reached.
        """
        check_limits(request.additional_turns, None, None)
        async with self.work.transaction() as session:
            known = await runs.find_request(session, request.request_key)
            if known is not None:
                return await _started(session, known, is_new=False)
            named = await self._named(session, request.named, by)
            demand(by, Action.CONTINUE, named)
            newest = (await runs.legs_of_session(session, named.session_id))[-1]
            if newest.is_live:
                if newest.parent_run_id == named.id:
                    return await _started(session, newest, is_new=False)
                raise SessionBusy(newest.run_id)
            definition = self.catalog.get(newest.workflow_name)
            identity = uuid4()
            run_id = RUN_ID_PREFIX + identity.hex[:12]
            words = (request.message or "").strip() or GO_ON
            run = Run(
                id=identity,
                run_id=run_id,
                workflow_name=newest.workflow_name,
                agent_type=newest.agent_type,
                task_input=words,
                status=RunStatus.PENDING,
                created_at=self.work.clock(),
                updated_at=self.work.clock(),
                session_id=newest.session_id,
                session_name=newest.session_name,
                ai_model=newest.ai_model,
                git_repo=newest.git_repo,
                git_branch=newest.git_branch,
                max_turns=request.additional_turns or definition.max_turns,
                budget_usd=newest.budget_usd,
                timeout=newest.timeout,
                user_id=by.user_id,
                parent_run_id=newest.id,
                workspace_id=newest.workspace_id,
                workspace_path=newest.workspace_path,
                priority=newest.priority,
                slack_team_id=newest.slack_team_id or (place.team_id if place else None),
                slack_channel_id=newest.slack_channel_id or (place.channel_id if place else None),
                thread_key=newest.thread_key if newest.slack_channel_id else run_id,
                # One continuation per leg, whoever clicks and however often.
                request_key=f"continue:{newest.run_id}",
            )
            first = await runs.find_request(session, f"continue:{newest.run_id}")
            if first is not None:
                return await _started(session, first, is_new=False)
            return await self._enter(session, run, by, MessageType.INTERVENTION)

    async def kill(self, request: KillRequest, *, by: Actor) -> Termination:
        """Ask for the end of a run; the worker that holds it climbs the ladder.

        A run that never started is ended here and now.  Asking again answers with the
        termination under way (and may add `force` to it).

        Raises:
            RunNotFound: If no run has this id.
            Refused: If the run is somebody else's and the person is no operator.
            AlreadyEnded: If it has ended.
            Unavailable: If the database cannot be reached.
        """
        async with self.work.transaction() as session:
            run = await runs.resolve(session, request.named)
            demand(by, Action.KILL, run)
            if not run.is_live:
                latest = await terminations.latest_of_run(session, run.id)
                if latest is not None and run.status is RunStatus.KILLED:
                    return latest
                raise AlreadyEnded(run)
            now = self.work.clock()
            # Locks the row: from here the run neither begins nor ends under us.
            run = await runs.wish_killed(session, run.run_id, now=now)
            termination = await terminations.open(
                session,
                Termination(
                    id=uuid4(),
                    run_id=run.id,
                    phase=Phase.REQUESTED,
                    requested_at=now,
                    requested_by=by.user_id,
                    requested_by_name=by.name,
                    requested_from=by.origin,
                    reason=request.reason,
                    force=request.force,
                ),
            )
            await audit.record(
                session,
                entry(by, Action.KILL, now, run=run, reason=request.reason, force=request.force),
            )
            never_ran = run.status is RunStatus.PENDING and run.attempt == 1
            if run.job_id is not None and (never_ran or run.status is RunStatus.RUNNING):
                await jobs.abort(session, run.job_id)
            if never_ran:
                termination = await terminations.advance(
                    session, termination.id, Phase.CONFIRMED, now=now
                )
                await runs.finish(
                    session, run.run_id, attempt=None, stop_reason=StopReason.KILLED, now=now
                )
                await events.append(
                    session,
                    run.id,
                    run.attempt,
                    [
                        EventRecord(
                            kind=EventKind.RUN_ENDED,
                            at=now,
                            data={"stop_reason": StopReason.KILLED, "by": by.name},
                        )
                    ],
                )
            return termination

    async def snapshot(self, named: str, *, by: Actor) -> RunSnapshot:
        """A run with all that belongs to it.

        Raises:
            RunNotFound: If no run has this id.
            Refused: If the person may not look.
            Unavailable: If the database cannot be reached.
        """
        async with self.work.transaction() as session:
            run = await self._named(session, named, by)
            demand(by, Action.VIEW, run)
            legs = await snapshots.of_legs(
                session, await runs.legs_of_session(session, run.session_id)
            )
            return next(leg for leg in legs if leg.run.id == run.id)

    async def list_runs(
        self, wanted: RunFilter, *, by: Actor, limit: int = 20
    ) -> list[RunSnapshot]:
        """The newest runs that match.

        Raises:
            UnknownWorkflow: If the filter names none.
            Refused: If the person may not look.
            Unavailable: If the database cannot be reached.
        """
        if wanted.workflow is not None:
            name = self.catalog.get(wanted.workflow).name
            wanted = RunFilter(
                mine=wanted.mine, live=wanted.live, failed=wanted.failed, workflow=name
            )
        async with self.work.transaction() as session:
            demand(by, Action.VIEW)
            found = await runs.recent(session, wanted, user_id=by.user_id, limit=limit)
            return await snapshots.of_runs(session, found)

    async def run_of_thread(self, *, team_id: str, channel_id: str, thread_ts: str) -> Run | None:
        """The newest leg of the run whose card heads this Slack thread, if it is one."""
        async with self.work.transaction() as session:
            thread_key = await shown.thread_at(session, channel_id, thread_ts)
            legs = await runs.of_thread(session, thread_key) if thread_key else []
            return legs[-1] if legs and legs[-1].slack_team_id == team_id else None

    async def _named(self, session: AsyncSession, named: str, by: Actor) -> Run:
        """A run by its id or prefix, or the newest leg of a session by its name or id."""
        try:
            return await runs.resolve(session, named)
        except RunNotFound:
            found = await _session_called(session, named, by)
            legs = await runs.legs_of_session(session, found.id) if found else []
            if not legs:
                raise
            return legs[-1]

    async def _conversation(
        self,
        session: AsyncSession,
        request: StartRequest,
        definition: WorkflowDefinition,
        by: Actor,
    ) -> tuple[Session, Run | None]:
        """The session the run belongs to, and its newest leg if it had one."""
        if request.session_name is not None:
            found = await sessions.find_by_name(session, request.session_name, user_id=by.user_id)
            if found is not None:
                legs = await runs.legs_of_session(session, found.id)
                newest = legs[-1] if legs else None
                if newest is not None:
                    demand(by, Action.CONTINUE, newest)
                    if newest.is_live:
                        raise SessionBusy(newest.run_id)
                if request.repo and request.repo != found.git_repo:
                    raise BadRequest(
                        "session of another repository",
                        user_message=f"The session `{request.session_name}` works on another "
                        "repository. Leave `--repo` out to go on with it, or choose another "
                        "session name.",
                    )
                return found, newest
        identity = uuid4()
        made = Session(
            id=identity,
            agent_name=definition.name,
            created_at=self.work.clock(),
            name=request.session_name,
            user_id=by.user_id,
            git_repo=request.repo,
            git_branch=request.branch,
            workspace_id=f"ws_{identity.hex[:12]}",
        )
        await sessions.add(session, made)
        return made, None

    async def _enter(
        self,
        session: AsyncSession,
        run: Run,
        by: Actor,
        kind: MessageType,
    ) -> Started:
        """Write the run, its first message, its event, its audit line and its job."""
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
            session, entry(by, action, run.created_at, run=run, workflow=run.workflow_name)
        )
        job_id = await jobs.enqueue(
            session,
            run_id=run.run_id,
            attempt=run.attempt,
            session_id=run.session_id,
            priority=run.priority,
        )
        run = await runs.change(session, run.run_id, now=run.created_at, job_id=job_id)
        return await _started(session, run, is_new=True)


async def _started(session: AsyncSession, run: Run, *, is_new: bool) -> Started:
    position = None
    if run.status is RunStatus.PENDING:
        position = await runs.queue_position(session, run.run_id)
    return Started(run=run, is_new=is_new, queue_position=position)


async def _session_called(session: AsyncSession, named: str, by: Actor) -> Session | None:
    found = await sessions.find_by_name(session, named, user_id=by.user_id)
    if found is not None:
        return found
    try:
        return await sessions.get(session, UUID(named))
    except (ValueError, LookupError):
        return None
