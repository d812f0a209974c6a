"""Faults a test or a person at the inspector injects: the next calls of a method go wrong."""

from collections import deque
from dataclasses import dataclass

ANY = "*"

# What is not a Web API error word but happens to the connection or the status line.
TRANSPORT = frozenset({"429", "500", "timeout", "reset", "lost_answer"})


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to one call.

    Attributes:
        kind: "429", "500", "timeout" (no answer, nothing done), "reset" (connection cut,
            nothing done), "lost_answer" (done, then the connection is cut), or any error word.
        retry_after: Seconds, for "429".
    """

    kind: str
    retry_after: int = 1


class Faults:
    """Per method a queue of faults; each call takes one.

    Besides Web API methods, "response_url" and "upload" are names.
    """

    def __init__(self) -> None:
        self._queues: dict[str, deque[Fault]] = {}

    def add(self, method: str, kind: str, *, times: int = 1, retry_after: int = 1) -> None:
        """Make the next `times` calls of a method ("*": of any) go wrong."""
        fault = Fault(kind=kind, retry_after=retry_after)
        self._queues.setdefault(method, deque()).extend([fault] * times)

    def take(self, method: str) -> Fault | None:
        """The fault for the call that is being made, if any."""
        for name in (method, ANY):
            if queue := self._queues.get(name):
                return queue.popleft()
        return None

    def left(self, method: str) -> int:
        """How many faults still wait for a method."""
        return len(self._queues.get(method, ()))

    def clear(self) -> None:
        """Forget all of them."""
        self._queues.clear()
