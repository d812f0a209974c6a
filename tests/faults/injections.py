"""The faults themselves: each one is done to a running fleet, and undone if it has an end."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from tests.faults.injection import Injection, NotDone
from tests.faults.plan import AGENT_KINDS, Kind
from tests.faults.slack_faults import cut_off, deliver_again, failing_calls


async def inject(the: Injection) -> None:
    """Wait for the fault's moment, do it, and undo it.

    Raises:
        NotDone: If there was nothing to do it to, or this machine does not let it be done.
    """
    if the.plan.fault not in AGENT_KINDS:
        await asyncio.sleep(the.plan.delay)
    await _FAULTS[the.plan.fault](the)


async def _worker_killed(the: Injection) -> None:
    await the.kill(the.worker, signal.SIGKILL, away=the.plan.seconds)


async def _worker_frozen(the: Injection) -> None:
    await the.freeze(await the.living(the.worker), the.worker.name)


async def _worker_restarted(the: Injection) -> None:
    await the.kill(the.worker, signal.SIGTERM, away=the.plan.seconds)


async def _bot_killed(the: Injection) -> None:
    await the.kill(the.bot, signal.SIGKILL, away=the.plan.seconds)


async def _bot_frozen(the: Injection) -> None:
    await the.freeze(await the.living(the.bot), the.bot.name)


async def _bot_restarted(the: Injection) -> None:
    await the.kill(the.bot, signal.SIGTERM, away=the.plan.seconds)


async def _agent_killed(the: Injection) -> None:
    await the.kill_agent()


async def _agent_frozen(the: Injection) -> None:
    one = await the.agent()
    await the.freeze(one.pid, "the agent", one.run_id)


async def _rolling(the: Injection) -> None:
    """All programs one after another; who is kept away by another fault is passed over."""
    restarted = 0
    for program in the.fleet.programs:
        try:
            await the.kill(program, signal.SIGTERM, away=0)
        except NotDone:
            continue
        restarted += 1
        await program.ready()
    if restarted < 2:
        raise NotDone("hardly a program was up")


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


async def _disk_full(the: Injection) -> None:
    home = the.worker.home
    if home not in the.fleet.tmpfs:
        raise NotDone("a small disk cannot be mounted here (needs root)")
    await the.living(the.worker)
    began = time.time()
    # Of its own: the disk may be full by another injection, which takes only its own away.
    ballast = home / "workspaces" / f".ballast-{the.plan.number}"
    try:
        written = await asyncio.to_thread(_fill, ballast)
        await asyncio.sleep(the.plan.seconds)
    finally:
        await asyncio.to_thread(ballast.unlink, missing_ok=True)
    if not written:
        raise NotDone("the disk was full already")
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
        Kind.SLACK_429: failing_calls("429"),
        Kind.SLACK_5XX: failing_calls("500", "503", "page"),
        Kind.SLACK_TIMEOUT: failing_calls("timeout", "reset"),
        Kind.SLACK_LOST_ANSWER: failing_calls("lost_answer", "cut_body", "late"),
        Kind.SLACK_CUT: cut_off,
        Kind.DELIVERIES: deliver_again,
        Kind.DISK_FULL: _disk_full,
    }
)
