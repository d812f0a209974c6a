"""The forward proxy of one attempt: the only way out of its network namespace."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from types import TracebackType
from typing import Any, Self

from core.agent.egress.client_connection import ClientService
from core.agent.egress.http_peer import CHUNK_BYTES
from core.agent.egress.refusals import Refusals
from core.agent.egress.resolve import Resolve, resolve_listed
from core.agent.egress.routes import Refused, Routes
from core.agent.egress.targets import Endpoint
from core.agent.egress.upstream import NO_PARENTS, ParentProxies
from core.domain.reach.network import NetworkPolicy
from core.domain.runs.event import HostRefused

log = logging.getLogger(__name__)

# Each takes two descriptors of the worker's; further connections wait in the listener's queue.
MAX_CONNECTIONS = 128
# After an accept that failed, for example because the worker has no descriptor left.
_ACCEPT_PAUSE_SECONDS = 0.2


class EgressProxy:
    """Lets the programs of one attempt reach its model and the hosts of its policy.

    Leaving the block ends all connections.

    Args:
        run_id: Of the attempt, for the log.
        policy: What the attempt may reach.
        model: The endpoint of the model, see `routes.model_endpoint`.
        on_refused: Told of each refused host at once, and of the counts by `tell_counts`.
        resolve: Finds the addresses of listed hosts; what it returns is trusted.
        parents: The proxies through which the worker itself reaches the internet.
        max_connections: How many are served at a time.
    """

    def __init__(
        self,
        run_id: str,
        policy: NetworkPolicy,
        *,
        model: Endpoint,
        on_refused: Callable[[HostRefused], object],
        resolve: Resolve = resolve_listed,
        parents: ParentProxies = NO_PARENTS,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._run_id = run_id
        self._refusals = Refusals(on_refused)
        self._service = ClientService(
            routes=Routes(policy=policy, model=model, resolve=resolve, parents=parents),
            on_refused=self._handle_refusal,
        )
        self._free = asyncio.Semaphore(max_connections)
        self._listeners: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        # A connection that is not accepted any more is reset by this, and does not wait.
        for listener in self._listeners:
            listener.close()
        if tasks:
            await asyncio.wait(tasks)

    def tell_counts(self) -> None:
        """Report the final counts of refusals, once the programs of the attempt have ended."""
        self._refusals.tell_counts()

    def serve(self, listener: socket.socket) -> None:
        """Accept the connections of this listening socket until the block ends, and own it."""
        listener.setblocking(False)
        self._listeners.append(listener)
        self._start(self._accept_all(listener), name=f"accept egress {self._run_id}")

    async def _accept_all(self, listener: socket.socket) -> None:
        while True:
            await self._free.acquire()
            try:
                connection, _ = await asyncio.get_running_loop().sock_accept(listener)
            except OSError as error:
                self._free.release()
                log.warning(
                    "%s: a connection was not accepted: %s",
                    self._run_id,
                    error,
                    extra={"event": "connection.not_accepted", "run_id": self._run_id},
                )
                await asyncio.sleep(_ACCEPT_PAUSE_SECONDS)
            except BaseException:
                self._free.release()
                raise
            else:
                # A callback, because a task that is cancelled early does not even begin.
                self._start(
                    self._serve_connection(connection), name=f"egress {self._run_id}"
                ).add_done_callback(partial(self._release, connection))

    async def _serve_connection(self, connection: socket.socket) -> None:
        try:
            reader, writer = await asyncio.open_connection(sock=connection, limit=CHUNK_BYTES)
            await self._service.serve(reader, writer)
        except Exception:
            log.exception(
                "%s: a connection failed",
                self._run_id,
                extra={"event": "connection.crashed", "run_id": self._run_id},
            )

    def _release(self, connection: socket.socket, _: asyncio.Task[None]) -> None:
        connection.close()
        self._free.release()

    def _start(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _handle_refusal(self, refused: Refused) -> None:
        if self._refusals.add(refused):
            log.info(
                "%s may not reach %s",
                self._run_id,
                refused.endpoint,
                extra={"event": "host.refused", "run_id": self._run_id},
            )
