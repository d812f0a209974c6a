"""The worker's way to Postgres, which outlives every outage of it.

As shipped, the engine's worker ends, and aborts its jobs, when one of its own queries fails.
Those queries can all be asked again, so here they are asked until Postgres answers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any, LiteralString, TypeVar

import psycopg
from procrastinate import exceptions, sql
from procrastinate.connector import Notify
from procrastinate.psycopg_connector import PsycopgConnector
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier
from psycopg_pool import AsyncConnectionPool

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

# What the worker itself asks; each may be asked again after an answer was lost.
RETRIED_QUERIES = (
    "fetch_job",
    "finish_job",
    "list_jobs_to_abort",
    "prune_stalled_workers",
    "register_worker",
    "unregister_worker",
    "update_heartbeat",
)
_NAMES: dict[str, str] = {sql.queries[name]: name for name in RETRIED_QUERIES}

# A job that was given to this worker in an answer that never arrived.
_UNHEARD = """
    SELECT id, status, task_name, priority, lock, queueing_lock, args, scheduled_at, queue_name,
           attempts, worker_id
    FROM procrastinate_jobs
    WHERE worker_id = %(worker_id)s AND status = 'doing' AND id <> ALL(%(held)s::bigint[])
    ORDER BY id
    LIMIT 1
"""
# Somebody thought this worker dead and deleted its row.
_REVIVE_WORKER = """
    INSERT INTO procrastinate_workers (id) OVERRIDING SYSTEM VALUE VALUES (%(worker_id)s)
    ON CONFLICT DO NOTHING
"""
_REVIVE_JOBS = """
    UPDATE procrastinate_jobs SET worker_id = %(worker_id)s
    WHERE id = ANY(%(held)s::bigint[]) AND status = 'doing' AND worker_id IS NULL
