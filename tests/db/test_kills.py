"""Bulk kills: which runs are offered to a person, and that each is killed once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from bot.slack.views.errors import error_words
from core.agent.definitions.catalog import load_catalog
from core.domain.actor import Actor, Origin, Role
from core.domain.errors import BadRequest, Forbidden
from core.domain.kills.bulk_kill import (
    MAX_BULK_KILL_RUNS,
    BulkKillRequest,
    BulkKillResult,
    KillSelection,
)
from core.domain.kills.termination import Phase, Termination
from core.domain.runs.request import KillRequest, RunFilter
from core.domain.runs.run import Run, RunStatus, StopReason
from core.domain.runs.snapshot import RunSnapshot
from core.domain.workflow import UnknownWorkflow
from core.services.context import NotAllowed, ServiceContext
from core.services.runs.kill_requests import AlreadyEnded, find_killable
from core.services.runs.kills import KillService
from core.services.runs.runs import RunService
from core.store import audit, terminations, users
from core.store.database.engine import Database
from core.store.runs import run_queries, runs
from tests.database import NOW, database, postgres_dsn, running_run, stored_run

__all__ = ["database", "postgres_dsn"]

CATALOG = load_catalog()
MINE = KillSelection(run_filter=RunFilter(mine=True))
EVERYBODYS = KillSelection(run_filter=RunFilter())


class TickingClock:
    """A clock that advances at every call."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> Any:
        self.now += timedelta(milliseconds=1)
        return self.now


def service(database: Database) -> KillService:
    work = ServiceContext(database, TickingClock())
    return KillService(work, CATALOG, RunService(work, CATALOG))


async def actor(database: Database, name: str, role: Role = Role.RUNNER) -> Actor:
    async with database.sessions.begin() as session:
        user = await users.ensure(
            session, slack_team_id="T1", slack_user_id=f"U{name}", name=name, now=NOW
        )
    return Actor(role=role, origin=Origin.SLACK, user_id=user.id, name=name)


async def ended(database: Database, run: Run) -> None:
    async with database.sessions.begin() as session:
        await runs.finish(session, run.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=NOW)


async def kills_of(database: Database, *wanted: Run) -> list[bool]:
    async with database.sessions() as session:
        return [await terminations.latest_of_run(session, run.id) is not None for run in wanted]


async def audited(database: Database) -> list[tuple[str, bool]]:
    async with database.sessions() as session:
        lines = await audit.recent(session, 500)
    return sorted((line.actor.name, line.allowed) for line in lines if line.action == "kill")


@pytest.mark.parametrize("service_type", [RunService, KillService])
async def test_a_run_that_ends_while_its_kill_is_requested_has_ended(
    database: Database, monkeypatch: pytest.MonkeyPatch, service_type: type[Any]
) -> None:
    ann = await actor(database, "ann")
    run = await running_run(database, user_id=ann.user_id)

    async def find_and_end(session: AsyncSession, target: str, by: Actor) -> Run:
        found = await find_killable(session, target, by)
        await ended(database, run)
        return found

    module = "kills" if service_type is KillService else "runs"
    monkeypatch.setattr(f"core.services.runs.{module}.find_killable", find_and_end)
    kills = service(database)
    kill = kills.kill_or_ask if service_type is KillService else kills.runs.kill

    with pytest.raises(AlreadyEnded, match="completed"):
        await kill(KillRequest(target=run.run_id), by=ann)
    assert await kills_of(database, run) == [False]


async def test_a_preview_lists_the_persons_own_live_runs_oldest_first(database: Database) -> None:
    ann, ben = await actor(database, "ann"), await actor(database, "ben")
    second = await running_run(database, user_id=ann.user_id)
    first = await stored_run(database, user_id=ann.user_id, created_at=NOW - timedelta(minutes=1))
    await ended(database, await running_run(database, user_id=ann.user_id))
    await running_run(database, user_id=ben.user_id)

    preview = await service(database).preview(MINE, by=ann)

    assert [one.run.run_id for one in preview.runs] == [first.run_id, second.run_id]
    assert [one.owner.name for one in preview.runs if one.owner] == ["ann", "ann"]
    assert (preview.omitted_count, preview.forbidden_count, preview.stopping_count) == (0, 0, 0)


async def test_a_preview_of_a_workflow_has_only_runs_the_person_may_kill(
    database: Database,
) -> None:
    ann, ben = await actor(database, "ann"), await actor(database, "ben")
    chief = await actor(database, "chief", Role.OPERATOR)
    await running_run(database, user_id=ann.user_id, workflow_name="fix")
    await running_run(database, user_id=ben.user_id, workflow_name="fix")
    await running_run(database, user_id=ann.user_id)
    wanted = KillSelection(run_filter=RunFilter(workflow="surgeon"))

    of_ann = await service(database).preview(wanted, by=ann)
    of_chief = await service(database).preview(wanted, by=chief)

    assert (len(of_ann.runs), of_ann.forbidden_count) == (1, 1)
    assert (len(of_chief.runs), of_chief.forbidden_count) == (2, 0)
    assert of_ann.selection.run_filter.workflow == "fix"


