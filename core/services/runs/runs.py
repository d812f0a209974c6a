"""What a person can do with runs: start, continue, kill and view them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.agent.definitions.catalog import Catalog
from core.domain.actor import Action, Actor
from core.domain.errors import BadRequest
from core.domain.kills.termination import Termination
from core.domain.reach.repositories import DEFAULT_POLICY, RepositoryNotAllowed, RepositoryPolicy
from core.domain.runs.errors import AlreadyRequested, OtherWorkflow, SessionBusy
from core.domain.runs.request import (
    ContinueRequest,
    KillRequest,
    Place,
    RunFilter,
    StartRequest,
    StartResult,
)
from core.domain.runs.run import MIN_RUN_ID_DIGITS, Run, RunStatus
from core.domain.runs.session import MessageType
from core.domain.runs.snapshot import RunSnapshot
from core.domain.sessions.names import SessionNameTaken
from core.domain.sessions.recovery import RecoveryNotNeeded, may_recover
from core.domain.workflow import OnWorkerLost, WorkflowDefinition
from core.services.context import ServiceContext, require_permission
from core.services.runs import new_runs, snapshots
from core.services.runs.kill_requests import AlreadyEnded, find_killable, request_kill
from core.services.runs.targets import earlier_continuation, find_run
from core.store import terminations
from core.store.alerts import progress_posts
from core.store.runs import run_queries
from core.store.slack import slack_messages
from core.workspace.source import Source, parse_source


class CredentialsInAddress(BadRequest):
    """The address of a repository carries a password or a token."""

    code = "credentials_in_address"

    def __init__(self, display_url: str) -> None:
        super().__init__(
            f"credentials in the address of {display_url}",
            user_message=f"Leave the password or token out of the address (`{display_url}`): "
            "Signalbox keeps no secrets. Give the worker access instead, by an SSH key or a "
            "git credential helper.",
        )
        self.display_url = display_url


@dataclass(frozen=True)
class RunService:
    """The actions on runs.  Each method is one transaction.

    Attributes:
        on_worker_lost: What happens to a run whose worker died, if its workflow does not say.
        repositories: Which repositories runs may work on.  Workers check them again, and the
            addresses of their hosts.
    """

    context: ServiceContext
    catalog: Catalog
    on_worker_lost: OnWorkerLost = OnWorkerLost.RESUME
    repositories: RepositoryPolicy = DEFAULT_POLICY

    @property
    def workflows(self) -> tuple[WorkflowDefinition, ...]:
        """All workflow definitions, sorted by name."""
        return self.catalog.all

    async def start(self, request: StartRequest, *, by: Actor) -> StartResult:
        """Start a workflow; row, first message and job are written all or nothing.

        A repeated request with the same `request_key` returns the run of the first one.

        Raises:
            BadRequest: If the request is not valid.
            UnknownWorkflow: If no definition has that name.
            NotAllowed: If the person may not start runs.
            RepositoryNotAllowed: If its repository may not be cloned.
            SessionNotFound: If no session has the given id.
            SessionBusy: If the named session has a live run.
            Unavailable: If the database cannot be reached.
        """
        try:
            try:
                return await self._start(request, by)
            except SessionNameTaken:
                # A concurrent request has just made a session of this name: now it is found.
                return await self._start(request, by)
        except AlreadyRequested as earlier:
            return await self._repeat_answer(earlier.run_id)
        except RepositoryNotAllowed as refusal:
            await self._audit_refusal(Action.START, refusal, by)
            raise

    async def _start(self, request: StartRequest, by: Actor) -> StartResult:
        request.check()
        definition = self.catalog.get(request.workflow)
        if request.repo:
            refuse_credentials(parse_source(request.repo))
        now = self.context.clock()
        async with self.context.transaction() as session:
            existing = await run_queries.find_by_request(session, request.request_key)
            if existing is not None:
                return await new_runs.start_result(session, existing, is_new=False)
            require_permission(by, Action.START)
            conversation, before = await new_runs.find_or_create_session(
                session, request, definition, by=by, now=now
            )
            self._require_allowed(conversation.git_repo)
            run = new_runs.run_for_start(
                request,
                definition,
                conversation,
                previous=before,
                by=by,
                now=now,
                default_on_worker_lost=self.on_worker_lost,
            )
            return await new_runs.create_run(
                session,
                run,
                MessageType.WORKFLOW_START,
                by=by,
                progress_every=request.progress_every,
            )

    async def continue_run(
        self, request: ContinueRequest, *, by: Actor, place: Place | None = None
    ) -> StartResult:
        """Continue the session of an ended run in a new run: same conversation, same workspace.

        A run has at most one continuation.  A repeated request returns the run that it started, and
        so does a second click (`is_click`).  Another request for a run that was continued before
        goes on from the session's newest run.

        Raises:
            RunNotFound: If neither a run nor a session has that id or name.
            RunIdTooShort: If it is a prefix of fewer than `MIN_RUN_ID_DIGITS` digits.
            NotAllowed: If the run is somebody else's and the person is no operator.
            RepositoryNotAllowed: If its repository may not be cloned any more.
            SessionBusy: If the session's newest run is live.
            UnknownWorkflow: If the request names a workflow that there is not.
            BadRequest: If a value is out of bounds, or the workflow is another one.
            RecoveryNotNeeded: If it is to recover a conversation that can be continued.
            Unavailable: If the database cannot be reached.
        """
        try:
            return await self._continue(request, by, place)
        except AlreadyRequested as earlier:
            return await self._repeat_answer(earlier.run_id)
        except RepositoryNotAllowed as refusal:
            await self._audit_refusal(Action.CONTINUE, refusal, by)
            raise

    async def _continue(
        self, request: ContinueRequest, by: Actor, place: Place | None
    ) -> StartResult:
        request.check()
        async with self.context.transaction() as session:
            existing = await run_queries.find_by_request(session, request.request_key)
            if existing is not None:
                return await new_runs.start_result(session, existing, is_new=False)
            target_run = await find_run(session, request.target, by, min_digits=MIN_RUN_ID_DIGITS)
            require_permission(by, Action.CONTINUE, target_run)
            session_runs = await run_queries.legs_of_session(session, target_run.session_id)
            newest = session_runs[-1]
            earlier = earlier_continuation(request, target_run, session_runs)
            if earlier is not None:
                return await new_runs.start_result(session, earlier, is_new=False)
            if newest.is_live:
                raise SessionBusy(newest.run_id)
            if request.recovers and not may_recover(newest):
                raise RecoveryNotNeeded(newest.run_id)
            self._require_workflow(newest, request.workflow)
            self._require_allowed(newest.git_repo)
            run = new_runs.run_for_continue(
                request,
                self.catalog.get(newest.workflow_name),
                previous=newest,
                place=place,
                by=by,
                now=self.context.clock(),
                default_on_worker_lost=self.on_worker_lost,
            )
            made = await new_runs.create_run(
                session,
                run,
                MessageType.INTERVENTION,
                by=by,
                progress_every=await progress_posts.interval_of(session, newest.id),
            )
            return replace(made, continued=newest.run_id)

    def _require_workflow(self, run: Run, named: str | None) -> None:
        if named is not None and self.catalog.get(named).name != run.workflow_name:
            raise OtherWorkflow(run.workflow_name, named)

    def _require_allowed(self, repo: str | None) -> None:
        if repo is not None:
            parse_source(repo).require_allowed(self.repositories)

    async def _audit_refusal(
        self, action: Action, refusal: RepositoryNotAllowed, by: Actor
    ) -> None:
        await self.context.audit(by, action, allowed=False, reason=refusal.code)

    async def _repeat_answer(self, run_id: str) -> StartResult:
        """The result of a request that was just handled under the same key."""
        async with self.context.transaction() as session:
            return await new_runs.start_result(
                session, await run_queries.get(session, run_id), is_new=False
            )

    async def kill(self, request: KillRequest, *, by: Actor) -> Termination:
        """Request the kill of a run; the worker that executes it ends the processes.

        A pending run without processes is ended at once.  A repeated request returns the open
        termination, and may add `force` to it.

        Raises:
            RunNotFound: If no run has this id.
            NotAllowed: If the run is somebody else's and the person is no operator.
            AlreadyEnded: If it has ended.
            Unavailable: If the database cannot be reached.
        """
        async with self.context.transaction() as session:
            run = await find_killable(session, request.target, by)
            if run.is_live:
                try:
                    return await request_kill(
                        session, run, request, by=by, now=self.context.clock()
                    )
                except AlreadyEnded as ended:
                    run = ended.run
            latest = await terminations.latest_of_run(session, run.id)
            if latest is None or run.status is not RunStatus.KILLED:
                raise AlreadyEnded(run)
            return latest

    async def snapshot(
        self, target: str, *, by: Actor, action: Action = Action.VIEW
    ) -> RunSnapshot:
        """A run with everything that belongs to it.

        Args:
            target: A run id, a unique prefix of one, or a session's name or id.
            by: The person who asks.
            action: What they are going to do with it; a question about that is only for people
                who may do it.

        Raises:
            RunNotFound: If no run has this id.
            RunIdTooShort: If the action needs more digits of the id.
            NotAllowed: If the person may not do this to the run.
            Unavailable: If the database cannot be reached.
        """
        min_digits = 1 if action is Action.VIEW else MIN_RUN_ID_DIGITS
        async with self.context.transaction() as session:
            run = await find_run(session, target, by, min_digits=min_digits)
            require_permission(by, action, run)
            session_snapshots = await snapshots.of_session_runs(
                session, await run_queries.legs_of_session(session, run.session_id)
            )
            wanted = next(leg for leg in session_snapshots if leg.run.id == run.id)
            return await snapshots.named(session, wanted)

    async def require_start(self, *, by: Actor) -> None:
        """Check that the person may start runs, before a form asks them what to start.

        Raises:
            NotAllowed: If they may not.
            Unavailable: If the database cannot be reached, which a refusal is recorded in.
        """
        async with self.context.transaction():
            require_permission(by, Action.START)

    async def list_runs(
        self, run_filter: RunFilter, *, by: Actor, limit: int = 20
    ) -> list[RunSnapshot]:
        """The newest runs that match a filter, newest first.

        Raises:
            UnknownWorkflow: If the filter names an unknown workflow.
            NotAllowed: If the person may not view runs.
            Unavailable: If the database cannot be reached.
        """
        if run_filter.workflow is not None:
            name = self.catalog.get(run_filter.workflow).name
            run_filter = RunFilter(
                mine=run_filter.mine, live=run_filter.live, failed=run_filter.failed, workflow=name
            )
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            found = await run_queries.recent(session, run_filter, user_id=by.user_id, limit=limit)
            return await snapshots.of_listed_runs(session, found)

    async def run_of_thread(self, *, channel_id: str, thread_ts: str) -> Run | None:
        """The newest run of this Slack thread, if the thread belongs to runs."""
        async with self.context.transaction() as session:
            thread_key = await slack_messages.find_thread_key(session, channel_id, thread_ts)
            found = await run_queries.of_thread(session, thread_key) if thread_key else []
            return found[-1] if found else None


def refuse_credentials(source: Source) -> None:
    """Raise `CredentialsInAddress` for a repository address that contains a password.

    The address is stored until a worker clones it, and the database must contain no secrets.
    """
    if source.secrets:
        raise CredentialsInAddress(source.display_url)
