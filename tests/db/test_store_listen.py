"""Notifications, leadership and the pool: while Postgres is reachable, and after an outage."""

from __future__ import annotations

import asyncio
import shutil
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from core.domain.errors import Unavailable
from core.domain.runs.run import StopReason
from core.store.changes import CHANNEL
from core.store.database.embedded.server import EmbeddedServer
from core.store.database.engine import Database, open_database, translate_errors
from core.store.database.leadership import leadership
from core.store.database.listen import TICK, ChangeListener, listen
from core.store.runs import runs
from tests.database import NO_DURABILITY, NOW, running_run, stored_run
from tests.limits import limit, patient

# Of every change there is the same hint.
HINT = (CHANNEL, "")
RARELY = timedelta(minutes=5)
# Postgres's answers to a driver that connects, listens and selects 1.
_HELLO = (
    (b"R", struct.pack("!I", 0)), (b"S", b"server_version\x0016.1\x00"),
    (b"S", b"client_encoding\x00UTF8\x00"), (b"S", b"TimeZone\x00UTC\x00"),
    (b"K", struct.pack("!II", 1, 2)), (b"Z", b"I"),
)  # fmt: skip
_PREPARED = ((b"1", b""), (b"t", struct.pack("!H", 0)), (b"n", b""))
_SHUTDOWN_MESSAGES = ((b"E", b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0"),)


def _done(tag: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"2", b""), (b"C", tag + b"\0"), (b"Z", b"I"))


def _send(client: socket.socket, messages: Iterable[tuple[bytes, bytes]]) -> None:
    client.sendall(b"".join(kind + struct.pack("!I", len(b) + 4) + b for kind, b in messages))


def _serve_and_end(server_socket: socket.socket, is_frozen: threading.Event) -> None:
    """Act as Postgres for one listener, and end its connection while the listener is frozen."""
    with server_socket:
        client, _ = server_socket.accept()
    with client:
        client.recv(4096)
        _send(client, _HELLO)
        for tag in (b"LISTEN", b"SELECT 1"):
            client.recv(4096)
            _send(client, _PREPARED)
            client.recv(4096)
            _send(client, _done(tag))
        is_frozen.wait(20)
        _send(client, _SHUTDOWN_MESSAGES)
        client.shutdown(socket.SHUT_WR)


async def received_until(changes: ChangeListener, wanted: tuple[str, str]) -> list[tuple[str, str]]:
    """The changes up to and including `wanted`."""
    came: list[tuple[str, str]] = []
    async with limit(20):
        while wanted not in came:
            came.append(await anext(changes))
    return came


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    """A private Postgres that the test may stop."""
    folder = Path(tempfile.mkdtemp(prefix="sbpg-"))
    own = EmbeddedServer(folder / "pg", NO_DURABILITY)
    own.acquire()
    yield own
    own.release()
    shutil.rmtree(folder)


async def test_every_change_of_a_run_is_heard(database: Database) -> None:
    async with listen(database.dsn, CHANNEL, poll=RARELY) as changes:
        assert await received_until(changes, TICK) == [TICK]
        run = await stored_run(database)
        added = await received_until(changes, HINT)
        async with database.sessions.begin() as session:
            await runs.change(session, run.run_id, now=NOW, turns=1)
        changed = await received_until(changes, HINT)
        async with database.sessions.begin() as session:
            await runs.request_kill(session, run.run_id, now=NOW)
            await runs.change(session, run.run_id, now=NOW, turns=2)
            await session.execute(text(f"NOTIFY {CHANNEL}, 'end'"))
        killed = await received_until(changes, (CHANNEL, "end"))

    assert added == changed == [HINT]
    assert killed == [HINT, (CHANNEL, "end")]


async def test_a_change_that_is_rolled_back_is_not_received(database: Database) -> None:
    run = await running_run(database)

    async with listen(database.dsn, CHANNEL, poll=RARELY) as changes:
        await received_until(changes, TICK)
        async with database.sessions() as session:
            await runs.finish(
                session, run.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=NOW
            )
            await session.rollback()
        async with database.sessions.begin() as session:
            await session.execute(text(f"NOTIFY {CHANNEL}, 'end'"))

        assert await received_until(changes, (CHANNEL, "end")) == [(CHANNEL, "end")]


async def test_a_poll_ticks_without_any_change(database: Database) -> None:
    poll = timedelta(milliseconds=20)
    async with listen(database.dsn, CHANNEL, poll=poll) as changes, limit(10):
        assert [await anext(changes) for _ in range(3)] == [TICK] * 3


async def test_a_listener_that_fell_far_behind_looks_at_everything(database: Database) -> None:
    async with listen(database.dsn, CHANNEL, poll=RARELY) as changes:
        await received_until(changes, TICK)
        async with database.sessions.begin() as session:
            await session.execute(
                text(f"SELECT pg_notify('{CHANNEL}', n::text) FROM generate_series(1, 5000) n")
            )

        last = (CHANNEL, "5000")
        async with limit(20):
            while last not in changes._queue:  # noqa: ASYNC110 - nothing consumes the queue yet
                await asyncio.sleep(0.005)

        came = await received_until(changes, last)

    assert came[0] == TICK
    assert len(came) <= 1001


async def test_waiting_for_a_change_can_be_given_up(database: Database) -> None:
    async with listen(database.dsn, CHANNEL, poll=RARELY) as changes:
        await received_until(changes, TICK)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await anext(changes)
        await stored_run(database)

        assert await received_until(changes, HINT)


async def test_waiting_ends_when_it_is_cancelled_at_the_moment_of_a_change(
    database: Database,
) -> None:
    # As when a restart of Postgres ends the connection and, with it, what we listened for.
    async with listen(database.dsn, CHANNEL, poll=RARELY) as changes:
        await received_until(changes, TICK)

        async def consume() -> None:
            async for _ in changes:
                pass

        consuming = asyncio.create_task(consume(), name="consuming")
        for _ in range(3):
            await asyncio.sleep(0)
        changes._wake_up.set()
        # The waiting task is scheduled by now, but has not run yet.
        await asyncio.sleep(0)
        consuming.cancel()
        done, _ = await asyncio.wait({consuming}, timeout=patient(5))

        assert done == {consuming}
        assert consuming.cancelled()


async def test_changes_are_received_again_after_a_restart(server: EmbeddedServer) -> None:
    async with open_database(server.dsn) as own, listen(own.dsn, "c", poll=RARELY) as changes:
        await received_until(changes, TICK)
        await asyncio.to_thread(server.stop)
        waiting = asyncio.create_task(received_until(changes, TICK), name="waiting")
        await asyncio.to_thread(server.start)

        assert await waiting == [TICK]
        async with own.sessions.begin() as session:
            await session.execute(text("NOTIFY c, 'again'"))
        assert await received_until(changes, ("c", "again")) == [("c", "again")]


async def test_ticks_continue_while_postgres_is_unreachable(server: EmbeddedServer) -> None:
    async with listen(server.dsn, "c", poll=timedelta(milliseconds=20)) as changes:
        await received_until(changes, TICK)
        await asyncio.to_thread(server.stop)

        async with limit(20):
            assert [await anext(changes) for _ in range(3)] == [TICK] * 3


async def test_the_pool_reports_an_outage_and_recovers_from_it(
    server: EmbeddedServer,
) -> None:
    async def fetch(database: Database) -> object:
        with translate_errors():
            async with database.sessions() as session:
                return await session.scalar(text("SELECT 1"))

    async with open_database(server.dsn) as own:
        await asyncio.gather(*(fetch(own) for _ in range(5)))
        await asyncio.to_thread(server.stop)
        during_outage = await asyncio.gather(
            *(fetch(own) for _ in range(5)), return_exceptions=True
        )
        await asyncio.to_thread(server.start)
        afterwards = await asyncio.gather(*(fetch(own) for _ in range(5)))

        async with own.sessions() as session:
            await session.execute(text("SELECT 1"))
            await asyncio.to_thread(server.stop)
            with pytest.raises(Unavailable), translate_errors():
                await session.execute(text("SELECT 1"))

    assert [type(outcome).__name__ for outcome in during_outage] == ["DatabaseUnavailable"] * 5
    assert afterwards == [1] * 5


async def is_leader(dsn: str) -> bool:
    async with leadership(dsn, 7) as leader:
        return not leader.lost.is_set()


async def test_only_one_leads_at_a_time(database: Database) -> None:
    order: list[str] = []

    async def lead(name: str) -> None:
        async with leadership(database.dsn, 7):
            order.append(f"{name} begins")
            await asyncio.sleep(0)
            order.append(f"{name} ends")

    async with limit(20), asyncio.TaskGroup() as group, leadership(database.dsn, 7):
        given_up, *_ = [group.create_task(lead(str(n))) for n in range(4)]
        async with leadership(database.dsn, 8):
            order.append("another lock is free")
        given_up.cancel()

    assert order[0] == "another lock is free"
    assert [client.split()[1] for client in order[1:]] == ["begins", "ends"] * 3


async def test_a_leader_notices_an_outage_and_can_lead_again(
    server: EmbeddedServer,
) -> None:
    async with limit(30):
        async with leadership(server.dsn, 7) as leader:
            dsn = server.dsn
            await asyncio.to_thread(server.stop)
            await leader.lost.wait()
        again = asyncio.create_task(is_leader(dsn), name="again")
        await asyncio.to_thread(server.start)
        assert await again


async def test_a_frozen_leader_is_deposed_and_a_live_one_is_not(
    database: Database, request: pytest.FixtureRequest
) -> None:
    frozen = await asyncpg.connect(database.dsn)
    request.addfinalizer(frozen.terminate)
    await frozen.execute("SELECT pg_advisory_lock(7)")
    deposed = asyncio.Event()
    frozen.add_termination_listener(lambda _: deposed.set())
    # Longer than the interval of a leader's probes.
    frozen_after = timedelta(seconds=4)
    async with (
        limit(30),
        leadership(database.dsn, 7, frozen_after=frozen_after) as live,
    ):
        await deposed.wait()
        waiting = asyncio.create_task(is_leader(database.dsn), name="waiting")
        # Two rounds of checks on the live one.
        done, _ = await asyncio.wait({waiting}, timeout=9)

        assert not done
        assert live.is_exclusive
    assert await waiting


class ConfusedConnection(asyncpg.Connection):
    """Its probes fail as after a thaw, when the server has ended the connection meanwhile."""

    async def fetchval(self, *_: Any, **__: Any) -> Any:
        raise asyncpg.InternalClientError("got result for unknown protocol state 3")


async def test_a_leader_whose_driver_no_longer_understands_the_server_is_deposed(
    database: Database,
) -> None:
    async def connect() -> ConfusedConnection:
        return await asyncpg.connect(database.dsn, connection_class=ConfusedConnection)

    async with limit(30), leadership(database.dsn, 7, connect=connect) as leader:
        await leader.lost.wait()
        assert not leader.is_exclusive


async def test_an_error_in_a_leaders_work_is_raised_unchanged(database: Database) -> None:
    with pytest.raises(LookupError):
        async with leadership(database.dsn, 7):
            raise LookupError
    async with limit(10), leadership(database.dsn, 7) as leader:
        assert not leader.lost.is_set()
    assert leader.lost.is_set()


async def test_a_listener_recovers_when_its_connection_ended_during_a_freeze() -> None:
    # The server's last message arrives during a query: the driver then raises its own error.
    is_frozen = threading.Event()
    server_socket = socket.create_server(("127.0.0.1", 0))
    dsn = f"postgresql://u@127.0.0.1:{server_socket.getsockname()[1]}/d?sslmode=disable"
    serving = threading.Thread(target=_serve_and_end, args=(server_socket, is_frozen), daemon=True)
    serving.start()
    poll = timedelta(seconds=0.3)
    async with listen(dsn, "c", poll=poll) as changes, limit(20):
        assert await anext(changes) == TICK
        waiting = asyncio.create_task(anext(changes), name="waiting")
        await asyncio.sleep(0.05)
        is_frozen.set()
        serving.join(20)
        # As when the process is stopped: the poll is due when it continues.
        time.sleep(2 * poll.total_seconds())  # noqa: ASYNC251

        assert await waiting == TICK
