"""The ways in which the benchmark kills runs, and how often each."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from core.domain.kills.termination import Phase, Termination
from core.domain.runs.run import Run

# Of these scenarios the same order for everybody, so that two machines can be compared.
SEED = 20_260_703


class Family(StrEnum):
    """Whose percentiles a kill counts to."""

    COOPERATIVE = "cooperative"
    HOSTILE = "hostile"
    CRITICAL = "in a commit"
    AT_START = "at the start"
    AT_END = "at the end"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One way of being killed.

    Attributes:
        blocking_processes: How many processes stand before the kill; `None`: it comes at any
            moment.
        share: How often it is among a hundred kills.
    """

    name: str
    scenario: str
    family: Family
    share: int
    blocking_processes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Kill:
    """One kill and what came of it.

    Attributes:
        is_whole: Whether what must not be cut in half is as it should be.
    """

    kind: Kind
    run: Run
    termination: Termination | None
    survivors: int
    is_whole: bool = True

    @property
    def hit_live_run(self) -> bool:
        """Whether it came to a run that had not ended."""
        return self.termination is not None

    @property
    def is_confirmed(self) -> bool:
        """Whether all of the run was proven gone."""
        return self.termination is not None and self.termination.phase is Phase.CONFIRMED

    @property
    def seconds(self) -> float:
        """From the wish to the proof."""
        if self.termination is None:
            return 0.0
        return self.termination.phases.get(Phase.CONFIRMED, 0) / 1000


# Seconds of thought before each answer, so that the last tool call is heard of before the end.
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
        name="forks on",
        scenario="fork-storm",
        family=Family.HOSTILE,
        share=2,
        blocking_processes=40,
    ),
    # The hook's own `sleep` stands.
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
    """So many kills, in the kinds' shares, mixed."""
    kinds = [kind for kind in KINDS for _ in range(kind.share)]
    plan = [kinds[number * len(kinds) // repetitions % len(kinds)] for number in range(repetitions)]
    if repetitions > len(kinds):
        plan = [kinds[number % len(kinds)] for number in range(repetitions)]
    random.Random(SEED).shuffle(plan)
    return plan
