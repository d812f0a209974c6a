"""The plan of an injection: kind, moment, victims and work, all drawn from seed and number."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum


class Kind(StrEnum):
    """Kinds of faults, which are the rows of the final table."""

    WORKER_KILLED = "worker SIGKILL"
    WORKER_GONE = "worker SIGKILL, gone for long"
    WORKER_FROZEN = "worker SIGSTOP"
    WORKER_RESTARTED = "worker SIGTERM"
    BOT_KILLED = "bot SIGKILL"
    BOT_FROZEN = "bot SIGSTOP"
    BOT_RESTARTED = "bot SIGTERM"
    AGENT_KILLED = "agent SIGKILL"
    AGENT_FROZEN = "agent SIGSTOP"
    ROLLING = "rolling restart"
    POSTGRES_FAST = "Postgres restart, fast"
    POSTGRES_IMMEDIATE = "Postgres restart, immediate"
    POSTGRES_OUTAGE = "Postgres outage"
    SLACK_429 = "Slack 429"
    SLACK_5XX = "Slack 5xx"
    SLACK_TIMEOUT = "Slack timeout"
    SLACK_LOST_ANSWER = "Slack answer lost"
    SLACK_CUT = "Slack cut off"
    DELIVERIES = "deliveries repeated, reordered"
    DISK_FULL = "disk full"
    KILL_RACE = "kill racing a fault"
    AFTER = "the whole fleet, afterwards"


# The weight of each kind: common and risky faults are more frequent.
# A worker that stays down or a long freeze delays everything by a minute, so these are rare.
WEIGHTS: dict[Kind, int] = {
    Kind.WORKER_KILLED: 9,
    Kind.WORKER_GONE: 1,
    Kind.WORKER_FROZEN: 5,
    Kind.WORKER_RESTARTED: 6,
    Kind.BOT_KILLED: 7,
    Kind.BOT_FROZEN: 5,
    Kind.BOT_RESTARTED: 4,
    Kind.AGENT_KILLED: 7,
    Kind.AGENT_FROZEN: 5,
    Kind.ROLLING: 2,
    Kind.POSTGRES_FAST: 4,
    Kind.POSTGRES_IMMEDIATE: 4,
    Kind.POSTGRES_OUTAGE: 3,
    Kind.SLACK_429: 4,
    Kind.SLACK_5XX: 4,
    Kind.SLACK_TIMEOUT: 3,
    Kind.SLACK_LOST_ANSWER: 5,
    Kind.SLACK_CUT: 5,
    Kind.DELIVERIES: 5,
    Kind.DISK_FULL: 3,
    Kind.KILL_RACE: 9,
}

# The faults that race with a kill.
RACED = (
    Kind.WORKER_KILLED,
    Kind.WORKER_RESTARTED,
    Kind.BOT_KILLED,
    Kind.AGENT_KILLED,
    Kind.AGENT_FROZEN,
    Kind.POSTGRES_FAST,
    Kind.POSTGRES_IMMEDIATE,
    Kind.SLACK_CUT,
    Kind.DELIVERIES,
)
AGENT_KINDS = frozenset({Kind.AGENT_KILLED, Kind.AGENT_FROZEN})
# Seconds from the command to the agent's first sign of life on a machine with this load.
_AGENT_START_SECONDS = 1.2


# Full members of the sandbox's team; the admin may do everything.
ADMIN = "ada"
PEOPLE = (ADMIN, "ben", "cleo")


class Work(StrEnum):
    """Kinds of runs."""

    SHORT = "short"
    LONG = "long"
    COMMIT = "commit"
    LIMITED = "limited"
    KILLED = "killed"
    STUBBORN = "stubborn"


_WORK_WEIGHTS = {
    Work.SHORT: 3,
    Work.LONG: 5,
    Work.COMMIT: 4,
    Work.LIMITED: 3,
    Work.KILLED: 3,
    Work.STUBBORN: 1,
}


@dataclass(frozen=True, kw_only=True)
class Task:
    """One run that a person starts, and the person's later actions.

    Attributes:
        tag: A unique word that identifies everything about the run.
        kill_after: Seconds after the start; `None`: no kill.
        person: The person who starts it.
        unauthorized: A person who tries to kill it without permission; `None`: nobody does.
        more_turns: Additional turns of a continue after a turn limit.
        is_continued: Whether the person continues it after killing it.
    """

    tag: str
    work: Work
    flags: str
    words: str
    person: str = "ada"
    unauthorized: str | None = None
    kill_after: float | None = None
    is_forced: bool = False
    is_continued: bool = False
    more_turns: int = 30

    @property
    def command(self) -> str:
        """The text after `/workflow`, with a placeholder for the number of the try."""
        return f"run builder {self.flags} {self.words} {self.tag}"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One injection.

    Attributes:
        number: The number of the injection in its campaign.
        kind: The counted kind; for a race with a kill, `fault` is the kind that races.
        delay: Seconds from the start of the work (for faults of agents from the agent's first sign
            of life) to the fault.
        seconds: Duration of the fault, if it has one.
        victim: Index of the victim among two processes, where the fault has a choice.
        random_values: Further random numbers for the fault, each in 0..1.
    """

    number: int
    kind: Kind
    fault: Kind
    delay: float
    seconds: float
    victim: int
    tasks: tuple[Task, ...]
    random_values: Sequence[float] = field(default=())

    def describe(self) -> str:
        """A description in one line."""
        raced = f" ({self.fault})" if self.fault is not self.kind else ""
        work = ", ".join(task.work for task in self.tasks)
        return f"{self.kind}{raced} after {self.delay:.1f} s for {self.seconds:.1f} s; {work}"


