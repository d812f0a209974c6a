"""A campaign: many injections into few fleets, several on their way at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.faults.evidence import save_log
from tests.faults.fleet import Fleet, open_fleet
from tests.faults.fleet_check import check_fleet
from tests.faults.plan import Kind, plan_of
from tests.faults.results import InjectionResult, Progress, Violation, ViolationKind
from tests.faults.supervised import COULD_NOT_START, Exit
from tests.faults.trial import Trial

# A fleet that lives for ever would hide what a start brings to light, and both ways by which
# Slack delivers are to be seen: a new fleet now and then, over the other one.
INJECTIONS_PER_FLEET = 60
TRANSPORTS = ("socket", "http")
# Numbers of the verdicts on whole fleets, which are no injections.  A fleet may be started
# again, for what an earlier call left.
FLEET_CHECKS_FROM = 1_000_000
_STARTS_PER_FLEET = 1_000


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """What is to be done.

    Attributes:
        numbers: Of the injections; asked for again when all of them were tried, as those that
            turned out not to be possible may call for others.
        parallel: How many are on their way at a time.
        until: When no more are begun, by the monotonic clock.
    """

    seed: int
    numbers: Callable[[], Sequence[int]]
    parallel: int
    progress: Progress
    evidence: Path
    until: float
    kinds: Sequence[Kind] | None = None
    report: Callable[[str], None] = print

    async def run(self) -> None:
        """Do all that are not done yet."""
        while left := self._left():
            for fleet_number, numbers in _by_fleet(left):
                if time.monotonic() > self.until:
                    return
                await self._in_fleet(fleet_number, numbers)

    def _left(self) -> list[int]:
        return [number for number in self.numbers() if number not in self.progress.verdicts]

    async def _in_fleet(self, fleet_number: int, numbers: Sequence[int]) -> None:
        transport = TRANSPORTS[fleet_number % len(TRANSPORTS)]
        began = time.monotonic()
        async with open_fleet(transport=transport) as fleet:
            took = time.monotonic() - began
            self.report(f"fleet {fleet_number} over {transport} is ready after {took:.0f} s")
            await self._injections(fleet, numbers)
            await self._check_fleet(fleet, fleet_number)

    async def _injections(self, fleet: Fleet, numbers: Sequence[int]) -> None:
        slots = asyncio.Semaphore(self.parallel)
        known = 0

        async def one(number: int) -> None:
            nonlocal known
            async with slots:
                if time.monotonic() > self.until:
                    return
                plan = plan_of(self.seed, number, kinds=self.kinds)
                trial = Trial(fleet, plan, self.seed, self.evidence)
                verdict = await trial.run()
                ends, known = _unexpected(fleet, known)
                verdict = _with_exits(verdict, ends)
                for end in ends:
                    if end.status != COULD_NOT_START:
                        await asyncio.to_thread(save_log, self.evidence, fleet, end)
                self.progress.add(verdict)
                self.report(verdict.summary)

        async with asyncio.TaskGroup() as group:
            for number in numbers:
                group.create_task(one(number), name=f"trial {number}")

    async def _check_fleet(self, fleet: Fleet, fleet_number: int) -> None:
        began = time.monotonic()
        violations = await check_fleet(fleet)
        verdict = InjectionResult(
            seed=self.seed,
            number=next(
                n for n in fleet_check_numbers(fleet_number) if n not in self.progress.verdicts
            ),
            kind=Kind.AFTER,
            description=f"fleet {fleet_number}, all of it once more",
            runs=0,
            seconds=round(time.monotonic() - began, 1),
            violations=tuple(violations),
        )
        self.progress.add(verdict)
        self.report(verdict.summary)


def _unexpected(fleet: Fleet, known: int) -> tuple[list[Exit], int]:
    """Ends of programs that nobody ended, after those known; and how many ends there are."""
    ends = sorted((one for p in fleet.programs for one in p.exits), key=lambda one: one.at)
    return [one for one in ends[known:] if not one.was_expected], len(ends)


def _with_exits(verdict: InjectionResult, ends: Sequence[Exit]) -> InjectionResult:
    """A verdict that tells of these ends; whoever ends otherwise than with one line crashed."""
    crashes = [end for end in ends if end.status != COULD_NOT_START]
    notes = [str(end) for end in ends if end not in crashes]
    return replace(
        verdict,
        notes=[*verdict.notes, *notes],
        violations=[
            *verdict.violations,
            *(Violation(ViolationKind.CRASH, end.name, str(end)) for end in crashes),
        ],
    )


def fleet_check_numbers(fleet_number: int) -> range:
    """The numbers of a fleet's own verdicts, one for each time it was started."""
    first = FLEET_CHECKS_FROM + fleet_number * _STARTS_PER_FLEET
    return range(first, first + _STARTS_PER_FLEET)


def _by_fleet(numbers: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    by_fleet: dict[int, list[int]] = {}
    for number in numbers:
        by_fleet.setdefault(number // INJECTIONS_PER_FLEET, []).append(number)
    yield from sorted(by_fleet.items())
