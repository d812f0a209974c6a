"""Injected faults: the next calls of a method fail in a chosen way."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

ANY = "*"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """The failure of one call.

    Attributes:
        kind: "429"; a status like "500"; "page" (a 503 with a page for people); "timeout" (no
            answer); "reset" (connection cut); "lost_answer" (applied, then the connection is
            cut); "cut_body" (applied, then cut in the middle of the answer); "late" (no answer,
            applied only `seconds` later); or any error code, with `ok: false`.
        retry_after: Seconds, for "429".
        channel: Only calls that name this channel; `None`: all calls.
        is_applied: Whether the call takes effect before it fails.
        seconds: For "late".
    """

    kind: str
    retry_after: int = 1
    channel: str | None = None
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
    """

    def __init__(self) -> None:
        self._queues: dict[str, list[Fault]] = {}
        self._random_faults: RandomFaults | None = None

    def add(
        self,
        method: str,
        kind: str,
        *,
        times: int = 1,
        retry_after: int = 1,
        channel: str | None = None,
        is_applied: bool = False,
        seconds: float = 1.0,
    ) -> None:
        """Make the next `times` calls of a method ("*": of any) fail; see `Fault`."""
        fault = Fault(
            kind=kind,
            retry_after=retry_after,
            channel=channel,
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

    def take(self, method: str, channel: str | None = None) -> Fault | None:
        """The fault for the current call, if there is one."""
        for name in (method, ANY):
            queue = self._queues.get(name, [])
            for index, fault in enumerate(queue):
                if fault.channel in (None, channel):
                    return queue.pop(index)
        return self._random_faults.draw(method) if self._random_faults is not None else None

    def remaining(self, method: str) -> int:
        """Number of faults that are left for a method."""
        return len(self._queues.get(method, ()))

    def clear(self) -> None:
        """Remove all faults."""
        self._queues.clear()
        self._random_faults = None
