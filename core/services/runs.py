"""What a person can do with runs: start, continue, kill, look."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from core.agent.definitions.catalog import Catalog
from core.domain.actor import Action, Actor
from core.domain.errors import BadRequest, Conflict, NotFound
from core.domain.kills.termination import Phase, Termination
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.request import (
    ContinueRequest,
    KillRequest,
    Place,
    RunFilter,
    Started,
    StartRequest,
    check_limits,
)
from core.domain.runs.run import (
    AlreadyRequested,
    Run,
    RunNotFound,
    RunStatus,
    SessionBusy,
    StopReason,
)
from core.domain.runs.session import MessageType, Session
from core.domain.runs.snapshot import RunSnapshot
from core.domain.workflow import OnWorkerLost, WorkflowDefinition
from core.queue import jobs
from core.services import legs, snapshots
from core.services.admission import admit
from core.services.work import Work, demand, entry
from core.store import audit, events, terminations
from core.store.fleet import attempts
from core.store.runs import runs
from core.store.sessions import sessions
from core.store.slack import shown
from core.workspace.source import Source, parse_source


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
    """The acts on runs.  Each method is one transaction.

    Attributes:
        on_worker_lost: What becomes of a run whose worker died, where its workflow does not say.
    """

    work: Work
    catalog: Catalog
    on_worker_lost: OnWorkerLost = OnWorkerLost.RESUME

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
        try:
            return await self._start(request, by)
        except AlreadyRequested as earlier:
            return await self._again(earlier.run_id)

    async def _start(self, request: StartRequest, by: Actor) -> Started:
        request.check()
        definition = self.catalog.get(request.workflow)
        if request.repo:
            refuse_credentials(parse_source(request.repo))
        now = self.work.clock()
        async with self.work.transaction() as session:
            known = await runs.find_request(session, request.request_key)
            if known is not None:
                return await legs.started(session, known, is_new=False)
            demand(by, Action.START)
            conversation, before = await legs.conversation(
                session, request, definition, by=by, now=now
            )
            run = legs.first_leg(
                request,
                definition,
                conversation,
                after=before,
                by=by,
                now=now,
                on_lost=self.on_worker_lost,
            )
            return await legs.enter(session, run, MessageType.WORKFLOW_START, by=by)

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
        try:
            return await self._continue(request, by, place)
        except AlreadyRequested as earlier:
            return await self._again(earlier.run_id)

    async def _continue(self, request: ContinueRequest, by: Actor, place: Place | None) -> Started:
        check_limits(request.additional_turns, None, None)
        async with self.work.transaction() as session:
            known = await runs.find_request(session, request.request_key)
            if known is not None:
                return await legs.started(session, known, is_new=False)
            named = await self._named(session, request.named, by)
            demand(by, Action.CONTINUE, named)
            of_session = await runs.legs_of_session(session, named.session_id)
            newest = of_session[-1]
            if named.id != newest.id:
                # Continued before: a second click, or the button of an old message.
                follower = next((leg for leg in of_session if leg.parent_run_id == named.id), None)
                if follower is not None and (not newest.is_live or follower.id == newest.id):
                    return await legs.started(session, follower, is_new=False)
            if newest.is_live:
                raise SessionBusy(newest.run_id)
            run = legs.next_leg(
                request,
                self.catalog.get(newest.workflow_name),
                after=newest,
                place=place,
                by=by,
                now=self.work.clock(),
                on_lost=self.on_worker_lost,
            )
            return await legs.enter(session, run, MessageType.INTERVENTION, by=by)

    async def _again(self, run_id: str) -> Started:
        """The answer to a request that another delivery of it has just answered."""
        async with self.work.transaction() as session:
            return await legs.started(session, await runs.get(session, run_id), is_new=False)

    async def kill(self, request: KillRequest, *, by: Actor) -> Termination:
        """Ask for the end of a run; the worker that holds it climbs the ladder.

        A run that waits, and of which nothing is left running, is ended here and now.
        Asking again answers with the termination under way (and may add `force` to it).

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
            await audit.record_once(
                session,
                entry(by, Action.KILL, now, run=run, reason=request.reason, force=request.force),
                request_key=request.request_key,
            )
            # It has never run, or what ran of it was proven gone when it was handed over.
            is_gone = run.status is RunStatus.PENDING and not await attempts.unseen_hosts(
                session, run.id
            )
            if run.job_id is not None and (is_gone or run.status is RunStatus.RUNNING):
                await jobs.abort(session, run.job_id)
            if is_gone:
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
                await admit(session, now=now)
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
            drawn = await snapshots.of_legs(
                session, await runs.legs_of_session(session, run.session_id)
            )
            return next(leg for leg in drawn if leg.run.id == run.id)

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

    async def run_of_thread(self, *, channel_id: str, thread_ts: str) -> Run | None:
        """The newest leg of the run whose card heads this Slack thread, if it is one."""
        async with self.work.transaction() as session:
            thread_key = await shown.thread_at(session, channel_id, thread_ts)
            found = await runs.of_thread(session, thread_key) if thread_key else []
            return found[-1] if found else None

    async def _named(self, session: AsyncSession, named: str, by: Actor) -> Run:
        """A run by its id or prefix, or the newest leg of a session by its name or id."""
        try:
            return await runs.resolve(session, named)
        except RunNotFound:
            found = await _session_called(session, named, by)
            of_session = await runs.legs_of_session(session, found.id) if found else []
            if not of_session:
                raise
            return of_session[-1]


async def _session_called(session: AsyncSession, named: str, by: Actor) -> Session | None:
    found = await sessions.find_by_name(session, named, user_id=by.user_id)
    if found is not None:
        return found
    try:
        return await sessions.get(session, UUID(named))
    except (ValueError, NotFound):
        return None


def refuse_credentials(source: Source) -> None:
    """Raise `BadRequest` for a repository address that carries a password.

    It would have to be stored until a worker clones it, and rows hold no secrets.
    """
    if source.secrets:
        raise BadRequest(
            f"credentials in the address of {source.shown}",
            user_message=f"Leave the password or token out of the address (`{source.shown}`): "
            "Signalbox keeps no secrets. Give the worker access instead, by an SSH key or a "
            "git credential helper.",
        )
