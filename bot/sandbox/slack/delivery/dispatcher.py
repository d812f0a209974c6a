"""Delivery to the app: interactions once, events with retries."""

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

# Slack retries at once, after a minute, and after five minutes.
RETRY_SECONDS = (0.0, 60.0, 300.0)


@dataclass(frozen=True, kw_only=True)
class DeliveryResult:
    """The result of one attempt to deliver.

    Attributes:
        error: None if it was acknowledged in time; otherwise "operation_timeout", "http_error"
            (no 200), "not_connected", "connection_failed" (it ended before the answer) or
            "connection_lost" (a socket ended; the envelope may be sent over the next one).
        answer: The app's payload in its acknowledgement.
        status: The HTTP status; 200 over Socket Mode.
        can_retry: False if the app sent `X-Slack-No-Retry`.
    """

    error: str | None
    ms: float
    answer: Document | None = None
    status: int = 200
    can_retry: bool = True


class Transport(Protocol):
    """A transport to the app."""

    async def attempt(
        self, kind: str, payload: Document, *, retry: int, reason: str, timeout: float
    ) -> DeliveryResult:
        """Deliver once and wait for the acknowledgement.

        Args:
            kind: "slash_commands", "interactive" or "events_api".
            payload: The body.
            retry: Number of earlier attempts.
            reason: Why the last attempt failed; empty for the first.
            timeout: Seconds after which a missing acknowledgement is a failure.
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
    """Delivers every event that the app subscribed to, and every interaction.

    Attributes:
        ack_timeout: Seconds in which the app must acknowledge; 3 in Slack.
        attempts: Number of attempts.
        failures: Number of attempts without a 200 in time.
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
        """Deliver a command or an interaction once, within the time of one attempt.

        If its connection is lost, it is sent again over the next one.
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
        """Send an event in the background, if the app subscribed to it and may see it.

        Returns:
            A future that is done after the first attempt; None if the app does not get the event.
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
        if self.workspace.organisation is not None:
            payload = self.workspace.organisation.delivery(kind, payload)
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
        """Wait until no event is being delivered and no retry is pending."""
        async with asyncio.timeout(timeout):
            while self._tasks:
                await asyncio.wait(self._tasks)

    async def aclose(self) -> None:
        """Cancel all pending deliveries."""
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
    """Compact JSON, as Slack writes it."""
    return json.dumps(value, separators=(",", ":"))
