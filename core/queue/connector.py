"""The worker's connections to Postgres, which survive outages.

The engine's own worker ends, and aborts its jobs, when one of its queries fails.  All of these
queries can be repeated safely, so this connector repeats them until Postgres answers.
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

# The longest pause is also the longest time that a worker stays idle after an outage.
_BACKOFF = Backoff(first=timedelta(seconds=0.1), longest=timedelta(seconds=1))
QUERY_LIMIT_SECONDS = 20.0
# How long the server may continue with a query that the client has given up.
UNCERTAIN_SECONDS = 60.0
LOG_INTERVAL_SECONDS = 30.0
LISTEN_CHECK_SECONDS = 30.0

# A server that disappears is noticed within 25 s.  On a Unix socket these have no effect.
_CONNECTION_DEFAULTS: dict[str, str | int] = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


class ResilientConnector(PsycopgConnector):
    """The connector of one engine worker.

    Besides repeating queries it handles what a lost connection can hide: a job that was assigned
    in a lost answer, a notification that arrived during a fetch, and the end of a job that was
    stored but not confirmed.
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
        """Whether Postgres answered the last query."""
        return self._failing_since is None

    def stop_retrying(self) -> None:
        """Let failing queries fail: from now on nothing is repeated."""
        self._retries_stopped.set()

    @asynccontextmanager
    async def open_pool(self) -> AsyncIterator[None]:
        """Open the connection pool for the block.  Postgres need not be reachable yet."""
        pool = AsyncConnectionPool(
            self._conninfo,
            min_size=1,
            max_size=4,
            open=False,
            configure=_configure,
            check=AsyncConnectionPool.check_connection,
            # The pool's own back-off starts with 1 s and doubles: with its defaults a worker would
            # stay disconnected for 10 to 18 s after an outage.  With these limits the pool gives up
            # early, and each new query makes it try at once.
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
        """Run a query; finishing a job that is already finished is no error."""
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
                # The first answer was lost, or another worker finished the job as abandoned.
                log.info(
                    "job %s was finished already",
                    arguments["job_id"],
                    extra={"event": "job.already_finished", "job_id": arguments["job_id"]},
                )

        await self._retry_until_answered(query, finish)
        self._held_job_ids.discard(arguments["job_id"])

    async def execute_query_one_async(
        self, query: LiteralString, **arguments: Any
    ) -> dict[str, Any]:
        """Run a query that returns one row."""
        query_once = super().execute_query_one_async
        if worker_query(query) is WorkerQuery.FETCH_JOB:
            return await self._fetch(query, **arguments)
        return await self._retry_until_answered(query, lambda: query_once(query, **arguments))

    async def execute_query_all_async(
        self, query: LiteralString, **arguments: Any
    ) -> list[dict[str, Any]]:
        """Run a query that returns any number of rows."""
        query_once = super().execute_query_all_async
        return await self._retry_until_answered(query, lambda: query_once(query, **arguments))

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Listen until cancelled, and reconnect whenever the connection is lost."""
        channel_names = list(channels)
        pauses = _BACKOFF.pauses()
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
                async with connection:
                    for channel in channel_names:
                        await connection.execute(SQL("LISTEN {}").format(Identifier(channel)))
                    pauses = _BACKOFF.pauses()
                    # Notifications from before were missed, so pretend that there is a new job.
                    self._notification_count += 1
                    await on_notification(
                        channel=channel_names[0], payload=statements.NEW_JOB_PAYLOAD
                    )
                    await self._listen(connection, on_notification)
            except (psycopg.Error, OSError) as error:
                pause = next(pauses)
                log.info(
                    "the listener lost its connection (%s), retry in %.1f s",
                    error,
                    pause,
                    extra={"event": "job_listener.lost", "retry_seconds": pause},
                )
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
                    # Any client can notify.  An exception would end the engine's listener for good.
                    log.warning(
                        "a notification on %s cannot be parsed",
                        notification.channel,
                        extra={"event": "notification.rejected", "channel": notification.channel},
                    )
            async with asyncio.timeout(QUERY_LIMIT_SECONDS):
                await connection.execute("SELECT 1")

    async def _fetch(
        self, query: LiteralString, *, worker_id: int, **arguments: Any
    ) -> dict[str, Any]:
        """Fetch a job; first one that was assigned to this worker in a lost answer, if any."""
        fetch_one, fetch_all = super().execute_query_one_async, super().execute_query_all_async

        async def query_once() -> dict[str, Any]:
            if asyncio.get_running_loop().time() < self._uncertain_until:
                undelivered = await fetch_all(
                    statements.UNDELIVERED_JOB, worker_id=worker_id, held=list(self._held_job_ids)
                )
                if undelivered:
                    job: dict[str, Any] = undelivered[0]
                    log.info(
                        "job %s had been fetched, the answer was lost; it is executed now",
                        job["id"],
                        extra={"event": "job.recovered", "job_id": job["id"]},
                    )
                    return job
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
            # The engine's worker ignores notifications that arrive during a fetch, so fetch again.
            if self._notification_count == count_before:
                return row

    async def _restore_registration(self, worker_id: int) -> None:
        log.warning(
            "worker %s had been deleted as stalled, it registers again",
            worker_id,
            extra={"event": "engine_worker.restored", "engine_worker_id": worker_id},
        )
        await super().execute_query_async(statements.RESTORE_WORKER, worker_id=worker_id)
        await super().execute_query_async(
            statements.RESTORE_JOBS, worker_id=worker_id, held=list(self._held_job_ids)
        )

    async def _retry_until_answered(
        self, query: LiteralString, query_once: Callable[[], Awaitable[Result]]
    ) -> Result:
        """Repeat a query of the engine's worker until Postgres answers; run others once."""
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
            log.warning(
                "postgres does not answer %s: %r; asking again",
                name,
                cause,
                extra={"event": "postgres.unreachable", "query": name},
            )

    def _log_recovery(self) -> None:
        if self._failing_since is not None:
            outage_seconds = asyncio.get_running_loop().time() - self._failing_since
            self._failing_since = None
            log.info(
                "postgres answers again, after %.1f s",
                outage_seconds,
                extra={"event": "postgres.recovered", "outage_seconds": round(outage_seconds, 1)},
            )


async def _configure(connection: psycopg.AsyncConnection) -> None:
    await connection.set_autocommit(True)
    await connection.execute(statements.SET_SEARCH_PATH)
