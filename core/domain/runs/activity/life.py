"""Signs of life of the programs that an agent started: two looks at them, compared.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

# Growth of processor time that counts, whichever is less: a program that waits for nothing but its
# own timers uses less than this part of a processor.
_LEAST_WORK = timedelta(seconds=0.1)
_LEAST_SHARE = 0.01

# A process's pid and start time.
ProcessKey = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """What a process has used since its start, with the children that it has waited for.

    Attributes:
        processor: User and system time.
        written_bytes: Bytes passed to `write`, to files, pipes and sockets alike; `None` if they
            may not be read.
    """

    processor: timedelta
    written_bytes: int | None


# Every process that is alive at one moment.
Look = Mapping[ProcessKey, ProcessUsage]


@dataclass(frozen=True, slots=True)
class Signs:
    """What happened between two looks.

    Attributes:
        has_worked: A process used the processor, began, or ended.
        has_written: Something was written, as far as that could be read.
    """

    has_worked: bool = False
    has_written: bool = False


def signs_between(before: Look, after: Look, interval: timedelta) -> Signs:
    """Compare two looks at the same programs.

    A process that has begun or ended is a sign by itself, because it ran between the looks.  What
    a process that ended had used is in its parent afterwards, and is not counted again.

    Args:
        before: The earlier look.
        after: The later one.
        interval: The time between them.
    """
    same = before.keys() & after.keys()
    worked = sum(
        (after[key].processor - before[key].processor for key in same),
        timedelta(0),
    )
    return Signs(
        has_worked=before.keys() != after.keys()
        or worked >= min(_LEAST_WORK, _LEAST_SHARE * interval),
        has_written=_written_between(before, after) > 0,
    )


def is_output_known(look: Look) -> bool:
    """Whether the output of all processes can be read."""
    return all(usage.written_bytes is not None for usage in look.values())


def _written_between(before: Look, after: Look) -> int:
    written = 0
    for key in before.keys() | after.keys():
        earlier, later = before.get(key), after.get(key)
        first = 0 if earlier is None else earlier.written_bytes
        last = 0 if later is None else later.written_bytes
        if first is not None and last is not None:
            written += last - first
    return written
