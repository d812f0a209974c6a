"""A worker's inbox: messages addressed to it, delivered to the attempts that it executes.

The rows of `worker_messages` are the truth.  A notification on the worker's own channel announces
new rows.  The worker's heartbeat checks for them too, so a lost notification costs only seconds.
A message is marked after it was delivered, so it can be delivered twice: every handler must be
idempotent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType

from core.domain.errors import Unavailable
from core.domain.fleet.worker_message import MessageOutcome, WorkerMessage, WorkerMessageKind
from core.runner.execution.attempt import Attempt
from core.runner.resilience import BoundedCalls
from core.runner.worker.lease import Lease
from core.services.context import ServiceContext
from core.store.database.listen import listen
from core.store.fleet import attempts, worker_messages
from core.waiting import Backoff, retry

log = logging.getLogger(__name__)

Handler = Callable[[Attempt, WorkerMessage], Awaitable[None]]

# A delivery that hangs on a dead connection is abandoned; the next one uses another connection.
_DELIVERY_LIMIT = timedelta(seconds=8)
# How often the listening connection is probed.  A dead one delays messages only until the next
# heartbeat, which checks the inbox too.
_PROBE_INTERVAL = timedelta(seconds=60)
_LISTEN_PAUSE_SECONDS = 1.0
_BACKOFF = Backoff(first=timedelta(seconds=0.2), longest=timedelta(seconds=2))


async def _kill(attempt: Attempt, message: WorkerMessage) -> None:
    attempt.stop.request_kill(is_superseded=message.is_superseded)


async def _force_kill(attempt: Attempt, message: WorkerMessage) -> None:
    attempt.stop.request_kill(force=True, is_superseded=message.is_superseded)


# The handler of each kind of message.
HANDLERS: Mapping[WorkerMessageKind, Handler] = MappingProxyType(
    {
        WorkerMessageKind.KILL: _kill,
        WorkerMessageKind.FORCE_KILL: _force_kill,
    }
)


@dataclass
class Inbox:
    """The inbox of one worker.

    Attributes:
        lease: Knows the attempts that the worker executes.  A new attempt wakes the inbox, since
            a message about it may have arrived before.
        handlers: The handlers by kind of message.
    """

    context: ServiceContext
    worker_id: str
    lease: Lease
    handlers: Mapping[WorkerMessageKind, Handler] = field(default_factory=lambda: HANDLERS)
    _calls: BoundedCalls = field(default_factory=BoundedCalls)

    async def run(self) -> None:
        """Deliver messages until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(), name="inbox listener")
            group.create_task(self._deliver_when_woken(), name="inbox")

    def wake(self) -> None:
        """Make `run` read the rows soon."""
        self.lease.inbox_check_needed.set()

    async def deliver(self) -> None:
        """Deliver all present messages once.

        Raises:
            Unavailable: If the database cannot be reached; unmarked messages are read again.
        """
        async with self.context.transaction() as session:
            messages = await worker_messages.unhandled(session, self.worker_id)
        if not messages:
            return
        outcomes: dict[int, MessageOutcome] = {}
        without_attempt: list[WorkerMessage] = []
        for message in messages:
            attempt = self.lease.find(message.run_id, message.attempt)
            if message.kind not in self.handlers:
                log.warning(
                    "message %s of kind %s is unknown here",
                    message.id,
                    message.kind,
                    extra=_log_fields("worker_message.rejected", message),
                )
                outcomes[message.id] = MessageOutcome.UNKNOWN
            elif attempt is None:
                without_attempt.append(message)
            elif await self._handle(attempt, message):
                outcomes[message.id] = MessageOutcome.HANDLED
        async with self.context.transaction() as session:
            for message in without_attempt:
                # An attempt that has begun in the database, but not here yet, gets it later.
                if not await attempts.is_open(
                    session, message.run_id, message.attempt, worker_id=self.worker_id
                ):
                    log.info(
                        "message %s came too late: its attempt has ended",
                        message.id,
                        extra=_log_fields("worker_message.expired", message),
                    )
                    outcomes[message.id] = MessageOutcome.IGNORED
            if outcomes:
                await worker_messages.mark_handled(session, outcomes, now=self.context.clock())

    async def _handle(self, attempt: Attempt, message: WorkerMessage) -> bool:
        """Deliver one message; return whether it worked.  Otherwise a later delivery retries it."""
        run_id = attempt.run.run_id
        log.info(
            "%s: message %s (%s)",
            run_id,
            message.id,
            message.kind,
            extra=_log_fields("worker_message.received", message, run_id=run_id),
        )
        try:
            await self.handlers[WorkerMessageKind(message.kind)](attempt, message)
        except Exception:
            # One failure must not prevent the delivery of other messages.
            log.exception(
                "%s: message %s not handled",
                run_id,
                message.id,
                extra=_log_fields("worker_message.failed", message, run_id=run_id),
            )
            return False
        return True

    async def _deliver_when_woken(self) -> None:
        while True:
            await self.lease.inbox_check_needed.wait()
            self.lease.inbox_check_needed.clear()
            try:
                # Right after an outage the pool can still contain dead connections.
                await retry(
                    self._deliver_in_time,
                    on=(Unavailable, TimeoutError),
                    backoff=_BACKOFF,
                    on_failure=self._log_unreachable,
                )
            except Exception:
                log.exception(
                    "inbox not read; the next heartbeat tries again",
                    extra={"event": "inbox.read_failed", "worker_id": self.worker_id},
                )

    async def _deliver_in_time(self) -> None:
        await self._calls.call(self.deliver(), limit=_DELIVERY_LIMIT, name="deliver")

    def _log_unreachable(self, _: Exception, pause_seconds: float) -> None:
        log.warning(
            "inbox not read, next try in %.1f s: the database is unreachable",
            pause_seconds,
            extra={
                "event": "inbox.read_failed",
                "worker_id": self.worker_id,
                "retry_seconds": pause_seconds,
            },
        )

    async def _listen(self) -> None:
        channel = worker_messages.channel_of(self.worker_id)
        while True:
            try:
                async with listen(
                    self.context.database.dsn, channel, poll=_PROBE_INTERVAL
                ) as notifications:
                    async for _ in notifications:
                        self.wake()
            except Exception:
                # Without notifications the heartbeat still checks the inbox.
                log.exception(
                    "the inbox cannot listen; it tries again",
                    extra={"event": "inbox.listen_failed", "worker_id": self.worker_id},
                )
            await asyncio.sleep(_LISTEN_PAUSE_SECONDS)


def _log_fields(
    event: str, message: WorkerMessage, *, run_id: str | None = None
) -> dict[str, object]:
    """The `extra` of a log call about a message."""
    return {
        "event": event,
        "message_id": message.id,
        "kind": message.kind,
        "worker_id": message.worker_id,
        "run_id": run_id,
        "run_uuid": message.run_id,
        "attempt": message.attempt,
    }
