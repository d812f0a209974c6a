"""One fault in progress, and its victim: without a victim the injection is skipped."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.fleet import Fleet
from tests.faults.plan import Plan
from tests.faults.process_watch import MarkedProcess
from tests.faults.supervised import SupervisedProgram

# A program that another fault ended is started again within a second or two, except those that
# must stay down.
_VICTIM_SECONDS = 5.0
# Until the first agent of the injection's own work starts, including all other delays.
_AGENT_SECONDS = 25.0
# A program that is asked to end may be frozen by another fault, and ends late.
_END_LIMIT_SECONDS = 90.0
_POLL_SECONDS = 0.1


class InjectionSkipped(Exception):
    """The fault did not happen: it had no victim, or is not allowed here."""


@dataclass(frozen=True)
class Injection:
    """One fault in progress.

    Attributes:
        runs: Returns the ids of the runs that the injection's own work has started so far.
        is_over: Returns whether that work has ended.
    """

    fleet: Fleet
    plan: Plan
    runs: Callable[[], list[str]]
    is_over: Callable[[], bool]

    @property
    def worker(self) -> SupervisedProgram:
        """The worker it hits."""
        return self.fleet.workers[self.plan.victim]

    @property
    def bot(self) -> SupervisedProgram:
        """The bot it hits."""
        return self.fleet.bots[self.plan.victim]

    def record(self, began: float, what: str, *runs: str) -> None:
        """Record the fault."""
        self.fleet.record(began, self.plan.number, what, *runs)

    async def wait_until(
        self,
        predicate: Callable[[], bool],
        *,
        reason: str,
        within: float = _VICTIM_SECONDS,
    ) -> None:
        """Wait for a short time for the fault's victim.

        Raises:
            InjectionSkipped: If it does not appear; `reason` says why.
        """
        deadline = time.monotonic() + within
        while not predicate():
            if time.monotonic() > deadline:
                raise InjectionSkipped(reason)
            await asyncio.sleep(_POLL_SECONDS)

    async def wait_for_pid(self, program: SupervisedProgram) -> int:
        """The pid of a program; waits for a short time if it is down.

        Raises:
            InjectionSkipped: If it stays down.
        """
        await self.wait_until(lambda: program.pid is not None, reason=f"{program.name} was down")
        pid = program.pid
        if pid is None:
            raise InjectionSkipped(f"{program.name} was down")
        return pid

    async def kill(
        self, program: SupervisedProgram, number: signal.Signals, *, downtime: float
    ) -> None:
        """End a process; the supervisor starts it again after `downtime` seconds.

        Raises:
            InjectionSkipped: If the process does not exist.
        """
        pid = await self.wait_for_pid(program)
        began = time.time()
        program.restart_after = downtime
        program.send(number)
        await program.wait_until_gone(pid, within=_END_LIMIT_SECONDS)
        self.record(began, f"{number.name} to {program.name} [{pid}], down {downtime:.1f} s")

    async def freeze(self, pid: int, who: str, *runs: str) -> None:
        """Stop a process with SIGSTOP, and continue it later.

        Raises:
            InjectionSkipped: If it has just ended.
        """
        began = time.time()
        _signal(pid, signal.SIGSTOP, who)
        try:
            await asyncio.sleep(self.plan.seconds)
        finally:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                who += " (ended in the meantime)"
            self.record(began, f"froze {who} [{pid}] for {self.plan.seconds:.1f} s", *runs)

    async def kill_agent(self) -> None:
        """Kill an agent of the injection's own work.

        Raises:
            InjectionSkipped: As `agent`.
        """
        one = await self.agent()
        began = time.time()
        _signal(one.pid, signal.SIGKILL, "the agent")
        self.record(began, f"SIGKILL to the agent [{one.pid}]", one.run_id)

    async def agent(self) -> MarkedProcess:
        """A live agent of the injection's own work at the injection's moment.

        Raises:
            InjectionSkipped: If there is none in time, or it has ended.
        """
        deadline = time.monotonic() + _AGENT_SECONDS
        while time.monotonic() < deadline and not self.is_over():
            for one in await self._agents():
                await asyncio.sleep(self.plan.delay)
                if one in await self._agents():
                    return one
            await asyncio.sleep(_POLL_SECONDS)
        raise InjectionSkipped("no agent of its work was alive at that moment")

    async def _agents(self) -> list[MarkedProcess]:
        mine = set(self.runs())
        return [
            one
            for one in await self.fleet.watch.all_processes()
            if one.is_agent and one.run_id in mine
        ]


def _signal(pid: int, number: signal.Signals, who: str) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        raise InjectionSkipped(f"{who} had just ended") from None
