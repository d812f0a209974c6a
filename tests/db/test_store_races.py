"""Two concurrent transactions: each request takes effect exactly once, in either order."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from core.domain.kills.termination import Phase, Termination
from core.domain.runs.errors import AlreadyRequested, IllegalTransition, SessionBusy
from core.domain.runs.run import Run, RunStatus, StopReason
from core.store import terminations, users
from core.store.database.engine import Database
from core.store.runs import run_queries, runs
from core.store.sessions import sessions
from core.store.slack import deliveries
from tests.database import (
    NOW,
    new_run,
    new_session,
    running_run,
    stored_run,
    wait_for_blocked_session,
)


async def test_one_of_two_workers_begins_a_run(database: Database) -> None:
    run = await stored_run(database)

    async def begin(worker: str) -> Run:
        async with database.sessions.begin() as session:
            return await runs.begin(session, run.run_id, attempt=1, worker_id=worker, now=NOW)

    outcomes = await asyncio.gather(*(begin(f"w{n}") for n in range(8)), return_exceptions=True)

    assert Counter(type(outcome) for outcome in outcomes) == {Run: 1, IllegalTransition: 7}


async def test_a_kill_loses_to_an_earlier_finish(database: Database) -> None:
    run = await running_run(database)

    async def kill() -> None:
        async with database.sessions.begin() as session:
            await runs.request_kill(session, run.run_id, now=NOW)

    async with database.sessions.begin() as first:
        await runs.finish(first, run.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=NOW)
        killing = asyncio.create_task(kill())
        await wait_for_blocked_session(first)

    with pytest.raises(IllegalTransition) as refused:
        await killing
    assert refused.value.present is RunStatus.COMPLETED


async def test_a_begin_loses_to_an_earlier_kill(database: Database) -> None:
    run = await stored_run(database)

    async def begin() -> None:
        async with database.sessions.begin() as session:
            await runs.begin(session, run.run_id, attempt=1, worker_id="w1", now=NOW)

    async with database.sessions.begin() as first:
        await runs.request_kill(first, run.run_id, now=NOW)
        beginning = asyncio.create_task(begin())
        await wait_for_blocked_session(first)

    with pytest.raises(IllegalTransition):
        await beginning


async def test_writers_of_one_run_each_raise_its_version(database: Database) -> None:
    run = await running_run(database)

    async def change(number: int) -> Run:
        async with database.sessions.begin() as session:
            return await runs.change(
                session, run.run_id, now=NOW, attempt=1, metadata={f"k{number}": number}
            )

    changed = await asyncio.gather(*(change(number) for number in range(12)))

    async with database.sessions() as session:
        after = await run_queries.get(session, run.run_id)
    assert len({one.version for one in changed}) == 12
    assert after.version == run.version + 12
    assert after.metadata == {f"k{number}": number for number in range(12)}


async def test_a_session_accepts_one_of_many_concurrent_runs(database: Database) -> None:
    conversation = new_session()
    async with database.sessions.begin() as session:
        await sessions.add(session, conversation)

    async def start() -> str:
        run = new_run(conversation.id)
        async with database.sessions.begin() as session:
            await runs.add(session, run)
        return run.run_id

    outcomes = await asyncio.gather(*(start() for _ in range(8)), return_exceptions=True)

    started = [outcome for outcome in outcomes if isinstance(outcome, str)]
    busy = [outcome for outcome in outcomes if isinstance(outcome, SessionBusy)]
    assert (len(started), len(busy)) == (1, 7)
    assert {refused.live_run_id for refused in busy} == set(started)


async def test_the_end_of_a_run_lets_a_waiting_start_succeed(database: Database) -> None:
    live = await running_run(database)
    next_run = new_run(live.session_id)

    async def start() -> None:
        async with database.sessions.begin() as session:
            await runs.add(session, next_run)

    async with database.sessions.begin() as first:
        await runs.finish(first, live.run_id, attempt=1, stop_reason=StopReason.BUDGET, now=NOW)
        starting = asyncio.create_task(start())
        await wait_for_blocked_session(first)

    await starting
    async with database.sessions() as session:
        assert await run_queries.live_of_session(session, live.session_id) == await run_queries.get(
            session, next_run.run_id
        )


async def test_a_redelivered_request_starts_nothing(database: Database) -> None:
    async def start() -> str:
        conversation = new_session()
        run = new_run(conversation.id, request_key="trigger-1")
        async with database.sessions.begin() as session:
            await sessions.add(session, conversation)
            await runs.add(session, run)
        return run.run_id

    outcomes = await asyncio.gather(*(start() for _ in range(6)), return_exceptions=True)

    started = [outcome for outcome in outcomes if isinstance(outcome, str)]
    known = [outcome for outcome in outcomes if isinstance(outcome, AlreadyRequested)]
    assert (len(started), len(known)) == (1, 5)
    assert {refused.run_id for refused in known} == set(started)


async def test_two_kills_share_one_termination(database: Database) -> None:
    run = await running_run(database)

    async def kill(**fields: Any) -> Termination:
        termination = Termination(
            id=uuid4(), run_id=run.id, phase=Phase.REQUESTED, requested_at=NOW, **fields
        )
        async with database.sessions.begin() as session:
            return await terminations.open_or_join(session, termination)

    opened = await asyncio.gather(*(kill(reason=str(number)) for number in range(4)))
    forced = await kill(force=True)
    unforced = await kill()

    assert len({termination.id for termination in (*opened, forced, unforced)}) == 1
    assert not any(termination.force for termination in opened)
    assert forced.force
    assert unforced.force


async def test_a_delivery_is_received_once(database: Database) -> None:
    async def receive() -> bool:
        async with database.sessions.begin() as session:
            return await deliveries.receive(session, "trigger-1", {"a": 1}, now=NOW)

    assert sorted(await asyncio.gather(*(receive() for _ in range(6)))) == [False] * 5 + [True]


async def test_two_bots_never_claim_the_same_delivery(database: Database) -> None:
    async with database.sessions.begin() as session:
        for number in range(20):
            await deliveries.receive(session, f"k{number}", {"n": number}, now=NOW)
    later = NOW + timedelta(minutes=1)

    async def claim() -> list[str]:
        async with database.sessions.begin() as session:
            claimed = await deliveries.claim_unfinished(
                session,
                older_than=later - timedelta(seconds=30),
                newer_than=later - timedelta(minutes=30),
                now=later,
                limit=7,
            )
            return [key for key, _ in claimed]

    rounds = await asyncio.gather(*(claim() for _ in range(5)))

    keys = [key for claimed in rounds for key in claimed]
    assert max(map(len, rounds)) == 7
    assert len(keys) == len(set(keys))
    assert set(keys) | set(await claim()) == {f"k{number}" for number in range(20)}


async def test_a_person_gets_one_row(database: Database) -> None:
    async def ensure_person(name: str) -> object:
        async with database.sessions.begin() as session:
            return (
                await users.ensure(
                    session, slack_team_id="T1", slack_user_id="U1", name=name, now=NOW
                )
            ).id

    ids = await asyncio.gather(*(ensure_person("ana") for _ in range(6)), ensure_person("ana b"))

    assert len(set(ids)) == 1