"""

FIRST_DELAY = 0.1
# Also the longest a worker stays idle once Postgres is back.
LAST_DELAY = 1.0
QUERY_LIMIT = 20.0
# How long a server process can go on with a query whose client has given it up.
DOUBT = 60.0
COMPLAINT_INTERVAL = 30.0
LISTEN_CHECK = 30.0

# A vanished machine is noticed within 25 s; over a unix socket these have no effect.
_CONNECTION: dict[str, str | int] = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}

# As the engine's triggers tell of a new job.
_LOOK = '{"type": "job_inserted", "job_id": 0}'


class ResilientConnector(PsycopgConnector):
    """The connector of one inner worker.

    Besides asking again it makes up for what a lost connection can hide: a job handed over in
    an answer that got lost, a notification that came in the middle of a fetch, a finish that
    was done but not confirmed.
    """

    def __init__(self, dsn: str, *, name: str) -> None:
        super().__init__()
        wanted = {**_CONNECTION, "application_name": f"signalbox {name}"[:63]}
        given = conninfo_to_dict(dsn)
        missing = {key: value for key, value in wanted.items() if key not in given}
        self._conninfo = make_conninfo(dsn, **missing)
        self._given_up = asyncio.Event()
        self._failing_since: float | None = None
        self._complained_at = 0.0
        self._doubt_until = 0.0
        self._heard = 0
        self._held: set[int] = set()

    @property
    def is_reachable(self) -> bool:
        """Whether Postgres answered when it was last asked."""
        return self._failing_since is None

    def give_up(self) -> None:
        """Let every query that is being retried fail; nothing is retried from now on."""
        self._given_up.set()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Have connections at hand.  Postgres need not be there yet."""
        pool = AsyncConnectionPool(
            self._conninfo,
            min_size=1,
            max_size=4,
            open=False,
            configure=_configure,
            check=AsyncConnectionPool.check_connection,
            # The pool's own back-off begins with 1 s and doubles: with its defaults a worker
            # stays deaf for 10 to 18 s after an outage.  So it soon gives up, and each new
            # question makes it try at once.
            timeout=2,
            reconnect_timeout=0.5,
        )
        try:
            await pool.open(wait=False)
            await self.open_async(pool)
            yield
        finally:
            self.give_up()
            await pool.close(timeout=2)

    async def execute_query_async(self, query: LiteralString, **arguments: Any) -> None:
        """Run a query; finishing a job that has been finished meanwhile is no error."""
        ask = super().execute_query_async
        if _NAMES.get(query) != "finish_job":
            await self._insist(query, lambda: ask(query, **arguments))
            return

        async def finish() -> None:
            try:
                await ask(query, **arguments)
            except exceptions.ConnectorException as error:
                if not isinstance(error.__cause__, errors.RaiseException):
                    raise
                # An answer was lost, or somebody settled the job.
                log.info("job %s had been finished already", arguments["job_id"])

        await self._insist(query, finish)
        self._held.discard(arguments["job_id"])

    async def execute_query_one_async(
        self, query: LiteralString, **arguments: Any
    ) -> dict[str, Any]:
        """Run a query that has one row as its answer."""
        ask = super().execute_query_one_async
        if _NAMES.get(query) == "fetch_job":
            return await self._fetch(query, **arguments)
        return await self._insist(query, lambda: ask(query, **arguments))

    async def execute_query_all_async(
        self, query: LiteralString, **arguments: Any
    ) -> list[dict[str, Any]]:
        """Run a query that has any number of rows as its answer."""
        ask = super().execute_query_all_async
        return await self._insist(query, lambda: ask(query, **arguments))

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Pass notifications on, on one connection after another, until cancelled."""
        wanted = list(channels)
        delay = FIRST_DELAY
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
                async with connection:
                    for channel in wanted:
                        await connection.execute(SQL("LISTEN {}").format(Identifier(channel)))
                    delay = FIRST_DELAY
                    # What was told before nobody heard.
                    self._heard += 1
                    await on_notification(channel=wanted[0], payload=_LOOK)
                    await self._listen(connection, on_notification)
            except (psycopg.Error, OSError) as error:
                log.info("the listener lost its connection (%s), retry in %.1f s", error, delay)
                await asyncio.sleep(delay)
                delay = min(delay * 2, LAST_DELAY)

    async def _listen(self, connection: psycopg.AsyncConnection, tell: Notify) -> None:
        while True:
            async for notification in connection.notifies(timeout=LISTEN_CHECK):
                self._heard += 1
                try:
                    await tell(channel=notification.channel, payload=notification.payload)
                except (ValueError, LookupError, TypeError):
                    # Anybody can notify; the engine's listener would end for good.
                    log.warning("a notification on %s makes no sense", notification.channel)
            async with asyncio.timeout(QUERY_LIMIT):
                await connection.execute("SELECT 1")

    async def _fetch(
        self, query: LiteralString, *, worker_id: int, **arguments: Any
    ) -> dict[str, Any]:
        """Fetch a job, first one that was handed over before in an answer that got lost."""
        ask_one, ask_all = super().execute_query_one_async, super().execute_query_all_async

        async def ask() -> dict[str, Any]:
            if asyncio.get_running_loop().time() < self._doubt_until:
                unheard = await ask_all(_UNHEARD, worker_id=worker_id, held=list(self._held))
                if unheard:
                    log.info("job %s had been fetched in vain, taken up", unheard[0]["id"])
                    lost: dict[str, Any] = unheard[0]
                    return lost
            try:
                row: dict[str, Any] = await ask_one(query, worker_id=worker_id, **arguments)
            except (exceptions.ConnectorException, asyncio.CancelledError) as error:
                self._doubt_until = asyncio.get_running_loop().time() + DOUBT
                if isinstance(error.__cause__, errors.ForeignKeyViolation):
                    await self._revive(worker_id)
                raise
            return row

        while True:
            heard = self._heard
            row = await self._insist(query, ask)
            if row["id"] is not None:
                self._held.add(row["id"])
                return row
            # The worker forgets what it was told while it was asking.
            if self._heard == heard:
                return row

    async def _revive(self, worker_id: int) -> None:
        log.warning("worker %s had been deleted as stalled, it registers again", worker_id)
        await super().execute_query_async(_REVIVE_WORKER, worker_id=worker_id)
        await super().execute_query_async(_REVIVE_JOBS, worker_id=worker_id, held=list(self._held))

    async def _insist(self, query: LiteralString, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Ask until there is an answer, if the query is one of the worker's own."""
        name = _NAMES.get(query)
        if name is None:
            return await ask()
        delay = FIRST_DELAY
        while True:
            try:
                async with asyncio.timeout(QUERY_LIMIT):
                    answer = await ask()
            except (exceptions.ConnectorException, TimeoutError) as error:
                if self._given_up.is_set():
                    raise
                self._complain(name, error)
            else:
                self._be_content()
                return answer
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._given_up.wait()
            delay = min(delay * 2, LAST_DELAY)

    def _complain(self, name: str, error: BaseException) -> None:
        now = asyncio.get_running_loop().time()
        if self._failing_since is None:
            self._failing_since = now
            self._complained_at = 0.0
        if now - self._complained_at >= COMPLAINT_INTERVAL or not self._complained_at:
            self._complained_at = now
            cause = error.__cause__ or error
            log.warning("postgres does not answer %s: %r; asking again", name, cause)

    def _be_content(self) -> None:
        if self._failing_since is not None:
            lasted = asyncio.get_running_loop().time() - self._failing_since
            self._failing_since = None
            log.info("postgres answers again, after %.1f s", lasted)


async def _configure(connection: psycopg.AsyncConnection) -> None:
    await connection.set_autocommit(True)
    await connection.execute("SET search_path = procrastinate, pg_temp")
