"""The kinds of kills in the benchmark, and the share of each."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from core.domain.kills.termination import Phase, Termination
from core.domain.runs.run import Run

# The same order of kinds on every machine, so that two machines can be compared.
SEED = 20_260_703


class Family(StrEnum):
    """The group under which a kill's percentiles are reported."""

    COOPERATIVE = "cooperative"
    HOSTILE = "hostile"
    CRITICAL = "in a commit"
    AT_START = "at the start"
    AT_END = "at the end"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of kill.

    Attributes:
        blocking_processes: Number of processes to wait for before the kill; `None`: the kill
            comes at any moment.
        share: Number of these among a hundred kills.
        needs_isolation: Whether only the end of a namespace surely ends all its processes.
    """

    name: str
    scenario: str
    family: Family
    share: int
    blocking_processes: int | None = None
    needs_isolation: bool = False


@dataclass(frozen=True, kw_only=True)
class Kill:
    """One kill and its result.

    Attributes:
        is_whole: Whether an operation that must not be interrupted is complete.
        is_isolated: Whether the agent ran in namespaces of its own.
    """

    kind: Kind
    run: Run
    termination: Termination | None
    survivors: int
    is_whole: bool = True
    is_isolated: bool = False

    @property
    def hit_live_run(self) -> bool:
        """Whether the run had not ended when the kill arrived."""
        return self.termination is not None

    @property
    def is_confirmed(self) -> bool:
        """Whether all processes of the run were proven gone."""
        return self.termination is not None and self.termination.phase is Phase.CONFIRMED

    @property
    def seconds(self) -> float:
        """Seconds from the request to the proof."""
        if self.termination is None:
            return 0.0
        return self.termination.phases.get(Phase.CONFIRMED, 0) / 1000


# Seconds of delay before each answer, so that the last tool call is visible before the end.
END_DELAY = 0.8
END_CALLS = 2

KINDS = (
    Kind(
        name="sleeps", scenario="kill-me", family=Family.COOPERATIVE, share=20, blocking_processes=1
    ),
    Kind(
        name="ignores signals",
        scenario="kill-stubborn",
        family=Family.HOSTILE,
        share=15,
        blocking_processes=1,
    ),
    Kind(
        name="changes session",
        scenario="kill-escaped",
        family=Family.HOSTILE,
        share=15,
        blocking_processes=2,
    ),
    Kind(
        name="all of it",
        scenario="kill-hostile",
        family=Family.HOSTILE,
        share=15,
        blocking_processes=3,
    ),
    Kind(
        name="double fork",
        scenario="kill-daemon",
        family=Family.HOSTILE,
        share=8,
        blocking_processes=2,
    ),
    Kind(
        name="vanishes",
        scenario="kill-vanishing",
        family=Family.HOSTILE,
        share=8,
        blocking_processes=2,
        needs_isolation=True,
    ),
    Kind(
        name="forks on",
        scenario="fork-storm",
        family=Family.HOSTILE,
        share=2,
        blocking_processes=40,
    ),
    # Waits for the hook's own `sleep`.
    Kind(
        name="commits",
        scenario="slow-commit] [pause: 1500",
        family=Family.CRITICAL,
        share=5,
        blocking_processes=1,
    ),
    Kind(name="races the start", scenario="kill-me", family=Family.AT_START, share=12),
    Kind(
        name="races the end",
        scenario=f"long] [turns: {END_CALLS}] [delay: {END_DELAY}s",
        family=Family.AT_END,
        share=8,
    ),
)


def plan_of(repetitions: int) -> Sequence[Kind]:
    """A shuffled list of this many kills, with the shares of the kinds."""
    kinds = [kind for kind in KINDS for _ in range(kind.share)]
    plan = [kinds[number * len(kinds) // repetitions % len(kinds)] for number in range(repetitions)]
    if repetitions > len(kinds):
        plan = [kinds[number % len(kinds)] for number in range(repetitions)]
    random.Random(SEED).shuffle(plan)
    return plan