async def test_only_an_operator_may_preview_the_runs_of_others(database: Database) -> None:
    ann = await actor(database, "ann")
    chief = await actor(database, "chief", Role.OPERATOR)
    await running_run(database, user_id=ann.user_id)

    with pytest.raises(Forbidden, match="kill") as refused:
        await service(database).preview(EVERYBODYS, by=ann)

    assert "Only an operator" in refused.value.user_message
    assert "--all mine" in error_words(refused.value)
    assert len((await service(database).preview(EVERYBODYS, by=chief)).runs) == 1
    assert await audited(database) == [("ann", False)]


async def test_a_viewer_gets_no_preview(database: Database) -> None:
    viewer = await actor(database, "vera", Role.VIEWER)

    with pytest.raises(NotAllowed):
        await service(database).preview(MINE, by=viewer)
    with pytest.raises(UnknownWorkflow):
        await service(database).preview(
            KillSelection(run_filter=RunFilter(workflow="nix")), by=viewer
        )


async def test_a_stopping_run_is_only_in_a_preview_with_force(database: Database) -> None:
    ann = await actor(database, "ann")
    run = await running_run(database, user_id=ann.user_id)
    kills = service(database)
    await kills.runs.kill(KillRequest(target=run.run_id), by=ann)

    calm = await kills.preview(MINE, by=ann)
    forced = await kills.preview(replace(MINE, force=True), by=ann)

    assert (calm.runs, calm.stopping_count) == ((), 1)
    assert (len(forced.runs), forced.stopping_count) == (1, 0)


async def test_a_preview_is_bounded_and_counts_the_omitted_runs(database: Database) -> None:
    chief = await actor(database, "chief", Role.OPERATOR)
    for _ in range(MAX_BULK_KILL_RUNS + 3):
        await stored_run(database)

    preview = await service(database).preview(EVERYBODYS, by=chief)

    assert (len(preview.runs), preview.omitted_count) == (MAX_BULK_KILL_RUNS, 3)


async def test_a_bulk_kill_reports_each_kind_of_result(database: Database) -> None:
    ann, ben = await actor(database, "ann"), await actor(database, "ben")
    running = await running_run(database, user_id=ann.user_id)
    waiting = await stored_run(database, user_id=ann.user_id)
    stopping = await running_run(database, user_id=ann.user_id)
    over = await running_run(database, user_id=ann.user_id)
    bens = await running_run(database, user_id=ben.user_id)
    kills = service(database)
    await kills.runs.kill(KillRequest(target=stopping.run_id), by=ann)
    await ended(database, over)
    every = (running, waiting, stopping, over, bens)
    request = BulkKillRequest(run_ids=tuple(run.run_id for run in every), reason="late")

    outcome = await kills.kill_many(request, by=ann)

    assert set(outcome.requested) == {running.run_id, waiting.run_id}
    assert outcome.already_stopping == (stopping.run_id,)
    assert outcome.already_ended == (over.run_id,)
    assert outcome.forbidden == (bens.run_id,)
    assert await kills_of(database, *every) == [True, True, True, False, False]
    assert await audited(database) == [("ann", False), ("ann", True), ("ann", True), ("ann", True)]
    async with database.sessions() as session:
        kill = await terminations.latest_of_run(session, running.id)
        assert kill is not None
        assert (kill.reason, kill.requested_by_name, kill.phase) == ("late", "ann", Phase.REQUESTED)
        assert (await run_queries.get(session, waiting.run_id)).status is RunStatus.KILLED


async def test_concurrent_bulk_kills_kill_each_run_once(database: Database) -> None:
    ann = await actor(database, "ann")
    live = [await running_run(database, user_id=ann.user_id) for _ in range(3)]
    live.append(await stored_run(database, user_id=ann.user_id))
    request = BulkKillRequest(run_ids=tuple(run.run_id for run in live))
    kills = service(database)

    outcomes = await asyncio.gather(*(kills.kill_many(request, by=ann) for _ in range(3)))
    again = await kills.kill_many(request, by=ann)

    for outcome in outcomes:
        every = (*outcome.requested, *outcome.already_stopping, *outcome.already_ended)
        assert sorted(every) == sorted(request.run_ids)
    assert sorted(again.already_stopping) == sorted(run.run_id for run in live[:3])
    assert again.already_ended == (live[3].run_id,)
    async with database.sessions() as session:
        assert len(await terminations.unfinished(session)) == 3


