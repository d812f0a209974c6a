"""Kills that need a confirmation: of somebody else's run, and of many runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.agent.definitions.catalog import Catalog
from core.domain.actor import Action, Actor, Role
from core.domain.errors import Conflict
from core.domain.kills.bulk_kill import (
    MAX_BULK_KILL_RUNS,
    BulkKillRequest,
    BulkKillResult,
    KillPreview,
    KillSelection,
)
from core.domain.kills.termination import Phase, Termination
from core.domain.runs.request import KillRequest
from core.domain.runs.run import Run, RunStatus
from core.domain.runs.snapshot import RunSnapshot
from core.services.context import NotAllowed, ServiceContext, require_permission
from core.services.runs.kill_requests import AlreadyEnded, find_killable, request_kill
from core.services.runs.runs import RunService
from core.store import users
from core.store.runs import run_queries, tasks


class OperatorsOnly(NotAllowed):
    """Only an operator may kill everybody's runs at once."""

    code = "operators_only"

    def __init__(self, actor: Actor) -> None:
        super().__init__(
            actor,
            Action.KILL,
            None,
            user_message="Only an operator can stop everybody's runs.",
        )


@dataclass(frozen=True)
class KillService:
    """Previews of kills, and kills of many runs."""

    context: ServiceContext
    catalog: Catalog
    runs: RunService

    async def kill_or_ask(self, request: KillRequest, *, by: Actor) -> Termination | RunSnapshot:
        """Kill a run at once if that needs no confirmation; otherwise return the run to ask about.

        A new kill of somebody else's run needs a confirmation, and so does adding force to one.

        Returns:
            The termination; or the live run with its owner.

        Raises:
            RunNotFound: If no run has this id.
            NotAllowed: If the run is somebody else's and the person is no operator.
            AlreadyEnded: If it has ended.
            Unavailable: If the database cannot be reached.
        """
        async with self.context.transaction() as session:
            run = await find_killable(session, request.target, by)
            if not run.is_live:
                raise AlreadyEnded(run)
            if not _needs_question(run, request, by):
                return await request_kill(session, run, request, by=by, now=self.context.clock())
            owner = await users.get(session, run.user_id) if run.user_id else None
            place = await tasks.of_run(session, run)
            return RunSnapshot(run=run, owner=owner, leg=place.leg, about=place.about)

    async def preview(self, selection: KillSelection, *, by: Actor) -> KillPreview:
        """The runs that a selection would kill: those that match and that the person may kill.

        With `force` this includes runs that are being stopped already, to add force.

        Raises:
            UnknownWorkflow: If the selection names an unknown workflow.
            NotAllowed: If the person may not kill runs, or not everybody's.
            Unavailable: If the database cannot be reached.
        """
        run_filter = replace(selection.run_filter, live=True, failed=False)
        if run_filter.workflow is not None:
            run_filter = replace(run_filter, workflow=self.catalog.get(run_filter.workflow).name)
        async with self.context.transaction() as session:
            require_permission(by, Action.KILL)
            is_operator = by.role >= Role.OPERATOR
            if not (run_filter.mine or run_filter.workflow or is_operator):
                raise OperatorsOnly(by)
            allowed = run_filter if is_operator else replace(run_filter, mine=True)
            listed, total = await run_queries.oldest_live(
                session,
                allowed,
                user_id=by.user_id,
                include_stopping=selection.force,
                limit=MAX_BULK_KILL_RUNS,
            )
            killable, stopping = await run_queries.count_live(session, allowed, user_id=by.user_id)
            matching, _ = await run_queries.count_live(session, run_filter, user_id=by.user_id)
            owners = {
                user_id: await users.get(session, user_id)
                for user_id in {run.user_id for run in listed if run.user_id is not None}
            }
            places = await tasks.of_sessions(session, {run.session_id for run in listed})
        return KillPreview(
            selection=replace(selection, run_filter=run_filter),
            runs=tuple(
                RunSnapshot(
                    run=run,
                    owner=owners.get(run.user_id) if run.user_id else None,
                    leg=places[run.id].leg,
                    about=places[run.id].about,
                )
                for run in listed
            ),
            omitted_count=total - len(listed),
            forbidden_count=matching - killable,
            stopping_count=0 if selection.force else stopping,
        )

    async def kill_many(self, request: BulkKillRequest, *, by: Actor) -> BulkKillResult:
        """Kill those of the runs that are live and that the person may kill.

        Each kill is a transaction of its own, with its termination and its audit entry.  It is
        idempotent: a run that is being stopped already is skipped, unless this request adds
        `force`.

        Raises:
            BadRequest: If the request names no runs, or more than a preview ever lists.
            Unavailable: If the database cannot be reached; repeating the request is safe.
        """
        request.check()
        run_ids = tuple(dict.fromkeys(request.run_ids))
        async with self.context.transaction() as session:
            known = await run_queries.by_run_ids(session, run_ids)
        outcomes: dict[str, list[str]] = {
            "requested": [],
            "already_stopping": [],
            "already_ended": [],
            "forbidden": [],
        }
        # Pending runs first: otherwise the end of a running one would let them begin.
        for run_id in sorted(run_ids, key=lambda one: _is_running(known.get(one))):
            outcomes[await self._kill(known.get(run_id), request, by)].append(run_id)
        return BulkKillResult(**{name: tuple(found) for name, found in outcomes.items()})

    async def _kill(self, run: Run | None, request: BulkKillRequest, by: Actor) -> str:
        """Kill one of many runs; return the field of `BulkKillResult` that it belongs to."""
        if run is None or not run.is_live:
            return "already_ended"
        if run.kill_requested_at is not None and not request.force:
            return "already_stopping"
        kill_request = KillRequest(
            target=run.run_id,
            force=request.force,
            reason=request.reason,
            request_key=request.request_key,
        )
        began = self.context.clock()
        try:
            kill = await self.runs.kill(kill_request, by=by)
        except NotAllowed:
            return "forbidden"
        except Conflict:
            # It ended after it was read.
            return "already_ended"
        if kill.requested_at >= began:
            return "requested"
        return "already_ended" if kill.phase is Phase.CONFIRMED else "already_stopping"


def _needs_question(run: Run, request: KillRequest, by: Actor) -> bool:
    """Whether a person must confirm this kill first; joining an open kill needs no question."""
    is_own = run.user_id is not None and run.user_id == by.user_id
    is_new = run.kill_requested_at is None
    return not is_own and (is_new or request.force)


def _is_running(run: Run | None) -> bool:
    return run is not None and run.status is RunStatus.RUNNING
