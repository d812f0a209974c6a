"""The way to the network of one attempt: its handover point and its proxy, from start to end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from core.agent.egress.hand_over import BadHandover, HandoverPoint
from core.agent.egress.proxy import EgressProxy
from core.agent.egress.resolve import Resolve, resolve_listed
from core.agent.egress.routes import model_endpoint
from core.agent.egress.upstream import NO_PARENTS, ParentProxies
from core.domain.reach.network import NetworkPolicy
from core.domain.runs.event import HostRefused

log = logging.getLogger(__name__)

# The namespace hands its socket over before the agent program starts.
_HANDOVER_LIMIT = timedelta(minutes=2)


@dataclass(frozen=True, kw_only=True)
class NetworkAccess:
    """What an agent may reach, and how the worker reaches it.

    Attributes:
        policy: The hosts that the agent may reach beside its model.
        parents: The proxies through which the worker itself reaches the internet.
        resolve: Finds the addresses of the listed hosts.
    """

    policy: NetworkPolicy = field(default_factory=NetworkPolicy)
    parents: ParentProxies = NO_PARENTS
    resolve: Resolve = field(default=resolve_listed, compare=False)


class EgressControl:
    """Serves one attempt that has a network namespace of its own."""

    def __init__(
        self,
        run_id: str,
        access: NetworkAccess,
        *,
        socket_path: Path,
        model_url: str | None,
        on_refused: Callable[[HostRefused], object],
    ) -> None:
        self._run_id = run_id
        self._point = HandoverPoint(socket_path)
        self._proxy = EgressProxy(
            run_id,
            access.policy,
            model=model_endpoint(model_url),
            on_refused=on_refused,
            resolve=access.resolve,
            parents=access.parents,
        )
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Wait for the namespace's socket, in the background, and serve it.

        Raises:
            OSError: If the handover point cannot be created.
        """
        self._point.open()
        self._task = asyncio.create_task(self._serve(), name=f"egress {self._run_id}")

    def tell_counts(self) -> None:
        """Report the final counts of refusals; call it once the agent has ended."""
        self._proxy.tell_counts()

    async def close(self) -> None:
        """End all connections; may be called without `open`."""
        self._point.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _serve(self) -> None:
        async with self._proxy:
            try:
                listener = await self._point.receive(_HANDOVER_LIMIT)
            except (BadHandover, TimeoutError) as error:
                # The agent cannot reach its model, and fails with a message of its own.
                log.warning(
                    "%s: its namespace did not hand over a socket: %s",
                    self._run_id,
                    str(error) or "nothing came",
                    extra={"event": "egress.not_opened", "run_id": self._run_id},
                )
                return
            self._proxy.serve(listener)
            # Until `close` cancels this task.
            await asyncio.get_running_loop().create_future()