async def test_a_repeated_bulk_kill_has_one_audit_entry_per_run(database: Database) -> None:
    ann = await actor(database, "ann")
    run = await running_run(database, user_id=ann.user_id)
    other = await running_run(database, user_id=ann.user_id)
    runs_of = service(database).runs

    for key in ("one", "one", "two"):
        await runs_of.kill(KillRequest(target=run.run_id, request_key=key), by=ann)
    many = BulkKillRequest(run_ids=(run.run_id, other.run_id), force=True, request_key="three")
    for _ in range(2):
        await service(database).kill_many(many, by=ann)

    async with database.sessions() as session:
        lines = await audit.recent(session, 10)
    assert sorted((line.run_id == run.id, line.details["request"]) for line in lines) == [
        (False, "three"),
        (True, "one"),
        (True, "three"),
        (True, "two"),
    ]


async def test_force_is_added_to_a_kill_in_progress(database: Database) -> None:
    ann = await actor(database, "ann")
    run = await running_run(database, user_id=ann.user_id)
    kills = service(database)
    await kills.runs.kill(KillRequest(target=run.run_id), by=ann)

    outcome = await kills.kill_many(BulkKillRequest(run_ids=(run.run_id,), force=True), by=ann)

    assert outcome == BulkKillResult(already_stopping=(run.run_id,))
    async with database.sessions() as session:
        kill = await terminations.latest_of_run(session, run.id)
    assert kill is not None
    assert kill.force


@pytest.mark.parametrize(
    "run_ids", [(), ("ws_1",), tuple(f"run_{n}" for n in range(MAX_BULK_KILL_RUNS + 1))]
)
async def test_an_invalid_selection_of_runs_is_refused(
    database: Database, run_ids: tuple[str, ...]
) -> None:
    chief = await actor(database, "chief", Role.OPERATOR)

    with pytest.raises(BadRequest):
        await service(database).kill_many(BulkKillRequest(run_ids=run_ids), by=chief)


async def test_an_unknown_run_counts_as_ended(database: Database) -> None:
    chief = await actor(database, "chief", Role.OPERATOR)
    request = BulkKillRequest(run_ids=("run_000000000000", "run_000000000000"))

    outcome = await service(database).kill_many(request, by=chief)

    assert outcome == BulkKillResult(already_ended=("run_000000000000",))


async def test_reading_a_run_shows_its_owner_and_is_denied_to_others(database: Database) -> None:
    ann, ben = await actor(database, "ann"), await actor(database, "ben")
    chief = await actor(database, "chief", Role.OPERATOR)
    run = await running_run(database, user_id=ann.user_id)
    kills = service(database)

    asked_about = await kills.kill_or_ask(KillRequest(target=run.run_id[:9]), by=chief)
    with pytest.raises(NotAllowed):
        await kills.kill_or_ask(KillRequest(target=run.run_id), by=ben)

    assert isinstance(asked_about, RunSnapshot)
    assert asked_about.run.run_id == run.run_id
    assert asked_about.owner is not None
    assert asked_about.owner.name == "ann"
    assert await kills_of(database, run) == [False]
    assert await audited(database) == [("ben", False)]


async def test_a_persons_own_run_is_killed_without_a_question(database: Database) -> None:
    ann = await actor(database, "ann")
    run = await running_run(database, user_id=ann.user_id)

    killed = await service(database).kill_or_ask(
        KillRequest(target=run.run_id, reason="wrong branch"), by=ann
    )

    assert isinstance(killed, Termination)
    assert killed.reason == "wrong branch"
    assert await kills_of(database, run) == [True]
    assert await audited(database) == [("ann", True)]


@pytest.mark.parametrize(("force", "is_asked"), [(False, False), (True, True)])
async def test_a_kill_under_way_is_joined_at_once_and_hurried_after_a_question(
    database: Database, force: bool, is_asked: bool
) -> None:
    ann, chief = await actor(database, "ann"), await actor(database, "chief", Role.OPERATOR)
    run = await running_run(database, user_id=ann.user_id)
    kills = service(database)
    first = await kills.kill_or_ask(KillRequest(target=run.run_id), by=ann)
    assert isinstance(first, Termination)

    second = await kills.kill_or_ask(KillRequest(target=run.run_id, force=force), by=chief)

    assert isinstance(second, RunSnapshot) == is_asked
    if isinstance(second, Termination):
        assert second.id == first.id


async def test_a_run_that_has_ended_is_not_asked_about(database: Database) -> None:
    ann, chief = await actor(database, "ann"), await actor(database, "chief", Role.OPERATOR)
    run = await running_run(database, user_id=ann.user_id)
    await ended(database, run)

    for person in (ann, chief):
        with pytest.raises(AlreadyEnded):
            await service(database).kill_or_ask(KillRequest(target=run.run_id), by=person)
