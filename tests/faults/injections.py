"""The faults themselves: each one is done to a running fleet, and undone if it has an end."""

from __future__ import annotations

import asyncio
import copy
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.faults.fleet import Fleet
from tests.faults.plan import AGENT_KINDS, Kind, Plan
from tests.faults.supervised import Supervised

_AGENT_LIMIT_SECONDS = 25.0
_DELIVERY_KINDS = {
    "/workflow": "slash_commands",
    "app_mention": "events_api",
    "message": "events_api",
    "block_actions": "interactive",
}
_SLACK_METHODS = ("chat.postMessage", "chat.update", "*")


class NotPermitted(Exception):
    """This machine or user cannot be given that fault."""


@dataclass(frozen=True)
class Injection:
    """One fault on its way.

    Attributes:
        runs: Tells the runs that the injection's own work has started so far, by id.
    """

    fleet: Fleet
    plan: Plan
    runs: Callable[[], list[str]]

    async def do(self) -> None:
        """Wait for its moment, do it, and undo it.

        Raises:
            NotPermitted: If this machine does not let it be done.
        """
        if self.plan.fault not in AGENT_KINDS:
            await asyncio.sleep(self.plan.delay)
        await _FAULTS[self.plan.fault](self)

    @property
    def worker(self) -> Supervised:
        """The worker it is about."""
        return self.fleet.workers[self.plan.victim]

    @property
    def bot(self) -> Supervised:
        """The bot it is about."""
        return self.fleet.bots[self.plan.victim]

    def note(self, began: float, what: str, *runs: str) -> None:
        """Write it down."""
        self.fleet.note(began, self.plan.number, what, *runs)

    async def kill(self, program: Supervised, number: signal.Signals, *, away: float) -> None:
        """End a process; the supervisor starts it again after `away` seconds."""
        began = time.time()
        program.restart_after = away
        pid = program.send(number)
        if pid is not None:
            await program.gone(pid)
        self.note(began, f"{number.name} to {program.name} [{pid}], away {away:.1f} s")

    async def freeze(self, pid: int, who: str, *runs: str) -> None:
        """Stop a process, and let it go on."""
        began = time.time()
        try:
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(self.plan.seconds)
        except ProcessLookupError:
            return
        finally:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                who += " (ended meanwhile)"
            self.note(began, f"froze {who} [{pid}] for {self.plan.seconds:.1f} s", *runs)

    async def agent(self) -> tuple[int, str] | None:
        """A living agent of the injection's own work, its pid and run."""
        deadline = time.monotonic() + _AGENT_LIMIT_SECONDS
        while time.monotonic() < deadline:
            mine = set(self.runs())
            for one in await self.fleet.watch.everybody():
                if one.is_agent and one.run_id in mine:
                    await asyncio.sleep(self.plan.delay)
                    return one.pid, one.run_id
            await asyncio.sleep(0.1)
        return None


async def _worker_killed(the: Injection) -> None:
    await the.kill(the.worker, signal.SIGKILL, away=the.plan.seconds)


async def _worker_frozen(the: Injection) -> None:
    if (pid := the.worker.pid) is not None:
        await the.freeze(pid, the.worker.name)


async def _worker_restarted(the: Injection) -> None:
    await the.kill(the.worker, signal.SIGTERM, away=the.plan.seconds)


async def _bot_killed(the: Injection) -> None:
    await the.kill(the.bot, signal.SIGKILL, away=the.plan.seconds)


async def _bot_frozen(the: Injection) -> None:
    if (pid := the.bot.pid) is not None:
        await the.freeze(pid, the.bot.name)


async def _bot_restarted(the: Injection) -> None:
    await the.kill(the.bot, signal.SIGTERM, away=the.plan.seconds)


async def _agent_killed(the: Injection) -> None:
    began = time.time()
    if (found := await the.agent()) is None:
        return
    pid, run_id = found
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    the.note(began, f"SIGKILL to the agent [{pid}]", run_id)


async def _agent_frozen(the: Injection) -> None:
    if (found := await the.agent()) is not None:
        await the.freeze(found[0], "the agent", found[1])


async def _rolling(the: Injection) -> None:
    for program in the.fleet.programs:
        await the.kill(program, signal.SIGTERM, away=0)
        await program.ready()


async def _postgres_fast(the: Injection) -> None:
    await _postgres(the, signal.SIGINT, 0.0)


async def _postgres_immediate(the: Injection) -> None:
    await _postgres(the, signal.SIGQUIT, 0.0)


async def _postgres_outage(the: Injection) -> None:
    how = signal.SIGINT if the.plan.draw[0] < 0.5 else signal.SIGQUIT
    await _postgres(the, how, the.plan.seconds)


