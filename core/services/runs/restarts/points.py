"""The points from which a run can be restarted, and what came after them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.actor import Action, Actor
from core.domain.runs.checkpoint import Checkpoint
from core.domain.runs.restarts.errors import RunStillLive
from core.domain.runs.restarts.origin import RestartOrigin
from core.domain.runs.restarts.preview import Discarded
from core.domain.runs.restarts.request import RestartRequest
from core.domain.runs.run import MIN_RUN_ID_DIGITS, Run
from core.domain.runs.session import Message, MessageRole
from core.domain.runs.step import Step
from core.domain.runs.work.diff import CommitInfo
from core.services.context import require_permission
from core.services.runs.targets import find_run
from core.store import steps
from core.store.runs import run_queries
from core.store.sessions import messages
from core.store.sessions.checkpoints import checkpoints

# More restarts of restarts than a person makes.
_MAX_LINEAGE = 100


@dataclass(frozen=True, kw_only=True)
class RestartPoint:
    """A point from which a run can be restarted, with the runs around it.

    Attributes:
        run: The run that was named.
        legs: All runs of its session, oldest first.
        root: The run with which the lineage began.
        origin: The run that the point belongs to.
        checkpoint: The checkpoint; `None` is the start.
        checkpoints: All checkpoints of the lineage, oldest first.
    """

    run: Run
    legs: Sequence[Run]
    root: Run
    origin: Run
    checkpoint: Checkpoint | None
    checkpoints: Sequence[Checkpoint]

    @property
    def newest(self) -> Run:
        """The newest run of the session."""
        return self.legs[-1]


async def find_point(session: AsyncSession, request: RestartRequest, by: Actor) -> RestartPoint:
    """Find the point that a request names.

    Raises:
        RunNotFound: If neither a run nor a session has that id or name.
        RunIdTooShort: If it is a prefix of fewer than `MIN_RUN_ID_DIGITS` digits.
        NotAllowed: If the run is somebody else's and the person is no operator.
        RunStillLive: If the session's newest run has not ended.
        CheckpointNotFound: If the lineage has no checkpoint of that number.
    """
    run = await find_run(session, request.target, by, min_digits=MIN_RUN_ID_DIGITS)
    require_permission(by, Action.RESTART, run)
    legs = await run_queries.legs_of_session(session, run.session_id)
    if legs[-1].is_live:
        raise RunStillLive(legs[-1].run_id)
    root = await root_of(session, legs[0])
    checkpoint = None
    if request.checkpoint is not None:
        checkpoint = await checkpoints.by_number(session, run.session_id, request.checkpoint)
    return RestartPoint(
        run=run,
        legs=legs,
        root=root,
        origin=root
        if checkpoint is None
        else await run_queries.get_by_uuid(session, checkpoint.run_id),
        checkpoint=checkpoint,
        checkpoints=await checkpoints.of_lineage(session, run.session_id),
    )


async def root_of(session: AsyncSession, first: Run) -> Run:
    """The run with which a lineage began.

    Args:
        session: An open database session.
        first: The first run of a session.
    """
    for _ in range(_MAX_LINEAGE):
        origin = RestartOrigin.of(first)
        if origin is None or not origin.is_fork or first.parent_run_id is None:
            break
        parent = await run_queries.get_by_uuid(session, first.parent_run_id)
        first = (await run_queries.legs_of_session(session, parent.session_id))[0]
    return first


async def discarded_by(session: AsyncSession, point: RestartPoint) -> Discarded:
    """What came after a point, as the rows tell it."""
    checkpoint, legs = point.checkpoint, point.legs
    later = [
        leg
        for leg in legs
        if leg.id != point.origin.id
        and (checkpoint is None or leg.created_at > checkpoint.taken_at)
    ]
    affected = [leg for leg in legs if leg.id == point.origin.id or leg in later]
    total = (await run_queries.totals_of_sessions(session, [point.run.session_id])).get(
        point.run.session_id
    )
    commits, omitted = _commits_after(point, affected)
    return Discarded(
        runs=later,
        steps=await _steps_after(session, point, affected),
        messages=await _messages_after(session, point),
        commits=commits,
        omitted_commits=omitted,
        diff_then=None if checkpoint is None else checkpoint.diff,
        diff_now=affected[-1].diff if affected else None,
        spent_usd=_spent_after(point, later),
        total_usd=None if total is None else total.cost_usd,
        cost_source=None if total is None else total.cost_source,
    )


async def _steps_after(
    session: AsyncSession, point: RestartPoint, affected: Sequence[Run]
) -> list[Step]:
    """The steps that were begun or finished after the point, as they stand in the end."""
    by_run = await steps.of_runs(session, [leg.id for leg in affected])
    found: dict[int, Step] = {}
    for leg in affected:
        for step in by_run.get(leg.id, ()):
            if _is_after(step, point):
                found[step.step_id] = step
    return [found[step_id] for step_id in sorted(found)]


def _is_after(step: Step, point: RestartPoint) -> bool:
    times = [at for at in (step.started_at, step.completed_at) if at is not None]
    if point.checkpoint is None:
        return bool(times)
    return any(at > point.checkpoint.taken_at for at in times)


async def _messages_after(session: AsyncSession, point: RestartPoint) -> list[Message]:
    """What people said after the point; the first message of all is said again."""
    said = [
        message
        for message in await messages.of_session(session, point.run.session_id)
        if message.role is MessageRole.USER
    ]
    if point.checkpoint is None:
        # The id of a run's first message is the run's own.
        return [message for message in said if message.id != point.root.id]
    return [message for message in said if message.created_at > point.checkpoint.taken_at]


def _commits_after(point: RestartPoint, affected: Sequence[Run]) -> tuple[list[CommitInfo], int]:
    """The commits after the point, newest first, and how many older ones are not listed."""
    head = None if point.checkpoint is None else point.checkpoint.head_commit
    found: list[CommitInfo] = []
    omitted = 0
    for leg in reversed(affected):
        if leg.diff is None:
            continue
        omitted += leg.diff.omitted_commits
        for commit in leg.diff.commits:
            if head is not None and commit.sha == head:
                return found, 0
            found.append(commit)
    return found, omitted


def _spent_after(point: RestartPoint, later: Sequence[Run]) -> Decimal | None:
    """The known cost after the point; `None` if any part of it is unknown."""
    if point.checkpoint is None:
        parts = [leg.cost_usd for leg in point.legs]
    else:
        origin, at_point = point.origin.cost_usd, point.checkpoint.cost_usd
        rest = None if origin is None or at_point is None else max(origin - at_point, Decimal(0))
        is_own = point.origin.session_id == point.run.session_id
        parts = [*([rest] if is_own else []), *(leg.cost_usd for leg in later)]
    known = [part for part in parts if part is not None]
    return sum(known, Decimal(0)) if len(known) == len(parts) else None
