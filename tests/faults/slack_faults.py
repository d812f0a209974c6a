"""Faults between Slack and the bots, both ways: calls that fail, and deliveries that do."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Awaitable, Callable
from typing import Any

from bot.sandbox.slack.inspector import Entry
from tests.faults.balancer import CUTS, Balancer
from tests.faults.fleet import Fleet
from tests.faults.injection import Injection, NotDone

_KIND_OF = {
    "/workflow": "slash_commands",
    "app_mention": "events_api",
    "message": "events_api",
    "block_actions": "interactive",
}
_METHODS = ("chat.postMessage", "chat.update", "*")
_SOCKET_CUTS = ("refresh", "abrupt", "refuse")
# Somebody types a command every few seconds, and what comes of it is drawn.
_MET_SECONDS = 10.0
_CALLED_SECONDS = 20.0


def failing_calls(*kinds: str) -> Callable[[Injection], Awaitable[None]]:
    """The bots' next calls of a method fail, in one of these ways."""

    async def fail(the: Injection) -> None:
        first, second, third, fourth, *_ = the.plan.draw
        kind = kinds[int(fourth * len(kinds))]
        method = _METHODS[int(first * len(_METHODS))]
        times = 1 + int(second * 4)
        retry_after = 1 + int(third * 4)
        faults = the.fleet.sandbox.faults
        began = time.time()
        faults.add(method, kind, times=times, retry_after=retry_after)
        await asyncio.sleep(the.plan.seconds)
        # Those of others come first; one of these was met when fewer are left than these.
        await the.until(
            lambda: faults.left(method) < times,
            otherwise=f"nobody called {method} meanwhile",
            within=_CALLED_SECONDS,
        )
        the.note(began, f"{times} calls of {method} meet {kind} (retry after {retry_after} s)")

    return fail


async def cut_off(the: Injection) -> None:
    """Slack cannot reach the bots: their sockets are cut, or deliveries do not come through."""
    if the.fleet.balancer is not None:
        await _cut_balancer(the, the.fleet.balancer)
        return
    how = _SOCKET_CUTS[int(the.plan.draw[0] * len(_SOCKET_CUTS))]
    times = 1 + int(the.plan.draw[1] * 5)
    sockets = the.fleet.sandbox.sockets
    await the.until(lambda: bool(sockets.connections), otherwise="no bot was connected")
    began = time.time()
    await the.fleet.sandbox.disconnect(how, times=times)
    the.note(began, f"sockets: {how}" + (f" {times} connects" if how == "refuse" else ""))
    await asyncio.sleep(the.plan.seconds)


async def _cut_balancer(the: Injection, balancer: Balancer) -> None:
    how = CUTS[int(the.plan.draw[0] * len(CUTS))]
    began, before = time.time(), balancer.refused
    balancer.cut(how)
    try:
        await asyncio.sleep(the.plan.seconds)
        async with asyncio.timeout(_MET_SECONDS):
            await balancer.has_refused(more_than=before)
    except TimeoutError:
        raise NotDone("nothing was to be delivered while Slack was cut off") from None
    finally:
        balancer.mend(how)
    met, seconds = balancer.refused - before, time.time() - began
    the.note(began, f"Slack cut off ({how}) for {seconds:.1f} s, {met} deliveries")


async def deliver_again(the: Injection) -> None:
    """Send again what was delivered lately, several times, in another order."""
    await the.until(lambda: bool(_delivered(the.fleet)), otherwise="nothing was delivered yet")
    began = time.time()
    latest = _delivered(the.fleet)[-6:]
    order = sorted(range(len(latest) * 2), key=lambda n: the.plan.draw[n % 6] * (n + 1) % 1)
    sent = []
    for place in order:
        entry = latest[place % len(latest)]
        kind = _KIND_OF[entry.name.split(".")[0]]
        sent.append(_again(the.fleet, kind, entry.name, entry.request))
    await asyncio.gather(*sent)
    the.note(began, f"delivered again: {', '.join(entry.name for entry in latest)}")


def _delivered(fleet: Fleet) -> list[Entry]:
    return [
        entry
        for entry in fleet.sandbox.inspector.entries
        if entry.direction == "delivery" and entry.name.split(".")[0] in _KIND_OF
    ]


async def _again(fleet: Fleet, kind: str, name: str, payload: dict[str, Any]) -> None:
    await fleet.sandbox.deliverer._attempt(
        kind, name, copy.deepcopy(payload), retry=1, reason="http_timeout", timeout=3
    )
