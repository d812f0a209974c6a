"""The rows of checkpoints: numbers, lineage, bundles, and what may be deleted."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from core.domain.runs.checkpoint import (
    Checkpoint,
    CheckpointDiff,
    CheckpointNotFound,
    CheckpointReason,
    NotStored,
)
from core.domain.runs.errors import StaleAttempt
from core.domain.runs.run import Run
from core.domain.runs.work.checkpoint_policy import CheckpointPolicy
from core.services.context import ServiceContext
from core.services.runs.checkpoints import CheckpointExpiry, thin_session
from core.store.database.engine import Database
from core.store.runs import runs
from core.store.sessions.checkpoints import checkpoints, expiry
from core.store.sessions.transcripts import Transcripts
from core.store.tables.runs import RunRow
from tests.database import NOW, running_run, stored_run


def of(run: Run, **changes: object) -> Checkpoint:
    taken = Checkpoint(
        id=uuid4(),
        run_id=run.id,
        session_id=run.session_id,
        attempt=run.attempt,
        number=0,
        taken_at=NOW,
        reason=CheckpointReason.STEP_ENDED,
        commit="c" * 40,
        step_id=1,
        step_name="Write the module",
        head_commit="b" * 40,
        base_commit="a" * 40,
        branch="signalbox/implement/run_1",
        references={"refs/heads/main": "a" * 40},
        turns=3,
        cost_usd=Decimal("0.0138000"),
        tool_calls=5,
        diff=CheckpointDiff(files=2, added=49, removed=1),
    )
    return replace(taken, **changes)  # type: ignore[arg-type]


async def put(
    database: Database, taken: Checkpoint, bundle: bytes | None = b""
) -> Checkpoint | None:
    async with database.sessions.begin() as session:
        return await checkpoints.add(session, taken, bundle)


async def put_chain(
    database: Database, run: Run, count: int, **changes: object
) -> list[Checkpoint]:
    """Checkpoints each of which stands on the one before."""
    found: list[Checkpoint] = []
    for number in range(1, count + 1):
        previous = found[-1].id if found else None
        taken = of(run, previous_id=previous)
        stored = await put(database, taken, f"bundle {number}".encode())
        assert stored is not None
        found.append(stored)
    return found


async def fork(database: Database, run: Run, at: Checkpoint) -> Run:
    """A run in a session of its own that was restarted from a checkpoint."""
    forked = await running_run(database)
    async with database.sessions.begin() as session:
        await session.execute(
            update(RunRow).where(RunRow.id == forked.id).values(restarted_from_checkpoint_id=at.id)
        )
    assert forked.session_id != run.session_id
    return forked


async def test_a_checkpoint_is_read_as_it_was_stored_with_its_number(database: Database) -> None:
    run = await running_run(database)

    stored = await put(database, of(run), b"a bundle")

    assert stored is not None
    assert (stored.number, stored.size_bytes) == (1, 8)
    async with database.sessions.begin() as session:
        assert await checkpoints.get(session, stored.id) == stored
        assert await checkpoints.of_run(session, run.id) == [stored]
        assert await checkpoints.of_session(session, run.session_id) == [stored]
        assert await checkpoints.newest(session, run.session_id) == stored
        assert await checkpoints.bundles_for(session, stored.id) == [b"a bundle"]


async def test_storing_the_same_one_again_changes_nothing(database: Database) -> None:
    run = await running_run(database)
    taken = of(run)

    first = await put(database, taken)
    second = await put(database, taken)

    assert first == second
    async with database.sessions.begin() as session:
        assert len(await checkpoints.of_run(session, run.id)) == 1


async def test_a_checkpoint_waits_for_its_message(database: Database) -> None:
    run = await running_run(database)
    uuid = uuid4()
    taken = of(run, message_uuid=uuid)

    assert await put(database, taken) is None
    store = Transcripts(database)
    key = {"project_key": "p", "session_id": str(run.session_id)}
    await store.append(key, [{"type": "user", "uuid": str(uuid)}])
    stored = await put(database, taken)

    assert stored is not None
    assert stored.message_uuid == uuid


async def test_an_attempt_that_was_superseded_stores_nothing(database: Database) -> None:
    run = await running_run(database)
    async with database.sessions.begin() as session:
        await runs.requeue(session, run.run_id, attempt=run.attempt, now=NOW)

    with pytest.raises(StaleAttempt):
        await put(database, of(run))

    async with database.sessions.begin() as session:
        assert await checkpoints.of_run(session, run.id) == []


async def test_a_fork_counts_on_and_sees_what_came_before_it(database: Database) -> None:
    run = await running_run(database)
    first, second, third = await put_chain(database, run, 3)
    forked = await fork(database, run, second)
    own = await put(database, of(forked, previous_id=second.id), b"own")
    assert own is not None

    async with database.sessions.begin() as session:
        lineage = await checkpoints.of_lineage(session, forked.session_id)
        assert await checkpoints.by_number(session, forked.session_id, 2) == second
        assert await checkpoints.by_number(session, forked.session_id, 3) == own
        assert await checkpoints.by_number(session, run.session_id, 3) == third
        with pytest.raises(CheckpointNotFound):
            await checkpoints.by_number(session, forked.session_id, 4)
        bundles = await checkpoints.bundles_for(session, own.id)

    assert lineage == [first, second, own]
    assert own.number == 3
    assert bundles == [b"bundle 1", b"bundle 2", b"own"]


async def test_a_session_without_own_checkpoints_goes_back_to_those_before_the_fork(
    database: Database,
) -> None:
    run = await running_run(database)
    first, second, _ = await put_chain(database, run, 3)
    forked = await fork(database, run, second)
    again = await fork(database, forked, first)

    async with database.sessions.begin() as session:
        assert await checkpoints.newest(session, forked.session_id) == second
        assert await checkpoints.of_lineage(session, again.session_id) == [first]


async def test_empty_bundles_are_left_out_and_a_missing_one_is_told(database: Database) -> None:
    run = await running_run(database)
    first = await put(database, of(run), b"one")
    assert first is not None
    empty = await put(database, of(run, previous_id=first.id), b"")
    lost = await put(database, of(run, not_stored=NotStored.TOO_LARGE), None)
    assert empty is not None
    assert lost is not None

    async with database.sessions.begin() as session:
        assert await checkpoints.bundles_for(session, empty.id) == [b"one"]
        assert await checkpoints.bundles_for(session, lost.id) is None
        assert await checkpoints.bundles_for(session, uuid4()) is None


async def test_thinning_deletes_old_ones_except_those_that_are_needed(database: Database) -> None:
    run = await running_run(database)
    interval = CheckpointReason.INTERVAL
    old = NOW - timedelta(hours=2)
    plain = [await put(database, of(run, reason=interval, taken_at=old), b"x") for _ in range(3)]
    forked = await fork(database, run, _given(plain[1]))
    standing = await put(database, of(forked, previous_id=_given(plain[0]).id), b"y")
    end = await put(database, of(run), b"z")

    async with database.sessions.begin() as session:
        deleted = await thin_session(session, run.session_id, policy=CheckpointPolicy(), now=NOW)
        left = await checkpoints.of_session(session, run.session_id)

    # The first carries another session's, the second is a restart's, the third its step's last.
    assert deleted == frozenset()
    assert [one.number for one in left] == [1, 2, 3, 4]
    assert standing is not None
    assert end is not None


async def test_the_clock_thins_only_sessions_at_rest(database: Database) -> None:
    live = await running_run(database)
    ended = await stored_run(database)
    interval, old = CheckpointReason.INTERVAL, NOW - timedelta(hours=2)
    for run in (live, ended):
        for _ in range(3):
            await put(database, of(run, reason=interval, taken_at=old), b"x")
    await _end(database, ended.id)
    context = ServiceContext(database, lambda: NOW)

    deleted = await CheckpointExpiry(context, CheckpointPolicy()).delete_expired()

    assert deleted == 2
    async with database.sessions.begin() as session:
        assert len(await checkpoints.of_run(session, live.id)) == 3
        assert [one.number for one in await checkpoints.of_run(session, ended.id)] == [3]
        assert await expiry.restarted_from(session, ended.session_id) == frozenset()


async def _end(database: Database, run: UUID) -> None:
    async with database.sessions.begin() as session:
        await session.execute(
            update(RunRow).where(RunRow.id == run).values(status="failed", stop_reason="timeout")
        )


def _given(one: Checkpoint | None) -> Checkpoint:
    assert one is not None
    return one