def plan_of(seed: int, number: int, *, kinds: Sequence[Kind] | None = None) -> Plan:
    """The injection of this number; it depends only on the seed and the number."""
    rng = random.Random(f"{seed}:{number}")
    candidates = list(kinds or WEIGHTS)
    kind = rng.choices(candidates, [WEIGHTS[one] for one in candidates])[0]
    fault = rng.choice(RACED) if kind is Kind.KILL_RACE else kind
    delay = rng.uniform(0, 2.5) if fault in AGENT_KINDS else rng.uniform(0.2, 6)
    tasks = [_task(rng, number, "a", kind)]
    if kind is Kind.KILL_RACE:
        # Together with the fault, or shortly before or after it.
        moment = delay + (_AGENT_START_SECONDS if fault in AGENT_KINDS else 0)
        tasks[0] = replace(tasks[0], kill_after=max(0.1, moment + rng.uniform(-0.8, 0.8)))
    if rng.random() < 0.25:
        tasks.append(_task(rng, number, "b", None))
    return Plan(
        number=number,
        kind=kind,
        fault=fault,
        delay=delay,
        seconds=_duration(rng, fault),
        victim=rng.randrange(2),
        tasks=tuple(tasks),
        random_values=tuple(rng.random() for _ in range(6)),
    )


def _duration(rng: random.Random, fault: Kind) -> float:
    """Mostly short: long faults delay all other injections, so they are rare."""
    if fault is Kind.POSTGRES_OUTAGE:
        return rng.choices([rng.uniform(1, 8), rng.uniform(8, 20), rng.uniform(20, 40)], [6, 3, 1])[
            0
        ]
    if fault in (Kind.WORKER_FROZEN, Kind.BOT_FROZEN, Kind.AGENT_FROZEN):
        return rng.choices([rng.uniform(1, 6), rng.uniform(6, 20), rng.uniform(20, 60)], [7, 2, 1])[
            0
        ]
    if fault is Kind.WORKER_GONE:
        return 75.0
    if fault is Kind.DISK_FULL:
        return rng.uniform(1.5, 6)
    return rng.uniform(0, 3)


def _task(rng: random.Random, number: int, letter: str, kind: Kind | None) -> Task:
    tag = f"k{number}{letter}"
    if kind is Kind.KILL_RACE:
        work = rng.choice((Work.KILLED, Work.STUBBORN, Work.COMMIT))
    else:
        work = rng.choices(list(_WORK_WEIGHTS), list(_WORK_WEIGHTS.values()))[0]
    delay = rng.choice((0.1, 0.2, 0.4, 0.7))
    is_killed = work in (Work.KILLED, Work.STUBBORN) or kind is Kind.KILL_RACE
    kill_after = rng.uniform(0.3, 7) if is_killed else None
    forced = is_killed and rng.random() < 0.2
    continued = is_killed and work is not Work.STUBBORN and rng.random() < 0.3
    flags, words = "", f"[scenario: long] [turns: {rng.randint(1, 3)}]"
    if work is Work.KILLED:
        delay = rng.choice((0.4, 0.7))
        words = f"[scenario: long] [turns: {rng.randint(14, 22)}] [delay: {delay}s]"
    elif work is Work.LONG:
        words = f"[scenario: long] [turns: {rng.randint(6, 14)}] [delay: {delay}s]"
    elif work is Work.COMMIT:
        words = f"[delay: {delay}s] Add a counter"
    elif work is Work.LIMITED:
        turns = rng.randint(5, 8)
        flags = f"--turns {rng.randint(2, 4)}"
        words = f"[scenario: max-turns] [turns: {turns}] [delay: {delay}s]"
    elif work is Work.STUBBORN:
        words = f"[scenario: {rng.choice(('kill-me', 'kill-stubborn', 'kill-escaped'))}]"
    person = PEOPLE[(number * 2 + (letter == "b")) % len(PEOPLE)]
    others = [name for name in PEOPLE if name not in (person, ADMIN)]
    return Task(
        person=person,
        unauthorized=rng.choice(others) if rng.random() < 0.15 else None,
        tag=tag,
        work=work,
        flags=flags,
        words=words,
        kill_after=kill_after,
        is_forced=forced,
        is_continued=continued,
    )
