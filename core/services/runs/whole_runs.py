"""A run with all that is stored around it, read at once for somebody who looks into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.actor import Action, Actor, User
from core.domain.alerts.episode import Episode
from core.domain.failures.failed_attempt import FailedAttempt
from core.domain.fleet.attempt import AttemptRecord
from core.domain.kills.termination import Termination
from core.domain.resources.sample import Graph, Usage
from core.domain.runs.run import Run
from core.domain.runs.session import Message
from core.domain.runs.snapshot import RunSnapshot
from core.domain.runs.step import Step
from core.domain.runs.tool_call import ToolCall
from core.domain.sessions.ledger import LedgerSum
from core.services.context import ServiceContext, require_permission
from core.services.runs import snapshots
from core.services.runs.targets import find_run
from core.store import failures, ledger, steps, terminations, users
from core.store.alerts import episodes
from core.store.fleet import attempts
from core.store.resources import samples, usage
from core.store.runs import run_queries, tasks, tool_calls
from core.store.sessions import messages
from core.store.sessions.checkpoints import checkpoints

# A session can have hundreds of runs, and a run very many calls: these are shown.
MAX_LEGS = 12
MAX_CALLS = 2_000
MAX_MESSAGES = 50
MAX_ALERTS = 20
MAX_SAMPLES = 60


@dataclass(frozen=True, kw_only=True)
class LegTrace:
    """When a run of the session worked, and at what.

    Attributes:
        number: Its number in the session, from 1.
        calls: Its newest tool calls, in the order in which they began.
    """

    number: int
    run: Run
    attempts: Sequence[AttemptRecord] = ()
    steps: Sequence[Step] = ()
    calls: Sequence[ToolCall] = ()


@dataclass(frozen=True, kw_only=True)
class WholeRun:
    """A run at one time, with all that is stored around it.

    Attributes:
        snapshot: As of `RunService.snapshot`, but without its place in Slack; its number is that
            in the session.
        traces: The run and the runs of its session around it, oldest first, at most `MAX_LEGS`.
        leg_count: The number of runs of the session.
        newest: The newest run of the session; may be the run itself.
        messages: The newest ones of the session, oldest first, at most `MAX_MESSAGES`.
        has_earlier_messages: Whether there are more before them.
        authors: The authors of these messages, by their `user_id`.
        terminations: Its kills, newest first.
        failures: Its failed attempts, oldest first.
        alerts: Those about it, newest first, at most `MAX_ALERTS`.
        usage: What its processes have used; `None` if no sample was ever taken.
        graph: The samples over time, at most `MAX_SAMPLES`.
    """

    snapshot: RunSnapshot
    traces: Sequence[LegTrace]
    leg_count: int
    newest: Run
    messages: Sequence[Message] = ()
    has_earlier_messages: bool = False
    authors: Mapping[UUID, User]
    terminations: Sequence[Termination] = ()
    failures: Sequence[FailedAttempt] = ()
    alerts: Sequence[Episode] = ()
    usage: Usage | None = None
    graph: Graph | None = None

    @property
    def run(self) -> Run:
        """The run itself."""
        return self.snapshot.run

    @property
    def is_newest(self) -> bool:
        """Whether the session has no later run."""
        return self.newest.id == self.run.id


@dataclass(frozen=True)
class WholeRunService:
    """Reads runs with all that is stored around them."""

    context: ServiceContext

    async def read(self, target: str, *, by: Actor) -> WholeRun:
        """Read a run; the number of queries is fixed.

        Args:
            target: A run id, a unique prefix of one, or a session's name or id.
            by: The person who asks.

        Raises:
            RunNotFound: If no run has this id.
            AmbiguousRun: If several ids begin with the text.
            NotAllowed: If the person may not view runs.
            Unavailable: If the database cannot be reached.
        """
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            run = await find_run(session, target, by)
            legs = await run_queries.legs_of_session(session, run.session_id)
            said = await messages.page(
                session, run.session_id, from_end=True, limit=MAX_MESSAGES + 1
            )
            shown = said[-MAX_MESSAGES:]
            used = None if run.started_at is None else await usage.of_run(session, run.id)
            return WholeRun(
                snapshot=await _snapshot(session, run, legs),
                traces=await _traces(session, run, legs),
                leg_count=len(legs),
                newest=legs[-1],
                messages=shown,
                has_earlier_messages=len(said) > MAX_MESSAGES,
                authors=await users.by_ids(
                    session, {one.user_id for one in shown if one.user_id is not None}
                ),
                terminations=await terminations.all_of_run(session, run.id)
                if run.kill_requested_at is not None
                else (),
                failures=await failures.of_run(session, run.id),
                alerts=await episodes.newest_of_run(session, run.id, limit=MAX_ALERTS),
                usage=used,
                graph=None
                if used is None
                else await samples.of_run(session, run.id, points=MAX_SAMPLES),
            )


async def _snapshot(session: AsyncSession, run: Run, legs: Sequence[Run]) -> RunSnapshot:
    (snapshot,) = await snapshots.of_session_runs(session, [run])
    entries = await ledger.of_runs(session, [run.id])
    parent = next((leg for leg in legs if leg.id == run.parent_run_id), None)
    return replace(
        snapshot,
        leg=_number(run, legs),
        about=tasks.about_of_legs(legs).get(run.id),
        parent_run_id=None if parent is None else parent.run_id,
        checkpoints=tuple(await checkpoints.of_run(session, run.id)),
        spent=LedgerSum.of_entries(entries.get(run.id, ())),
    )


async def _traces(session: AsyncSession, run: Run, legs: Sequence[Run]) -> list[LegTrace]:
    place = _number(run, legs)
    # Those before it are what it builds on; those after it, what came of it.
    first = max(0, min(place - MAX_LEGS // 2, len(legs) - MAX_LEGS))
    near = legs[first : first + MAX_LEGS]
    ids = [leg.id for leg in near]
    tried = await attempts.of_runs(session, ids)
    planned = await steps.of_runs(session, ids)
    called = await tool_calls.newest_of_runs(session, ids, limit=MAX_CALLS // len(ids))
    return [
        LegTrace(
            number=number,
            run=leg,
            attempts=[one for one in tried if one.run_id == leg.id],
            steps=planned.get(leg.id, ()),
            calls=[one for one in called if one.run_id == leg.id],
        )
        for number, leg in enumerate(near, start=first + 1)
    ]


def _number(run: Run, legs: Sequence[Run]) -> int:
    return next(number for number, leg in enumerate(legs, start=1) if leg.id == run.id)
