"""Injected faults: the next calls of a method fail in a chosen way."""

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

ANY = "*"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """The failure of one call.

    Attributes:
        kind: "429"; a status like "500"; "page" (a 503 with a page for people); "timeout" (no
            answer); "reset" (connection cut); "lost_answer" (applied, then the connection is
            cut); "cut_body" (applied, then cut in the middle of the answer); "late" (no answer,
            applied only `seconds` later); or any error code, with `ok: false`.
        retry_after: Seconds, for "429"; any other text is sent as it is.
        channel: Only calls that name this channel; `None`: all calls.
        ts: Only calls that name this message; `None`: all calls.
        until: The fault stays until this time of the sandbox's clock, and the seconds of a
            "429" count down to it; `None`: it is taken by one call.
        is_applied: Whether the call takes effect before it fails.
        seconds: For "late".
    """

    kind: str
    retry_after: int | str = 1
    channel: str | None = None
    ts: str | None = None
    until: float | None = None
    is_applied: bool = False
    seconds: float = 1.0


@dataclass(frozen=True, kw_only=True)
class RandomFaults:
    """Faults in a share of all calls; the same seed and calls get the same faults.

    Attributes:
        rate: Share of calls that fail, between 0 and 1.
        excluded_methods: Methods that never fail.
    """

    rng: random.Random
    rate: float
    faults: Sequence[Fault]
    excluded_methods: frozenset[str]

    def draw(self, method: str) -> Fault | None:
        """The fault for one call, if it gets one."""
        if method in self.excluded_methods or self.rng.random() >= self.rate:
            return None
        return self.rng.choice(self.faults)


class Faults:
    """A queue of faults per method; each call takes one.

    Besides Web API methods, "response_url" and "upload" are valid names.

    Args:
        now: The sandbox's clock, in seconds, for faults that last.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._queues: dict[str, list[Fault]] = {}
        self._random_faults: RandomFaults | None = None

    def add(
        self,
        method: str,
        kind: str,
        *,
        times: int = 1,
        retry_after: int | str = 1,
        channel: str | None = None,
        ts: str | None = None,
        lasts: float | None = None,
        is_applied: bool = False,
        seconds: float = 1.0,
    ) -> None:
        """Make the next `times` calls of a method ("*": of any) fail; see `Fault`.

        With `lasts`, all calls fail for so many seconds of the sandbox's clock.
        """
        fault = Fault(
            kind=kind,
            retry_after=retry_after,
            channel=channel,
            ts=ts,
            until=None if lasts is None else self._now() + lasts,
            is_applied=is_applied or kind in ("lost_answer", "cut_body"),
            seconds=seconds,
        )
        self._queues.setdefault(method, []).extend([fault] * times)

    def inject_randomly(
        self,
        *,
        seed: int,
        rate: float,
        faults: Sequence[Fault],
        excluded_methods: Sequence[str] = (),
    ) -> None:
        """Make a share of all calls fail, until `clear`."""
        self._random_faults = RandomFaults(
            rng=random.Random(seed),  # noqa: S311 - to be repeated, not to be secret
            rate=rate,
            faults=tuple(faults),
            excluded_methods=frozenset(excluded_methods),
        )

    def take(self, method: str, channel: str | None = None, ts: str | None = None) -> Fault | None:
        """The fault for the current call, if there is one."""
        for name in (method, ANY):
            queue = self._queues.get(name, [])
            queue[:] = [fault for fault in queue if not self._is_past(fault)]
            for index, fault in enumerate(queue):
                if fault.channel not in (None, channel) or fault.ts not in (None, ts):
                    continue
                if fault.until is None:
                    return queue.pop(index)
                left = math.ceil(fault.until - self._now())
                return replace(fault, retry_after=left) if fault.kind == "429" else fault
        return self._random_faults.draw(method) if self._random_faults is not None else None

    def _is_past(self, fault: Fault) -> bool:
        return fault.until is not None and fault.until <= self._now()

    def remaining(self, method: str) -> int:
        """Number of faults that are left for a method."""
        return len(self._queues.get(method, ()))

    def clear(self) -> None:
        """Remove all faults."""
        self._queues.clear()
        self._random_faults = None
