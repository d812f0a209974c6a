"""Plans of runs: what distinguishes each of them, from which the rows of all tables are made.

The same seed and number give the same plans.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from random import Random
from typing import NamedTuple

from benchmarks.seed.shapes import Shape, ended_shapes, running_shapes

# The time of the newest run; runs are spread over the two years before.
END = datetime(2026, 11, 1, tzinfo=UTC)
_SECONDS = 2 * 365 * 86_400
_SHAPES, _RUNNING_SHAPES = 600, 40
_USERS, _REPOSITORIES = 120, 60
# Runs of one session: 60 % have one, few have many.
_LEGS = (1,) * 60 + (2,) * 22 + (3,) * 10 + (4,) * 5 + (6,) * 2 + (12,)
# Of the newest sessions so many are live, at least five.
_LIVE_SHARE = 0.0001
_PENDING_EVERY = 4
_MASK = (1 << 48) - 1
_ODD = (0x5DEECE66D, 0x2545F4914F6D | 1)


class Plan(NamedTuple):
    """One run.

    Attributes:
        number: Its place among all runs, from 0.
        session: Its session's number.
        leg: Its place in the session, from 1.
        first: The number of the session's first run.
        owner: The place of its owner among the users; `None` for a run without one.
        begins: Its start, in seconds since 1970.
        is_pending: It was not started yet.
    """

    number: int
    session: int
    leg: int
    first: int
    owner: int | None
    repository: int
    is_on_main: bool
    shape: Shape
    begins: float
    is_pending: bool


def users() -> int:
    """The number of users."""
    return _USERS


def repository_address(number: int) -> str:
    """The address of a repository."""
    return f"https://github.com/acme/service-{number:02d}"


def plans(seed: int, runs: int, *, live: int | None = None) -> Iterator[Plan]:
    """The runs of a seed, session by session.

    Args:
        seed: The seed.
        runs: The number of runs.
        live: How many of them, the newest ones, are live; `None` makes that a share of all.
    """
    random = Random(seed)
    shapes = ended_shapes(random, _SHAPES)
    running = running_shapes(random, _RUNNING_SHAPES)
    live_from = runs - (max(int(runs * _LIVE_SHARE), 5) if live is None else live)
    owners, places = _harmonic(_USERS), _harmonic(_REPOSITORIES)
    start, step = END.timestamp() - _SECONDS, _SECONDS / runs
    number = session = 0
    while number < runs:
        # The live ones have a session each: there is one live run in a session at most.
        legs = 1 if number >= live_from else min(random.choice(_LEGS), live_from - number)
        owner = random.choices(range(_USERS), cum_weights=owners)[0]
        repository = random.choices(range(_REPOSITORIES), cum_weights=places)[0]
        has_owner, is_on_main = random.random() > 0.02, random.random() < 0.1
        first, begins = number, start + step * number + random.random() * step
        for leg in range(1, legs + 1):
            is_live = number >= live_from
            shape = random.choice(running if is_live else shapes)
            yield Plan(
                number=number,
                session=session,
                leg=leg,
                first=first,
                owner=owner if has_owner else None,
                repository=repository,
                is_on_main=is_on_main,
                shape=shape,
                begins=begins,
                is_pending=is_live and number % _PENDING_EVERY == 0,
            )
            begins += shape.seconds + random.randint(5, 600)
            number += 1
        session += 1


def _harmonic(count: int) -> Sequence[float]:
    """Cumulative weights: the n-th is chosen 1 / n as often as the first."""
    return list(accumulate(1 / (one + 1) for one in range(count)))


def uuid_hex(seed: int, kind: int, number: int) -> str:
    """The 32 digits of an id; different for different numbers of one seed and kind.

    The first 12 alone are unique: a run's public id is made of them.
    """
    head = (number * _ODD[0] + seed * 8191 + kind * 131) & _MASK
    head ^= head >> 23
    head = (head * _ODD[1]) & _MASK
    head ^= head >> 25
    tail = (head * 0x9E3779B97F4A7C15 + kind) & ((1 << 80) - 1)
    return f"{head:012x}{tail:020x}"


RUN, SESSION, USER, TERMINATION, ATTEMPT, MESSAGE = range(6)


def run_id(seed: int, number: int) -> str:
    """The public id of the run with this number."""
    return f"run_{uuid_hex(seed, RUN, number)[:12]}"
