"""A campaign: many injections into few fleets, several at a time."""

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

# A fleet that lives forever would hide defects at the start, and both transports of Slack must
# be covered: so there is a new fleet from time to time, with the other transport.
INJECTIONS_PER_FLEET = 60
TRANSPORTS = ("socket", "http")
# Numbers of the results about whole fleets, which are not injections.  A fleet may be started
# again for injections that an earlier call left.
FLEET_CHECKS_FROM = 1_000_000
_STARTS_PER_FLEET = 1_000


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """The injections to make, and how.

    Attributes:
        numbers: The numbers of the injections; called again when all of them were tried, because
            skipped injections may need replacements.
        parallel: Number of concurrent injections.
        until: Time after which no injection begins, by the monotonic clock.
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
        """Make all injections that are not done yet."""
        while left := self._left():
            for fleet_number, numbers in _by_fleet(left):
                if time.monotonic() > self.until:
                    return
                await self._in_fleet(fleet_number, numbers)

    def _left(self) -> list[int]:
        return [number for number in self.numbers() if number not in self.progress.results]

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
                result = await trial.run()
                ends, known = _unexpected(fleet, known)
                result = _with_exits(result, ends)
                for end in ends:
                    if end.status != COULD_NOT_START:
                        await asyncio.to_thread(save_log, self.evidence, fleet, end)
                self.progress.add(result)
                self.report(result.summary)

        async with asyncio.TaskGroup() as group:
            for number in numbers:
                group.create_task(one(number), name=f"trial {number}")

    async def _check_fleet(self, fleet: Fleet, fleet_number: int) -> None:
        began = time.monotonic()
        violations = await check_fleet(fleet)
        result = InjectionResult(
            seed=self.seed,
            number=next(
                n for n in fleet_check_numbers(fleet_number) if n not in self.progress.results
            ),
            kind=Kind.AFTER,
            description=f"fleet {fleet_number}, final check",
            runs=0,
            seconds=round(time.monotonic() - began, 1),
            violations=tuple(violations),
        )
        self.progress.add(result)
        self.report(result.summary)


def _unexpected(fleet: Fleet, known: int) -> tuple[list[Exit], int]:
    """Unexpected ends of programs after the known ones; and the number of all ends."""
    ends = sorted((one for p in fleet.programs for one in p.exits), key=lambda one: one.at)
    return [one for one in ends[known:] if not one.was_expected], len(ends)


def _with_exits(result: InjectionResult, ends: Sequence[Exit]) -> InjectionResult:
    """The result with these ends; an end with more than one line of output is a crash."""
    crashes = [end for end in ends if end.status != COULD_NOT_START]
    notes = [str(end) for end in ends if end not in crashes]
    return replace(
        result,
        notes=[*result.notes, *notes],
        violations=[
            *result.violations,
            *(Violation(ViolationKind.CRASH, end.name, str(end)) for end in crashes),
        ],
    )


def fleet_check_numbers(fleet_number: int) -> range:
    """The numbers of a fleet's own results, one for each time it was started."""
    first = FLEET_CHECKS_FROM + fleet_number * _STARTS_PER_FLEET
    return range(first, first + _STARTS_PER_FLEET)


def _by_fleet(numbers: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    by_fleet: dict[int, list[int]] = {}
    for number in numbers:
        by_fleet.setdefault(number // INJECTIONS_PER_FLEET, []).append(number)
    yield from sorted(by_fleet.items())
