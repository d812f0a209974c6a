"""The faults: each one is applied to a running fleet, and reverted if it has a duration."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from tests.faults.injection import Injection, InjectionSkipped
from tests.faults.plan import AGENT_KINDS, Kind
from tests.faults.slack_faults import cut_off, failing_calls, redeliver


async def inject(injection: Injection) -> None:
    """Wait for the fault's moment, apply it, and revert it.

    Raises:
        InjectionSkipped: If its victim did not exist, or this machine does not allow it.
    """
    if injection.plan.fault not in AGENT_KINDS:
        await asyncio.sleep(injection.plan.delay)
    await _FAULTS[injection.plan.fault](injection)


async def _worker_killed(injection: Injection) -> None:
    await injection.kill(injection.worker, signal.SIGKILL, downtime=injection.plan.seconds)


async def _worker_frozen(injection: Injection) -> None:
    await injection.freeze(await injection.wait_for_pid(injection.worker), injection.worker.name)


async def _worker_restarted(injection: Injection) -> None:
    await injection.kill(injection.worker, signal.SIGTERM, downtime=injection.plan.seconds)


async def _bot_killed(injection: Injection) -> None:
    await injection.kill(injection.bot, signal.SIGKILL, downtime=injection.plan.seconds)


async def _bot_frozen(injection: Injection) -> None:
    await injection.freeze(await injection.wait_for_pid(injection.bot), injection.bot.name)


async def _bot_restarted(injection: Injection) -> None:
    await injection.kill(injection.bot, signal.SIGTERM, downtime=injection.plan.seconds)


async def _agent_killed(injection: Injection) -> None:
    await injection.kill_agent()


async def _agent_frozen(injection: Injection) -> None:
    one = await injection.agent()
    await injection.freeze(one.pid, "the agent", one.run_id)


async def _rolling(injection: Injection) -> None:
    """Restart all programs one after another, except those that another fault stopped."""
    restarted = 0
    for program in injection.fleet.programs:
        try:
            await injection.kill(program, signal.SIGTERM, downtime=0)
        except InjectionSkipped:
            continue
        restarted += 1
        await program.wait_until_ready()
    if restarted < 2:
        raise InjectionSkipped("most programs were down")


async def _postgres_fast(injection: Injection) -> None:
    await _postgres(injection, signal.SIGINT, 0.0)


async def _postgres_immediate(injection: Injection) -> None:
    await _postgres(injection, signal.SIGQUIT, 0.0)


async def _postgres_outage(injection: Injection) -> None:
    how = signal.SIGINT if injection.plan.random_values[0] < 0.5 else signal.SIGQUIT
    await _postgres(injection, how, injection.plan.seconds)


async def _postgres(injection: Injection, how: signal.Signals, seconds: float) -> None:
    began = time.time()
    await injection.fleet.postgres.fail(how, seconds=seconds)
    injection.record(began, f"Postgres stopped by {how.name}, down {seconds:.1f} s")


async def _disk_full(injection: Injection) -> None:
    home = injection.worker.home
    if home not in injection.fleet.small_disk_homes:
        raise InjectionSkipped("mounting a small disk needs root")
    await injection.wait_for_pid(injection.worker)
    began = time.time()
    # A file of its own: another injection may have filled the disk, and removes only its own file.
    ballast = home / "workspaces" / f".ballast-{injection.plan.number}"
    try:
        written = await asyncio.to_thread(_fill, ballast)
        await asyncio.sleep(injection.plan.seconds)
    finally:
        await asyncio.to_thread(ballast.unlink, missing_ok=True)
    if not written:
        raise InjectionSkipped("the disk was already full")
    injection.record(
        began, f"{injection.worker.name}'s workspaces full ({written >> 20} MiB of ballast)"
    )


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
        Kind.DELIVERIES: redeliver,
        Kind.DISK_FULL: _disk_full,
    }
)