async def _postgres(the: Injection, how: signal.Signals, seconds: float) -> None:
    began = time.time()
    await the.fleet.postgres.fail(how, seconds=seconds)
    the.note(began, f"Postgres stopped by {how.name}, away {seconds:.1f} s")


def _slack(*kinds: str) -> Callable[[Injection], Awaitable[None]]:
    async def fail(the: Injection) -> None:
        first, second, third, fourth, *_ = the.plan.draw
        kind = kinds[int(fourth * len(kinds))]
        method = _SLACK_METHODS[int(first * len(_SLACK_METHODS))]
        times = 1 + int(second * 4)
        retry_after = 1 + int(third * 4)
        began = time.time()
        the.fleet.sandbox.faults.add(method, kind, times=times, retry_after=retry_after)
        the.note(began, f"{times} calls of {method} meet {kind} (retry after {retry_after} s)")
        await asyncio.sleep(the.plan.seconds)

    return fail


async def _socket(the: Injection) -> None:
    began = time.time()
    how = ("refresh", "abrupt", "refuse")[int(the.plan.draw[0] * 3)]
    times = 1 + int(the.plan.draw[1] * 5)
    if the.fleet.transport == "http":
        # There is no socket to cut: the load balancer leads to a bot that is not there.
        return await the.kill(the.bot, signal.SIGKILL, away=the.plan.seconds)
    await the.fleet.sandbox.disconnect(how, times=times)
    the.note(began, f"sockets: {how}" + (f" {times} connects" if how == "refuse" else ""))
    await asyncio.sleep(the.plan.seconds)
    return None


async def _deliveries(the: Injection) -> None:
    """Send again what was delivered lately, several times, in another order."""
    began = time.time()
    latest = [
        entry
        for entry in the.fleet.sandbox.inspector.entries
        if entry.direction == "delivery" and entry.name.split(".")[0] in _DELIVERY_KINDS
    ][-6:]
    order = sorted(range(len(latest) * 2), key=lambda n: the.plan.draw[n % 6] * (n + 1) % 1)
    sent = []
    for place in order:
        entry = latest[place % len(latest)]
        kind = _DELIVERY_KINDS[entry.name.split(".")[0]]
        sent.append(_again(the.fleet, kind, entry.name, entry.request))
    await asyncio.gather(*sent)
    the.note(began, f"delivered again: {', '.join(entry.name for entry in latest)}")


async def _again(fleet: Fleet, kind: str, name: str, payload: dict[str, Any]) -> None:
    await fleet.sandbox.deliverer._attempt(
        kind, name, copy.deepcopy(payload), retry=1, reason="http_timeout", timeout=3
    )


async def _disk_full(the: Injection) -> None:
    home = the.worker.home
    if home not in the.fleet.tmpfs:
        raise NotPermitted("a small disk cannot be mounted here (needs root)")
    began = time.time()
    ballast = home / "workspaces" / ".ballast"
    try:
        written = await asyncio.to_thread(_fill, ballast)
        await asyncio.sleep(the.plan.seconds)
    finally:
        await asyncio.to_thread(ballast.unlink, missing_ok=True)
    the.note(began, f"{the.worker.name}'s workspaces full ({written >> 20} MiB of ballast)")


def _fill(path: Path) -> int:
    written = 0
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    written += file.write(b"\0" * size)
            except OSError:
                continue
    return written


_FAULTS: Mapping[Kind, Callable[[Injection], Awaitable[None]]] = MappingProxyType(
    {
        Kind.WORKER_KILLED: _worker_killed,
        Kind.WORKER_GONE: _worker_killed,
        Kind.WORKER_FROZEN: _worker_frozen,
        Kind.WORKER_RESTARTED: _worker_restarted,
        Kind.BOT_KILLED: _bot_killed,
        Kind.BOT_FROZEN: _bot_frozen,
        Kind.BOT_RESTARTED: _bot_restarted,
        Kind.AGENT_KILLED: _agent_killed,
        Kind.AGENT_FROZEN: _agent_frozen,
        Kind.ROLLING: _rolling,
        Kind.POSTGRES_FAST: _postgres_fast,
        Kind.POSTGRES_IMMEDIATE: _postgres_immediate,
        Kind.POSTGRES_OUTAGE: _postgres_outage,
        Kind.SLACK_429: _slack("429"),
        Kind.SLACK_5XX: _slack("500", "503", "page"),
        Kind.SLACK_TIMEOUT: _slack("timeout", "reset"),
        Kind.SLACK_LOST_ANSWER: _slack("lost_answer", "cut_body", "late"),
        Kind.SLACK_SOCKET: _socket,
        Kind.DELIVERIES: _deliveries,
        Kind.DISK_FULL: _disk_full,
    }
)
