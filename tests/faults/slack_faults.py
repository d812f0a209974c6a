"""Faults between Slack and the bots in both directions: failing calls and failing deliveries."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Awaitable, Callable
from typing import Any

from bot.sandbox.slack.inspector import Entry
from tests.faults.balancer import CUTS, Balancer
from tests.faults.fleet import Fleet
from tests.faults.injection import Injection, InjectionSkipped

_KIND_OF = {
    "/workflow": "slash_commands",
    "app_mention": "events_api",
    "message": "events_api",
    "block_actions": "interactive",
}
_METHODS = ("chat.postMessage", "chat.update", "*")
_SOCKET_CUTS = ("refresh", "abrupt", "refuse")
# Commands are typed every few seconds, and their results are drawn.
_DELIVERY_LIMIT_SECONDS = 10.0
_CALL_LIMIT_SECONDS = 20.0


def failing_calls(*kinds: str) -> Callable[[Injection], Awaitable[None]]:
    """Make the bots' next calls of a method fail in one of these ways."""

    async def fail(injection: Injection) -> None:
        first, second, third, fourth, *_ = injection.plan.random_values
        kind = kinds[int(fourth * len(kinds))]
        method = _METHODS[int(first * len(_METHODS))]
        times = 1 + int(second * 4)
        retry_after = 1 + int(third * 4)
        faults = injection.fleet.sandbox.faults
        began = time.time()
        faults.add(method, kind, times=times, retry_after=retry_after)
        await asyncio.sleep(injection.plan.seconds)
        # Faults of other injections come first; when fewer than these are left, one was used.
        await injection.wait_until(
            lambda: faults.remaining(method) < times,
            reason=f"{method} was not called in the meantime",
            within=_CALL_LIMIT_SECONDS,
        )
        injection.record(
            began, f"{times} calls of {method} meet {kind} (retry after {retry_after} s)"
        )

    return fail


async def cut_off(injection: Injection) -> None:
    """Cut Slack off from the bots: cut their sockets, or block deliveries."""
    if injection.fleet.balancer is not None:
        await _cut_balancer(injection, injection.fleet.balancer)
        return
    how = _SOCKET_CUTS[int(injection.plan.random_values[0] * len(_SOCKET_CUTS))]
    times = 1 + int(injection.plan.random_values[1] * 5)
    sockets = injection.fleet.sandbox.sockets
    await injection.wait_until(lambda: bool(sockets.connections), reason="no bot was connected")
    began = time.time()
    await injection.fleet.sandbox.disconnect(how, times=times)
    injection.record(began, f"sockets: {how}" + (f" {times} connects" if how == "refuse" else ""))
    await asyncio.sleep(injection.plan.seconds)


async def _cut_balancer(injection: Injection, balancer: Balancer) -> None:
    how = CUTS[int(injection.plan.random_values[0] * len(CUTS))]
    began, before = time.time(), balancer.refused
    balancer.cut(how)
    try:
        await asyncio.sleep(injection.plan.seconds)
        async with asyncio.timeout(_DELIVERY_LIMIT_SECONDS):
            await balancer.wait_for_refused(more_than=before)
    except TimeoutError:
        raise InjectionSkipped("there was no delivery while Slack was cut off") from None
    finally:
        balancer.restore(how)
    refused_count, seconds = balancer.refused - before, time.time() - began
    injection.record(
        began, f"Slack cut off ({how}) for {seconds:.1f} s, {refused_count} deliveries"
    )


async def redeliver(injection: Injection) -> None:
    """Repeat the latest deliveries several times, in another order."""
    await injection.wait_until(
        lambda: bool(_delivered(injection.fleet)), reason="nothing was delivered yet"
    )
    began = time.time()
    latest = _delivered(injection.fleet)[-6:]
    order = sorted(
        range(len(latest) * 2), key=lambda n: injection.plan.random_values[n % 6] * (n + 1) % 1
    )
    sent = []
    for index in order:
        entry = latest[index % len(latest)]
        kind = _KIND_OF[entry.name.split(".")[0]]
        sent.append(_redeliver_one(injection.fleet, kind, entry.name, entry.request))
    await asyncio.gather(*sent)
    injection.record(began, f"delivered again: {', '.join(entry.name for entry in latest)}")


def _delivered(fleet: Fleet) -> list[Entry]:
    return [
        entry
        for entry in fleet.sandbox.inspector.entries
        if entry.direction == "delivery" and entry.name.split(".")[0] in _KIND_OF
    ]


async def _redeliver_one(fleet: Fleet, kind: str, name: str, payload: dict[str, Any]) -> None:
    await fleet.sandbox.deliverer._attempt(
        kind, name, copy.deepcopy(payload), retry=1, reason="http_timeout", timeout=3
    )
