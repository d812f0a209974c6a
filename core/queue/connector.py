"""The worker's way to Postgres, which outlives every outage of it.

As shipped, the engine's worker ends, and aborts its jobs, when one of its own queries fails.
Those queries can all be asked again, so here they are asked until Postgres answers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, LiteralString, TypeVar

import psycopg
from procrastinate import PsycopgConnector, exceptions
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier
from psycopg_pool import AsyncConnectionPool

from core.queue.engine_internals import statements
from core.queue.engine_internals.worker import Notify, WorkerQuery, worker_query
from core.waiting import Backoff, retry

log = logging.getLogger(__name__)

Result = TypeVar("Result")

# The longest pause is also the longest a worker stays idle once Postgres is back.
_BACKOFF = Backoff(first=timedelta(seconds=0.1), longest=timedelta(seconds=1))
QUERY_LIMIT_SECONDS = 20.0
# How long a server process can go on with a query whose client has given it up.
UNCERTAIN_SECONDS = 60.0
LOG_INTERVAL_SECONDS = 30.0
LISTEN_CHECK_SECONDS = 30.0

# A vanished machine is noticed within 25 s; over a unix socket these have no effect.
_CONNECTION_DEFAULTS: dict[str, str | int] = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


class ResilientConnector(PsycopgConnector):
    """The connector of one inner worker.

    Besides asking again it makes up for what a lost connection can hide: a job handed over in
    an answer that got lost, a notification that came in the middle of a fetch, a finish that
    was done but not confirmed.
    """

    def __init__(self, dsn: str, *, name: str) -> None:
        super().__init__()
        defaults = {**_CONNECTION_DEFAULTS, "application_name": f"signalbox {name}"[:63]}
        specified = conninfo_to_dict(dsn)
        missing = {key: value for key, value in defaults.items() if key not in specified}
        self._conninfo = make_conninfo(dsn, **missing)
        self._retries_stopped = asyncio.Event()
        self._failing_since: float | None = None
        self._logged_at = 0.0
        self._uncertain_until = 0.0
        self._notification_count = 0
        self._held_job_ids: set[int] = set()

    @property
    def is_reachable(self) -> bool:
        """Whether Postgres answered when it was last asked."""
        return self._failing_since is None

    def stop_retrying(self) -> None:
        """Let every query that is being retried fail; nothing is retried from now on."""
        self._retries_stopped.set()

    @asynccontextmanager
    async def open_pool(self) -> AsyncIterator[None]:
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
            self.stop_retrying()
            await pool.close(timeout=2)

    async def execute_query_async(self, query: LiteralString, **arguments: Any) -> None:
        """Run a query; finishing a job that has been finished meanwhile is no error."""
        query_once = super().execute_query_async
        if worker_query(query) is not WorkerQuery.FINISH_JOB:
            await self._retry_until_answered(query, lambda: query_once(query, **arguments))
            return

        async def finish() -> None:
            try:
                await query_once(query, **arguments)
            except exceptions.ConnectorException as error:
                if not isinstance(error.__cause__, errors.RaiseException):
                    raise
                # An answer was lost, or somebody settled the job.
                log.info("job %s had been finished already", arguments["job_id"])

        await self._retry_until_answered(query, finish)
        self._held_job_ids.discard(arguments["job_id"])

    async def execute_query_one_async(
        self, query: LiteralString, **arguments: Any
    ) -> dict[str, Any]:
        """Run a query that has one row as its answer."""
        query_once = super().execute_query_one_async
        if worker_query(query) is WorkerQuery.FETCH_JOB:
            return await self._fetch(query, **arguments)
        return await self._retry_until_answered(query, lambda: query_once(query, **arguments))

    async def execute_query_all_async(
        self, query: LiteralString, **arguments: Any
    ) -> list[dict[str, Any]]:
        """Run a query that has any number of rows as its answer."""
        query_once = super().execute_query_all_async
        return await self._retry_until_answered(query, lambda: query_once(query, **arguments))

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Pass notifications on, on one connection after another, until cancelled."""
        channel_names = list(channels)
        pauses = _BACKOFF.pauses()
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
                async with connection:
                    for channel in channel_names:
                        await connection.execute(SQL("LISTEN {}").format(Identifier(channel)))
                    pauses = _BACKOFF.pauses()
                    # Nobody heard what was announced before.
                    self._notification_count += 1
                    await on_notification(
                        channel=channel_names[0], payload=statements.NEW_JOB_PAYLOAD
                    )
                    await self._listen(connection, on_notification)
            except (psycopg.Error, OSError) as error:
                pause = next(pauses)
                log.info("the listener lost its connection (%s), retry in %.1f s", error, pause)
                await asyncio.sleep(pause)

    async def _listen(self, connection: psycopg.AsyncConnection, on_notification: Notify) -> None:
        while True:
            async for notification in connection.notifies(timeout=LISTEN_CHECK_SECONDS):
                self._notification_count += 1
                try:
                    await on_notification(
                        channel=notification.channel, payload=notification.payload
                    )
                except (ValueError, LookupError, TypeError):
                    # Anybody can notify; the engine's listener would end for good.
                    log.warning("a notification on %s makes no sense", notification.channel)
            async with asyncio.timeout(QUERY_LIMIT_SECONDS):
                await connection.execute("SELECT 1")

    async def _fetch(
        self, query: LiteralString, *, worker_id: int, **arguments: Any
    ) -> dict[str, Any]:
        """Fetch a job, first one that was handed over before in an answer that got lost."""
        fetch_one, fetch_all = super().execute_query_one_async, super().execute_query_all_async

        async def query_once() -> dict[str, Any]:
            if asyncio.get_running_loop().time() < self._uncertain_until:
                undelivered = await fetch_all(
                    statements.UNDELIVERED_JOB, worker_id=worker_id, held=list(self._held_job_ids)
                )
                if undelivered:
                    log.info("job %s had been fetched in vain, taken up", undelivered[0]["id"])
                    lost: dict[str, Any] = undelivered[0]
                    return lost
            try:
                row: dict[str, Any] = await fetch_one(query, worker_id=worker_id, **arguments)
            except (exceptions.ConnectorException, asyncio.CancelledError) as error:
                self._uncertain_until = asyncio.get_running_loop().time() + UNCERTAIN_SECONDS
                if isinstance(error.__cause__, errors.ForeignKeyViolation):
                    await self._restore_registration(worker_id)
                raise
            return row

        while True:
            count_before = self._notification_count
            row = await self._retry_until_answered(query, query_once)
            if row["id"] is not None:
                self._held_job_ids.add(row["id"])
                return row
            # The worker forgets what it was told while it was asking.
            if self._notification_count == count_before:
                return row

    async def _restore_registration(self, worker_id: int) -> None:
        log.warning("worker %s had been deleted as stalled, it registers again", worker_id)
        await super().execute_query_async(statements.RESTORE_WORKER, worker_id=worker_id)
        await super().execute_query_async(
            statements.RESTORE_JOBS, worker_id=worker_id, held=list(self._held_job_ids)
        )

    async def _retry_until_answered(
        self, query: LiteralString, query_once: Callable[[], Awaitable[Result]]
    ) -> Result:
        """Ask until there is an answer, if the query is one of the worker's own."""
        name = worker_query(query)
        if name is None:
            return await query_once()

        async def query_within_limit() -> Result:
            async with asyncio.timeout(QUERY_LIMIT_SECONDS):
                return await query_once()

        answer = await retry(
            query_within_limit,
            on=(exceptions.ConnectorException, TimeoutError),
            backoff=_BACKOFF,
            stop=self._retries_stopped,
            on_failure=lambda error, _: self._log_outage(name, error),
        )
        self._log_recovery()
        return answer

    def _log_outage(self, name: str, error: BaseException) -> None:
        now = asyncio.get_running_loop().time()
        if self._failing_since is None:
            self._failing_since = now
            self._logged_at = 0.0
        if now - self._logged_at >= LOG_INTERVAL_SECONDS or not self._logged_at:
            self._logged_at = now
            cause = error.__cause__ or error
            log.warning("postgres does not answer %s: %r; asking again", name, cause)

    def _log_recovery(self) -> None:
        if self._failing_since is not None:
            outage_seconds = asyncio.get_running_loop().time() - self._failing_since
            self._failing_since = None
            log.info("postgres answers again, after %.1f s", outage_seconds)


async def _configure(connection: psycopg.AsyncConnection) -> None:
    await connection.set_autocommit(True)
    await connection.execute(statements.SET_SEARCH_PATH)
