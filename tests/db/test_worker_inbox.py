"""A worker's inbox: which attempt gets a message, when, and with what outcome."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.fleet.worker_message import MessageOutcome, WorkerMessage, WorkerMessageKind
from core.domain.runs.run import Run
from core.runner.execution.attempt import Attempt, Cause
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.execution.progress import Progress
from core.runner.worker.inbox import HANDLERS
from core.services.housekeeping import MESSAGE_RETENTION, HousekeepingService
from core.store.database.engine import Database
from core.store.database.listen import TICK, listen
from core.store.fleet import worker_messages
from core.store.tables.fleet import WorkerMessageRow
from tests.database import NOW, stored_run
from tests.inbox_harness import WORKER, InboxHarness, wait_for_rows, wait_until

OTHER = "there-1:0badcafe"
# Longer than any name of a channel, which has 63 bytes.
LONG_NAME = f"{'very-' * 30}long-1:deadbeef"
RARELY = timedelta(minutes=5)


def test_every_kind_has_a_handler() -> None:
    assert set(HANDLERS) == set(WorkerMessageKind)


def test_a_channel_fits_however_long_the_workers_name_is() -> None:
    assert len(worker_messages.channel_of(LONG_NAME)) <= 63
    assert worker_messages.channel_of(LONG_NAME) != worker_messages.channel_of(WORKER)


async def test_a_kill_of_a_running_run_is_a_message_to_its_worker(database: Database) -> None:
    harness = InboxHarness(database)
    attempt = await harness.begun()

    await harness.kill(attempt.run)

    assert await harness.rows() == [(WORKER, "kill", None)]


async def test_a_kill_of_a_run_that_waits_is_no_message(database: Database) -> None:
    harness = InboxHarness(database)
    run = await stored_run(database)

    await harness.kill(run)

    assert await harness.rows() == []


async def test_a_kill_that_is_rolled_back_sends_nothing(database: Database) -> None:
    harness = InboxHarness(database)
    attempt = await harness.begun()
    channel = worker_messages.channel_of(WORKER)

    async with listen(database.dsn, channel, poll=RARELY) as notifications:
        assert await anext(notifications) == TICK
        async with database.sessions() as session:
            await send(session, attempt.run)
            await session.rollback()
        async with database.sessions.begin() as session:
            await session.execute(text(f"NOTIFY {channel}, 'end'"))
        first = await anext(notifications)

    assert first == (channel, "end")
    assert await harness.rows() == []


async def test_only_the_addressed_worker_is_notified(database: Database) -> None:
    harness = InboxHarness(database, LONG_NAME)
    attempt = await harness.begun()
    other = worker_messages.channel_of(OTHER)

    async with (
        listen(database.dsn, worker_messages.channel_of(LONG_NAME), poll=RARELY) as own,
        listen(database.dsn, other, poll=RARELY) as others,
    ):
        assert await anext(own) == await anext(others) == TICK
        await harness.kill(attempt.run)
        channel, _ = await anext(own)
        async with database.sessions.begin() as session:
            await session.execute(text(f"NOTIFY {other}, 'end'"))
        first_of_other = await anext(others)

    assert channel == worker_messages.channel_of(LONG_NAME)
    assert first_of_other == (other, "end")


async def test_a_message_reaches_the_attempt_and_is_marked(database: Database) -> None:
    harness = InboxHarness(database)
    attempt = await harness.begun()

    async with harness.running():
        with harness.lease.holding(attempt):
            await harness.kill(attempt.run)
            await wait_until(attempt.stop.requested.is_set)
            await wait_for_rows(harness, [(WORKER, "kill", "handled")])

    assert attempt.stop.requested_cause is Cause.KILL
    assert not attempt.stop.force_requested.is_set()


async def test_force_that_is_pressed_twice_is_force_once(database: Database) -> None:
    harness = InboxHarness(database)
    attempt = await harness.begun()

    with harness.lease.holding(attempt):
        await harness.kill(attempt.run, force=True)
        await harness.kill(attempt.run, force=True)
        await harness.inbox.deliver()
        await harness.inbox.deliver()

    assert attempt.stop.force_requested.is_set()
    assert await harness.rows() == 2 * [(WORKER, "force_kill", "handled")]


async def test_force_that_comes_with_the_kill_is_there_before_anything_is_acknowledged(
    database: Database,
) -> None:
    harness = InboxHarness(database)
    attempt = await harness.begun()
    await harness.kill(attempt.run)
    await harness.kill(attempt.run, force=True)

    with harness.lease.holding(attempt):
        await harness.inbox.deliver()

    assert attempt.stop.requested.is_set()
    assert attempt.stop.force_requested.is_set()


async def test_a_message_that_comes_before_its_attempt_waits_for_it(database: Database) -> None:
    harness = InboxHarness(database)
    attempt = await harness.begun()
    await harness.kill(attempt.run)

    await harness.inbox.deliver()
    before = await harness.rows()
    async with harness.running():
        with harness.lease.holding(attempt):
            await wait_until(attempt.stop.requested.is_set)
            await wait_for_rows(harness, [(WORKER, "kill", "handled")])

    assert before == [(WORKER, "kill", None)]


async def test_a_message_for_an_attempt_that_is_over_is_ignored_and_marked(
    database: Database,
) -> None:
    harness = InboxHarness(database)
    attempt = await harness.begun()
    await harness.kill(attempt.run)
    await Ledger(harness.context, WORKER, "here").kills.finish_killed(attempt.run)

    await harness.inbox.deliver()

    assert await harness.rows() == [(WORKER, "kill", "ignored")]


async def test_a_message_for_a_run_that_was_requeued_does_not_reach_its_next_attempt(
    database: Database,
) -> None:
    harness = InboxHarness(database)
    first = await harness.begun()
    async with database.sessions.begin() as session:
        await send(session, first.run)
    ledger = Ledger(harness.context, WORKER, "here")
    again = await ledger.requeue(first.run, reason="its worker was lost")
    begun = await ledger.begin(again.run_id, again.attempt)
    assert begun is not None
    second = Attempt(run=begun, definition=first.definition, progress=Progress(model=None))

    with harness.lease.holding(second):
        await harness.inbox.deliver()

    assert not second.stop.requested.is_set()
    assert await harness.rows() == [(WORKER, "kill", "ignored")]


async def test_a_message_for_an_attempt_that_was_taken_over_ends_it_as_fenced(
    database: Database,
) -> None:
    harness = InboxHarness(database)
    attempt = await harness.begun()
    async with database.sessions.begin() as session:
        await send(session, attempt.run)
    ledger = Ledger(harness.context, WORKER, "here")
    await ledger.requeue(attempt.run, reason="its worker was lost")

    with harness.lease.holding(attempt):
        await harness.inbox.deliver()

    assert attempt.stop.requested.is_set()
    assert attempt.stop.requested_cause is Cause.FENCED
    assert attempt.stop.cause is None


async def test_a_kind_of_a_newer_version_is_marked_and_stops_no_other(database: Database) -> None:
    harness = InboxHarness(database)
    attempt = await harness.begun()
    async with database.sessions.begin() as session:
        await session.execute(
            insert(WorkerMessageRow).values(
                worker_id=WORKER, run_id=attempt.run.id, attempt=1, kind="sing", created_at=NOW
            )
        )
    await harness.kill(attempt.run)

    with harness.lease.holding(attempt):
        await harness.inbox.deliver()

    assert await harness.rows() == [(WORKER, "sing", "unknown"), (WORKER, "kill", "handled")]


async def test_a_handler_that_fails_keeps_its_message_and_no_other(database: Database) -> None:
    harness = InboxHarness(database)
    attempt = await harness.begun()
    tries = 0

    async def fails_once(_: Attempt, message: WorkerMessage) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise RuntimeError("never thought of")

    harness.inbox.handlers = {**HANDLERS, WorkerMessageKind.KILL: fails_once}
    await harness.kill(attempt.run)
    await harness.kill(attempt.run, force=True)

    with harness.lease.holding(attempt):
        await harness.inbox.deliver()
        after_one = await harness.rows()
        await harness.inbox.deliver()

    assert after_one == [(WORKER, "kill", None), (WORKER, "force_kill", "handled")]
    assert await harness.rows() == [(WORKER, "kill", "handled"), (WORKER, "force_kill", "handled")]


async def test_messages_are_deleted_after_their_time_read_or_not(database: Database) -> None:
    harness = InboxHarness(database)
    attempt = await harness.begun()
    for age in (MESSAGE_RETENTION + timedelta(seconds=1), timedelta(0)):
        async with database.sessions.begin() as session:
            await worker_messages.send(
                session,
                worker_id=WORKER,
                run=attempt.run.id,
                attempt=1,
                kind=WorkerMessageKind.KILL,
                now=NOW - age,
            )

    deleted = await HousekeepingService(harness.context).delete_expired()

    assert deleted.worker_messages == 1
    assert await harness.rows() == [(WORKER, "kill", None)]


async def test_the_first_outcome_of_a_message_stays(database: Database) -> None:
    harness = InboxHarness(database)
    attempt = await harness.begun()
    await harness.kill(attempt.run)
    async with database.sessions.begin() as session:
        (message,) = await worker_messages.unhandled(session, WORKER)
        for outcome in (MessageOutcome.HANDLED, MessageOutcome.IGNORED):
            await worker_messages.mark_handled(session, {message.id: outcome}, now=NOW)
        assert not await worker_messages.has_unhandled(session, WORKER)

    assert await harness.rows() == [(WORKER, "kill", "handled")]


async def send(session: AsyncSession, run: Run) -> None:
    await worker_messages.send(
        session,
        worker_id=WORKER,
        run=run.id,
        attempt=run.attempt,
        kind=WorkerMessageKind.KILL,
        now=NOW,
    )
