"""A worker's inbox: which attempt gets a message, when, and with what outcome."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from core.agent.definitions.catalog import load_catalog
from core.domain.actor import Actor, Origin, Role
from core.domain.fleet.worker_message import MessageOutcome, WorkerMessage, WorkerMessageKind
from core.domain.runs.request import KillRequest
from core.domain.runs.run import Run
from core.domain.workflow import WorkflowDefinition
from core.runner.execution.attempt import Attempt, Cause
from core.runner.execution.ledger import Ledger
from core.runner.execution.progress import Progress
from core.runner.worker.inbox import HANDLERS, Inbox
from core.runner.worker.lease import Lease
from core.services.context import ServiceContext
from core.services.housekeeping import MESSAGE_RETENTION, HousekeepingService
from core.services.runs.runs import RunService
from core.store.database import migrate
from core.store.database.embedded import EmbeddedServer
from core.store.database.engine import Database, open_database
from core.store.database.listen import TICK, listen
from core.store.fleet import worker_messages
from core.store.tables.fleet import WorkerMessageRow
from tests.database import NO_DURABILITY, NOW, stored_run
from tests.postgres_proxy import open_postgres_proxy

WORKER = "here-1:deadbeef"
OTHER = "there-1:0badcafe"
# Longer than any name of a channel, which has 63 bytes.
LONG_NAME = f"{'very-' * 30}long-1:deadbeef"
CATALOG = load_catalog()
BOSS = Actor(role=Role.OPERATOR, origin=Origin.SLACK, name="boss")
RARELY = timedelta(minutes=5)
UNREACHABLE = "postgresql://nobody@127.0.0.1:1/none"


@dataclass
class InboxHarness:
    """A worker's inbox and lease, without agents."""

    database: Database
    worker_id: str = WORKER
    lease: Lease = field(default_factory=Lease)

    def __post_init__(self) -> None:
        self.context = ServiceContext(self.database, lambda: NOW)
        self.inbox = Inbox(self.context, self.worker_id, self.lease)

    async def begun(self) -> Attempt:
        """An attempt that this worker has taken, and does not hold yet."""
        run = await stored_run(self.database)
        begun = await Ledger(self.context, self.worker_id, "here").begin(run.run_id, 1)
        assert begun is not None
        return Attempt(
            run=begun,
            definition=cast("WorkflowDefinition", None),
            progress=Progress(model=None),
        )

    async def kill(self, run: Run, *, force: bool = False) -> None:
        """Ask for its end, as a person does."""
        await RunService(self.context, CATALOG).kill(
            KillRequest(target=run.run_id, force=force), by=BOSS
        )

    async def rows(self) -> list[tuple[str, str, str | None]]:
        """Addressee, kind and outcome of each message, oldest first."""
        async with self.database.sessions() as session:
            found = await session.scalars(select(WorkerMessageRow).order_by(WorkerMessageRow.id))
            return [(one.worker_id, one.kind, one.outcome) for one in found]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The inbox at work."""
        task = asyncio.create_task(self.inbox.run(), name="inbox under test")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})


async def wait_until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - a flag of another task, which tells nobody
            await asyncio.sleep(0.01)


async def wait_for_rows(harness: InboxHarness, wanted: list[tuple[str, str, str | None]]) -> None:
    async with asyncio.timeout(20):
        while await harness.rows() != wanted:  # noqa: ASYNC110 - nobody tells of a mark
            await asyncio.sleep(0.01)


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    """A Postgres of the test's own, which it may stop."""
    folder = Path(tempfile.mkdtemp(prefix="sbpg-"))
    own = EmbeddedServer(folder / "pg", NO_DURABILITY)
    own.acquire()
    yield own
    own.release()
    shutil.rmtree(folder)


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


async def test_a_message_that_was_sent_while_the_line_was_cut_comes_with_the_next_connection(
    database: Database,
) -> None:
    async with open_postgres_proxy(database.dsn) as line, open_database(line.dsn) as cuttable:
        sender, receiver = InboxHarness(database), InboxHarness(cuttable)
        attempt = await sender.begun()
        async with receiver.running():
            with receiver.lease.holding(attempt):
                await connected(database)
                line.cut()
                await sender.kill(attempt.run)
                line.restore()
                await wait_until(attempt.stop.requested.is_set)
                await wait_for_rows(sender, [(WORKER, "kill", "handled")])


async def test_a_failed_reading_is_repeated_without_another_wake_up(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    harness = InboxHarness(database)
    attempt = await harness.begun()
    await harness.kill(attempt.run)
    async with open_database(UNREACHABLE) as broken:
        # Its listener is connected; only the pool is not.
        harness.inbox.context = ServiceContext(replace(broken, dsn=database.dsn), lambda: NOW)
        with harness.lease.holding(attempt):
            async with harness.running():
                await wait_until(lambda: "inbox not read" in caplog.text)
                await connected(database)
                harness.inbox.context = harness.context
                await wait_for_rows(harness, [(WORKER, "kill", "handled")])


async def test_a_restart_of_postgres_loses_no_message(server: EmbeddedServer) -> None:
    await asyncio.to_thread(migrate.upgrade, server.dsn)
    async with open_database(server.dsn) as own:
        harness = InboxHarness(own)
        attempt = await harness.begun()
        async with harness.running():
            await connected(own)
            # Not held here yet, so that nothing is handled before the restart.
            await harness.kill(attempt.run)
            await own.engine.dispose()
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            with harness.lease.holding(attempt):
                await wait_until(attempt.stop.requested.is_set)
                await wait_for_rows(harness, [(WORKER, "kill", "handled")])


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


async def connected(database: Database) -> None:
    """Wait until the inbox listens, and has read what was there before."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE application_name = 'signalbox-listen' AND query = 'SELECT 1'"
    )
    async with asyncio.timeout(20):
        while True:
            async with database.sessions() as session:
                if await session.scalar(query):
                    return
            await asyncio.sleep(0.01)
