"""Restarts of ended runs: what one would do, and doing it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncSession

from core.agent.definitions.catalog import Catalog
from core.domain.actor import Action, Actor
from core.domain.reach.repositories import DEFAULT_POLICY, RepositoryPolicy
from core.domain.runs.errors import AlreadyRequested
from core.domain.runs.request import Place, StartResult
from core.domain.runs.restarts.errors import NotRestartable
from core.domain.runs.restarts.origin import RestartOrigin
from core.domain.runs.restarts.preview import RestartPreview
from core.domain.runs.restarts.request import RestartMode, RestartRequest
from core.domain.runs.run import MIN_RUN_ID_DIGITS, Run
from core.domain.runs.session import MessageType
from core.domain.runs.work.diff import DiffStat
from core.domain.workflow import OnWorkerLost
from core.services.context import ServiceContext
from core.services.runs import new_runs
from core.services.runs.restarts.checks import (
    FoundDefinition,
    WorkspaceProbe,
    find_definition,
    repository_problems,
    stored_problems,
)
from core.services.runs.restarts.new_restart import (
    run_for_restart,
    run_with_files_put_back,
    said_at_restart,
    session_for_restart,
)
from core.services.runs.restarts.points import RestartPoint, discarded_by, find_point
from core.services.runs.targets import find_run
from core.store.alerts import progress_posts
from core.store.runs import restarts, run_queries
from core.store.runs.compare_and_set import bump_version
from core.store.sessions import sessions


@dataclass(frozen=True)
class RestartService:
    """Restarts runs.

    Attributes:
        probe: Looks at repositories and workspaces from this process.
        on_worker_lost: What happens to a run whose worker died, if its workflow does not say.
        repositories: Which repositories runs may work on.
    """

    context: ServiceContext
    catalog: Catalog
    probe: WorkspaceProbe
    on_worker_lost: OnWorkerLost = OnWorkerLost.RESUME
    repositories: RepositoryPolicy = DEFAULT_POLICY

    async def preview(self, request: RestartRequest, *, by: Actor) -> RestartPreview:
        """What a restart would do, and what is in its way.  Nothing is changed.

        Raises:
            BadRequest: If the request is not valid.
            RunNotFound: If neither a run nor a session has that id or name.
            RunIdTooShort: If it is a prefix of fewer than `MIN_RUN_ID_DIGITS` digits.
            NotAllowed: If the run is somebody else's and the person is no operator.
            RunStillLive: If the session's newest run has not ended.
            CheckpointNotFound: If there is no checkpoint of that number.
            Unavailable: If the database cannot be reached.
        """
        preview, _, _ = await self._look(request, by)
        return preview

    async def restart(
        self, request: RestartRequest, *, by: Actor, place: Place | None = None
    ) -> StartResult:
        """Restart a run in a new one.

        A repeated request returns the run that it started, and so does another one for the same
        point while that run is live, unless it has a message.

        Args:
            request: What to restart, and from where.
            by: The person who asks.
            place: Where the new run's thread goes if the old run has none.

        Raises:
            NotRestartable: If something is in its way; nothing was started.
            OpsError: As `preview` does.
        """
        async with self.context.transaction() as session:
            existing = await _delivered_before(session, request, by)
            if existing is not None:
                return await new_runs.start_result(session, existing, is_new=False)
        preview, point, found = await self._look(request, by)
        if preview.blocking or found.used is None:
            await self.context.audit(
                by, Action.RESTART, allowed=False, run=point.run, reason=NotRestartable.code
            )
            sentences = " ".join(problem.sentence for problem in preview.blocking)
            raise NotRestartable(preview, user_message=sentences)
        try:
            return await self._start(request, found, by, place)
        except AlreadyRequested as earlier:
            async with self.context.transaction() as session:
                started = await run_queries.get(session, earlier.run_id)
                return await new_runs.start_result(session, started, is_new=False)

    async def _look(
        self, request: RestartRequest, by: Actor
    ) -> tuple[RestartPreview, RestartPoint, FoundDefinition]:
        request.check()
        async with self.context.transaction() as session:
            point = await find_point(session, request, by)
            found = await find_definition(
                session, request, point.origin, catalog=self.catalog, by=by
            )
            stored = await stored_problems(session, request, point)
            discarded = await discarded_by(session, point)
        remote = await repository_problems(point, policy=self.repositories, probe=self.probe)
        files = await self._files_since(point)
        preview = RestartPreview(
            run=point.run,
            origin=point.origin,
            mode=request.mode,
            task=point.root.task_input,
            discarded=replace(discarded, files=files),
            checkpoint=point.checkpoint,
            checkpoints=tuple(point.checkpoints),
            base_commit=point.root.initial_commit_hash if point.checkpoint is None else None,
            problems=(*found.problems, *stored, *remote),
            definition=found.choice,
            has_both_definitions=found.has_both,
        )
        return preview, point, found

    async def _files_since(self, point: RestartPoint) -> DiffStat | None:
        """What was changed since the point, if this process can read the workspace."""
        checkpoint, newest = point.checkpoint, point.newest
        # What is still being saved must not be disturbed.
        is_readable = self.probe.is_of_worker and not newest.is_work_pending
        if checkpoint is None or newest.workspace_id is None or not is_readable:
            return None
        async with self.context.transaction() as session:
            node = (await sessions.get(session, newest.session_id)).workspace_node
        if node is None:
            return None
        return await self.probe.changes_since(node, newest.workspace_id, checkpoint)

    async def _start(
        self, request: RestartRequest, found: FoundDefinition, by: Actor, place: Place | None
    ) -> StartResult:
        async with self.context.transaction() as session:
            # Concurrent requests about one run wait for each other here.
            point = await find_point(session, request, by)
            await run_queries.get_for_update(session, point.run.run_id)
            earlier = await self._live_restart(session, request, point)
            if earlier is not None:
                return await new_runs.start_result(session, earlier, is_new=False)
            run = await self._new_run(session, request, point, found=found, by=by, place=place)
            # Its card has a link to the new run.
            await bump_version(session, point.newest.id, now=run.created_at)
            made = await new_runs.create_run(
                session,
                run,
                MessageType.WORKFLOW_START
                if request.checkpoint is None
                else MessageType.INTERVENTION,
                by=by,
                progress_every=await progress_posts.interval_of(session, point.newest.id),
                said=said_at_restart(request, point) if request.mode is RestartMode.FORK else None,
                action=Action.RESTART,
                audited={
                    "of": point.run.run_id,
                    "checkpoint": request.checkpoint,
                    "mode": request.mode.value,
                },
            )
            return replace(made, continued=point.run.run_id)

    async def _live_restart(
        self, session: AsyncSession, request: RestartRequest, point: RestartPoint
    ) -> Run | None:
        """A live restart of the same run from the same point, which answers a second click."""
        if request.message is not None:
            return None
        for run in await restarts.of_runs(session, {point.run.id, point.newest.id}):
            origin = RestartOrigin.of(run)
            is_same = origin is not None and (origin.checkpoint, origin.mode) == (
                request.checkpoint,
                request.mode,
            )
            if run.is_live and is_same:
                return run
        return None

    async def _new_run(
        self,
        session: AsyncSession,
        request: RestartRequest,
        point: RestartPoint,
        *,
        found: FoundDefinition,
        by: Actor,
        place: Place | None,
    ) -> Run:
        if found.used is None:
            raise RuntimeError("no definition, although nothing was in the way")
        now = self.context.clock()
        if request.mode is RestartMode.FILES:
            return run_with_files_put_back(
                request, point, found.used, place=place, by=by, now=now, digest=found.digest,
                default_on_worker_lost=self.on_worker_lost,
            )  # fmt: skip
        root = await sessions.get(session, point.root.session_id)
        conversation = session_for_restart(root, by=by, now=now)
        await sessions.add(session, conversation)
        return run_for_restart(
            request, point, found.used, conversation, place=place, by=by, now=now,
            digest=found.digest, default_on_worker_lost=self.on_worker_lost,
        )  # fmt: skip


async def _delivered_before(
    session: AsyncSession, request: RestartRequest, by: Actor
) -> Run | None:
    """The run that the same request has started; in an old session it has a key of its own."""
    existing = await run_queries.find_by_request(session, request.request_key)
    if existing is not None or request.mode is RestartMode.FORK:
        return existing
    run = await find_run(session, request.target, by, min_digits=MIN_RUN_ID_DIGITS)
    legs = await run_queries.legs_of_session(session, run.session_id)
    return next(
        (leg for leg in legs if leg.metadata.get(new_runs.REQUEST_FIELD) == request.request_key),
        None,
    )
