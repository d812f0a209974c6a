"""Getting what happened to the app: once for interactions, with retries for events."""

import asyncio
import copy
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bot.sandbox.slack.delivery import events
from bot.sandbox.slack.people import BOT_USER_ID, Channel
from bot.sandbox.slack.state import Document, Workspace, new_id

log = logging.getLogger(__name__)

# After a failed first attempt: at once, after a minute, after five.
RETRY_SECONDS = (0.0, 60.0, 300.0)


@dataclass(frozen=True, kw_only=True)
class DeliveryResult:
    """What became of one attempt to deliver.

    Attributes:
        error: None when it was acknowledged in time; else "operation_timeout", "http_error"
            (no 200), "not_connected", "connection_failed" (it ended before the answer) or
            "connection_lost" (so did a socket, and what it carried may take the next).
        answer: What the app put into its acknowledgement.
        status: The HTTP status; 200 over Socket Mode.
        may_retry: False after `X-Slack-No-Retry`.
    """

    error: str | None
    ms: float
    answer: Document | None = None
    status: int = 200
    can_retry: bool = True


class Transport(Protocol):
    """A way to the app."""

    async def attempt(
        self, kind: str, payload: Document, *, retry: int, reason: str, timeout: float
    ) -> DeliveryResult:
        """Deliver once and wait for the acknowledgement.

        Args:
            kind: "slash_commands", "interactive" or "events_api".
            payload: The body.
            retry: How often it was tried before.
            reason: Why the last attempt failed; empty at first.
            timeout: Seconds until a missing acknowledgement counts as failed.
        """
        ...


_REASONS = {
    "operation_timeout": "http_timeout",
    "not_connected": "connection_failed",
    "connection_failed": "connection_failed",
    "connection_lost": "connection_failed",
    "http_error": "http_error",
}


class Deliverer:
    """Sends everything the app subscribed to.

    Attributes:
        ack_timeout: Seconds an app has to acknowledge; Slack's 3.
        attempts: How many attempts were made.
        failures: How many of them were not acknowledged in time with a 200.
    """

    def __init__(
        self, workspace: Workspace, transport: Callable[[], Transport], *, ack_timeout: float
    ) -> None:
        self.workspace = workspace
        self.ack_timeout = ack_timeout
        self.attempts = 0
        self.failures = 0
        self._transport = transport
        self._tasks: set[asyncio.Task[None]] = set()

    async def interact(self, kind: str, name: str, payload: Document) -> DeliveryResult:
        """Deliver a command or an interaction: one chance, within the time of one.

        What was lost with its connection is sent again over the next.
        """
        if kind == "interactive" and not self.workspace.manifest.is_interactive:
            self.workspace.inspector.add_problem(
                "no_interactivity", name, "the manifest has it off"
            )
            return DeliveryResult(error="http_error", ms=0, status=0)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.ack_timeout
        retry, reason = 0, ""
        while True:
            remaining = max(deadline - loop.time(), 0.0)
            outcome = await self._attempt(
                kind, name, payload, retry=retry, reason=reason, timeout=remaining
            )
            if outcome.error != "connection_lost":
                break
            retry, reason = retry + 1, _REASONS[outcome.error]
        if outcome.error is not None:
            self.workspace.inspector.add_problem("operation_timeout", name, _failure_text(outcome))
        return outcome

    def emit(self, event: Document, channel: Channel | None) -> "asyncio.Future[None] | None":
        """Send an event, if the app subscribed to it and may see it, in the background.

        Returns:
            Done when the first attempt is over; None if the event is not for the app.
        """
        if events.subscription_of(event, channel) not in self.workspace.manifest.events:
            return None
        if channel is not None and BOT_USER_ID not in channel.members:
            return None
        body = events.event_callback(
            copy.deepcopy(event),
            event_id=new_id("Ev"),
            event_time=int(self.workspace.clock.now()),
            channel=channel,
        )
        first_attempt: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(
            self._send(body, first_attempt), name=f"deliver {body['event_id']}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return first_attempt

    async def _send(self, body: Document, first_attempt: "asyncio.Future[None]") -> None:
        name = _name_of(body["event"])
        reason = ""
        try:
            for retry, wait in enumerate((None, *RETRY_SECONDS)):
                if wait:
                    await self.workspace.clock.sleep(wait)
                outcome = await self._attempt(
                    "events_api", name, body, retry=retry, reason=reason, timeout=self.ack_timeout
                )
                if not first_attempt.done():
                    first_attempt.set_result(None)
                if outcome.error is None:
                    return
                if outcome.error in ("operation_timeout", "http_error"):
                    self.workspace.inspector.add_problem("late_ack", name, _failure_text(outcome))
                if not outcome.can_retry:
                    return
                reason = _REASONS[outcome.error]
        except Exception:
            log.exception("the sandbox could not deliver an event")
            self.workspace.inspector.add_problem("sandbox", name, "the delivery itself failed")
        finally:
            if not first_attempt.done():
                first_attempt.set_result(None)

    async def _attempt(
        self, kind: str, name: str, payload: Document, *, retry: int, reason: str, timeout: float
    ) -> DeliveryResult:
        self.attempts += 1
        outcome = await self._transport().attempt(
            kind, payload, retry=retry, reason=reason, timeout=timeout
        )
        if outcome.error is not None:
            self.failures += 1
        self.workspace.inspector.log(
            "delivery",
            f"{name} (retry {retry})" if retry else name,
            status=outcome.status,
            error=outcome.error,
            ms=outcome.ms,
            request=payload,
            response=outcome.answer,
        )
        return outcome

    async def wait_until_idle(self, *, timeout: float) -> None:
        """Wait until no event is on its way, retries that wait for their time included."""
        async with asyncio.timeout(timeout):
            while self._tasks:
                await asyncio.wait(self._tasks)

    async def aclose(self) -> None:
        """Drop what is on its way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _name_of(event: Document) -> str:
    subtype = event.get("subtype")
    return f"{event['type']}.{subtype}" if subtype else str(event["type"])


def _failure_text(outcome: DeliveryResult) -> str:
    return f"{outcome.error} after {outcome.ms:.0f} ms (status {outcome.status})"


def as_json(value: Document) -> str:
    """JSON as Slack writes it: compact."""
    return json.dumps(value, separators=(",", ":"))
