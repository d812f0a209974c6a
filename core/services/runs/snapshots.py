"""Reads runs with everything that a view needs; the number of queries is fixed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.fleet.attempt import machine_name
from core.domain.kills.termination import Phase, Termination
from core.domain.runs.event import EventKind
from core.domain.runs.restarts.origin import RestartOrigin
from core.domain.runs.run import Run, RunStatus
from core.domain.runs.snapshot import RunLink, RunSnapshot
from core.domain.sessions.ledger import LedgerSum
from core.services.fleet import admission
from core.store import events, ledger, steps, terminations, users
from core.store.alerts import progress_posts
from core.store.fleet import attempts, pending
from core.store.runs import restarts, run_queries, tasks
from core.store.runs.thread_read import LegRead
from core.store.sessions.checkpoints import checkpoints
from core.store.slack import slack_messages

# The events that are shown to a person who follows a run.
NOTICE_KINDS = frozenset(
    {
        EventKind.API_RETRY,
        EventKind.RATE_LIMIT,
        EventKind.MCP_SERVER_FAILED,
        EventKind.RUN_REQUEUED,
        EventKind.RUN_STARTED,
        EventKind.WORKER_LOST,
        EventKind.WORK_CARRIED,
        EventKind.WORK_RESTORED,
        EventKind.CHECKPOINT_RESTORED,
    }
)
# Of each run.
MAX_NOTICES = 200


async def of_runs(session: AsyncSession, wanted: Sequence[Run]) -> list[RunSnapshot]:
    """The snapshots of these runs, in the given order, without totals and notices."""
    ids = [run.id for run in wanted]
    steps_by_run = await steps.of_runs(session, ids)
    killed = [run.id for run in wanted if run.kill_requested_at is not None]
    terminations_by_run = await terminations.of_runs(session, killed) if killed else {}
    owners = await users.by_ids(session, {run.user_id for run in wanted if run.user_id is not None})
    waiting = [run for run in wanted if run.status is RunStatus.PENDING]
    positions = (
        await pending.positions(session, run_ids=[run.run_id for run in waiting]) if waiting else {}
    )
    holds = await admission.current_holds(session, waiting)
    machines = await _kill_machines(session, terminations_by_run.values())
    has_available_worker = not waiting or await admission.has_available_worker(session)
    return [
        RunSnapshot(
            run=run,
            owner=owners.get(run.user_id) if run.user_id else None,
            steps=tuple(steps_by_run.get(run.id, ())),
            termination=terminations_by_run.get(run.id),
            queue_position=positions[run.run_id][0] if run.run_id in positions else None,
            hold=holds.get(run.run_id),
            has_available_worker=has_available_worker,
            kill_machine=machines.get(run.id),
        )
        for run in wanted
    ]


async def of_listed_runs(session: AsyncSession, wanted: Sequence[Run]) -> list[RunSnapshot]:
    """The snapshots of these runs for a list, in the given order.

    Each has the task that it works on, its number among the runs on that task, and its place in
    Slack; totals and notices are missing.
    """
    found = await tasks.of_sessions(session, {run.session_id for run in wanted})
    listed = [
        replace(snapshot, leg=found[snapshot.run.id].leg, about=found[snapshot.run.id].about)
        if snapshot.run.id in found
        else snapshot
        for snapshot in await of_runs(session, wanted)
    ]
    return await _with_cards(session, listed)


async def of_paged_runs(session: AsyncSession, wanted: Sequence[Run]) -> list[RunSnapshot]:
    """The snapshots of these runs for a page of the API, in the given order.

    Each has its owner, its task and number as in a list, and its place in the queue, and nothing
    else: steps and kills of fifty runs take longer to read than the page.
    """
    found = await tasks.of_sessions(session, {run.session_id for run in wanted})
    owners = await users.by_ids(session, {run.user_id for run in wanted if run.user_id is not None})
    waiting = [run.run_id for run in wanted if run.status is RunStatus.PENDING]
    positions = await pending.positions(session, run_ids=waiting) if waiting else {}
    return [
        RunSnapshot(
            run=run,
            owner=owners.get(run.user_id) if run.user_id else None,
            leg=found[run.id].leg if run.id in found else 1,
            about=found[run.id].about if run.id in found else None,
            queue_position=positions[run.run_id][0] if run.run_id in positions else None,
        )
        for run in wanted
    ]


async def of_queued_page(session: AsyncSession, wanted: Sequence[Run]) -> list[RunSnapshot]:
    """The same, and of the runs that wait to start also what they wait for."""
    found = await of_paged_runs(session, wanted)
    waiting = [run for run in wanted if run.status is RunStatus.PENDING]
    if not waiting:
        return found
    holds = await admission.current_holds(session, waiting)
    has_worker = await admission.has_available_worker(session)
    return [
        replace(one, hold=holds.get(one.run.run_id), has_available_worker=has_worker)
        for one in found
    ]


async def named(session: AsyncSession, snapshot: RunSnapshot) -> RunSnapshot:
    """The same snapshot with its checkpoints, what its agents cost, and its place in Slack."""
    taken = tuple(await checkpoints.of_run(session, snapshot.run.id))
    entries = await ledger.of_runs(session, [snapshot.run.id])
    spent = LedgerSum.of_entries(entries.get(snapshot.run.id, ()))
    named_run = replace(snapshot, checkpoints=taken, spent=spent)
    return (await _with_cards(session, [named_run]))[0]


async def _with_cards(session: AsyncSession, snapshots: Sequence[RunSnapshot]) -> list[RunSnapshot]:
    """The same snapshots with the places of their threads in Slack."""
    cards = await slack_messages.cards_of_runs(session, [one.run.run_id for one in snapshots])
    return [replace(one, card=cards.get(one.run.run_id)) for one in snapshots]


async def _kill_machines(
    session: AsyncSession, kills: Iterable[Termination]
) -> dict[UUID, str | None]:
    """The machine on which processes survived, by run, for each unconfirmed kill."""
    survived = [
        kill.run_id
        for kill in kills
        if kill.phase is not Phase.CONFIRMED and Phase.UNCONFIRMED in kill.phases
    ]
    hosts = await attempts.newest_hosts(session, survived) if survived else {}
    return {run: machine_name(host) for run, host in hosts.items()}


def of_legs(legs: Sequence[LegRead]) -> list[RunSnapshot]:
    """The snapshots of the legs of one session, as `of_session_runs` makes them, of what was read.

    There is no more to read of any of the legs.
    """
    ids = {leg.run.id: leg.run.run_id for leg in legs}
    about = tasks.about_of_legs([leg.run for leg in legs])
    return [
        RunSnapshot(
            run=leg.run,
            about=about.get(leg.run.id),
            owner=leg.owner,
            parent_run_id=ids.get(leg.run.parent_run_id) if leg.run.parent_run_id else None,
            steps=tuple(leg.steps),
            total=leg.total,
            leg=number,
            notices=tuple(leg.notices),
        )
        for number, leg in enumerate(legs, start=1)
    ]


async def of_session_runs(session: AsyncSession, legs: Sequence[Run]) -> list[RunSnapshot]:
    """The snapshots of the legs of one session, with totals and notices.

    The number of queries does not grow with the number of legs.

    Args:
        session: An open database session.
        legs: The runs of the session from the first one on, oldest first; their positions become
            the leg numbers.
    """
    ids = {run.id: run.run_id for run in legs}
    totals = await run_queries.totals_of_sessions(session, {run.session_id for run in legs})
    notices = await events.of_runs(session, list(ids), kinds=NOTICE_KINDS, limit=MAX_NOTICES)
    posts = await progress_posts.of_runs(session, ids)
    about = tasks.about_of_legs(legs)
    links = await _restart_links(session, legs)
    return [
        replace(
            snapshot,
            about=about.get(snapshot.run.id),
            restarted_from=links.origins.get(snapshot.run.id),
            restarts=links.restarts.get(snapshot.run.id, ()),
            parent_run_id=ids.get(snapshot.run.parent_run_id)
            if snapshot.run.parent_run_id
            else None,
            total=totals[snapshot.run.session_id],
            leg=number,
            notices=tuple(notices.get(snapshot.run.id, ())),
            progress=posts.get(snapshot.run.id),
        )
        for number, snapshot in enumerate(await of_runs(session, legs), start=1)
    ]


@dataclass(frozen=True, kw_only=True)
class _RestartLinks:
    """The runs before and after restarts, by the id of the run that has the link."""

    origins: Mapping[UUID, RunLink]
    restarts: Mapping[UUID, tuple[RunLink, ...]]


async def _restart_links(session: AsyncSession, legs: Sequence[Run]) -> _RestartLinks:
    origins = {leg.id: found for leg in legs if (found := RestartOrigin.of(leg)) is not None}
    made = [
        run
        for run in await restarts.of_runs(session, [leg.id for leg in legs])
        # In its own thread the next leg is seen anyway.
        if run.session_id not in {leg.session_id for leg in legs}
    ]
    named = {*(origin.run_id for origin in origins.values()), *(run.run_id for run in made)}
    cards = await slack_messages.cards_of_runs(session, sorted(named)) if named else {}
    by_parent: dict[UUID, list[RunLink]] = defaultdict(list)
    for run in made:
        if run.parent_run_id is not None:
            link = RunLink(run_id=run.run_id, card=cards.get(run.run_id))
            by_parent[run.parent_run_id].append(link)
    return _RestartLinks(
        origins={
            run: RunLink(run_id=origin.run_id, card=cards.get(origin.run_id))
            for run, origin in origins.items()
        },
        restarts={run: tuple(found) for run, found in by_parent.items()},
    )
