"""Kills that are asked about first: of somebody else's run, and of many at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.agent.definitions.catalog import Catalog
from core.domain.actor import Action, Actor, Role
from core.domain.errors import Conflict
from core.domain.kills.selection import (
    MOST_AT_ONCE,
    KillManyOutcome,
    KillManyRequest,
    KillOffer,
    KillSelection,
)
from core.domain.kills.termination import Phase
from core.domain.runs.request import KillRequest
from core.domain.runs.run import Run, RunStatus
from core.domain.runs.snapshot import RunSnapshot
from core.services.runs import AlreadyEnded, RunService
from core.services.work import NotAllowed, Work, demand
from core.store import users
from core.store.runs import live, runs


class OperatorsOnly(NotAllowed):
    """Everybody's runs at once are an operator's to end."""

    def __init__(self, actor: Actor) -> None:
        super().__init__(actor, Action.KILL, None)
        self.user_message = (
            "Only an operator can stop everybody's runs. `/workflow kill --all mine` stops yours."
        )


@dataclass(frozen=True)
class KillService:
    """What is shown before a kill is confirmed, and the end of many runs."""

    work: Work
    catalog: Catalog
    runs: RunService

    async def look(self, named: str, *, by: Actor) -> RunSnapshot:
        """The live run that a person wants to kill, with its owner and its cost so far.

        Raises:
            RunNotFound: If no run has this id.
            Refused: If the run is somebody else's and the person is no operator.
            AlreadyEnded: If it has ended.
            Unavailable: If the database cannot be reached.
        """
        async with self.work.transaction() as session:
            run = await runs.resolve(session, named)
            demand(by, Action.KILL, run)
            if not run.is_live:
                raise AlreadyEnded(run)
            owner = await users.get(session, run.user_id) if run.user_id else None
            return RunSnapshot(run=run, owner=owner)

    async def offer(self, selection: KillSelection, *, by: Actor) -> KillOffer:
        """The runs that a selection would end: those of the kind that the person may kill.

        With `force` those that are being stopped already are among them, to be hurried.

        Raises:
            UnknownWorkflow: If the selection names none.
            Refused: If the person may kill no runs, or wants everybody's and is no operator.
            Unavailable: If the database cannot be reached.
        """
        wanted = replace(selection.wanted, live=True, failed=False)
        if wanted.workflow is not None:
            wanted = replace(wanted, workflow=self.catalog.get(wanted.workflow).name)
        async with self.work.transaction() as session:
            demand(by, Action.KILL)
            is_operator = by.role >= Role.OPERATOR
            if not (wanted.mine or wanted.workflow or is_operator):
                raise OperatorsOnly(by)
            allowed = wanted if is_operator else replace(wanted, mine=True)
            listed, many = await live.live(
                session,
                allowed,
                user_id=by.user_id,
                with_stopping=selection.force,
                limit=MOST_AT_ONCE,
            )
            alive, stopping = await live.count(session, allowed, user_id=by.user_id)
            of_all, _ = await live.count(session, wanted, user_id=by.user_id)
            owners = {
                user_id: await users.get(session, user_id)
                for user_id in {run.user_id for run in listed if run.user_id is not None}
            }
        return KillOffer(
            selection=replace(selection, wanted=wanted),
            listed=tuple(
                RunSnapshot(run=run, owner=owners.get(run.user_id) if run.user_id else None)
                for run in listed
            ),
            not_listed=many - len(listed),
            others=of_all - alive,
            stopping=0 if selection.force else stopping,
        )

    async def kill_many(self, request: KillManyRequest, *, by: Actor) -> KillManyOutcome:
        """End those of the runs that still live and that the person may kill.

        Each is a kill of its own, in a transaction of its own, with its termination and its
        audit line.  Asked twice it kills once: what is being stopped is left to that, unless
        this wish adds `force` to it.

        Raises:
            BadRequest: If the request names no runs, or more than were ever offered at once.
            Unavailable: If the database cannot be reached; asking again is safe.
        """
        request.check()
        run_ids = tuple(dict.fromkeys(request.run_ids))
        async with self.work.transaction() as session:
            known = await live.by_ids(session, run_ids)
        came: dict[str, list[str]] = {"asked": [], "stopping": [], "ended": [], "refused": []}
        # Those that wait first: a running one that ends would let them begin.
        for run_id in sorted(run_ids, key=lambda one: _is_running(known.get(one))):
            came[await self._kill(known.get(run_id), request, by)].append(run_id)
        return KillManyOutcome(**{name: tuple(found) for name, found in came.items()})

    async def _kill(self, run: Run | None, request: KillManyRequest, by: Actor) -> str:
        """End one of many; answers the field of the outcome it belongs to."""
        if run is None or not run.is_live:
            return "ended"
        if run.kill_requested_at is not None and not request.force:
            return "stopping"
        wish = KillRequest(
            named=run.run_id,
            force=request.force,
            reason=request.reason,
            request_key=request.request_key,
        )
        began = self.work.clock()
        try:
            kill = await self.runs.kill(wish, by=by)
        except NotAllowed:
            return "refused"
        except Conflict:
            # It ended between the look and the wish.
            return "ended"
        if kill.requested_at >= began:
            return "asked"
        return "ended" if kill.phase is Phase.CONFIRMED else "stopping"


def _is_running(run: Run | None) -> bool:
    return run is not None and run.status is RunStatus.RUNNING
