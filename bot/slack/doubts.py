"""Calls that Slack may still carry out late, though nobody heard its answer.

A post that could not be found, and so was sent again, may come out of Slack's queues after
all; an old update may come after the last one.  Neither can be prevented from here.  So what
was in doubt is looked at once more when Slack has had its time: a message that is there twice
is deleted once, and one that was updated is updated again.

Doubts are kept in memory.  A bot that dies within that minute takes them along.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, auto

LOOK_AGAIN_AFTER = timedelta(seconds=60)


class Doubt(Enum):
    """What may have happened late."""

    POSTED_TWICE = auto()
    OVERWRITTEN = auto()


@dataclass
class Doubts:
    """Slots of threads to be looked at again, and when.

    Attributes:
        now: A monotonic clock in seconds.
    """

    now: Callable[[], float]
    after: timedelta = LOOK_AGAIN_AFTER
    _due: dict[tuple[str, str, Doubt], float] = field(default_factory=dict)

    def note(self, thread_key: str, slot: str, doubt: Doubt) -> None:
        """Remember to look at a message once more; a later doubt moves the look back."""
        self._due[thread_key, slot, doubt] = self.now() + self.after.total_seconds()

    def due_threads(self) -> set[str]:
        """Threads in which something is to be looked at now."""
        now = self.now()
        return {thread_key for (thread_key, _, _), at in self._due.items() if at <= now}

    def take_due(self, thread_key: str) -> list[tuple[str, Doubt]]:
        """What is to be looked at in a thread; who takes it notes it anew if it fails."""
        now = self.now()
        due = [key for key, at in self._due.items() if key[0] == thread_key and at <= now]
        for key in due:
            del self._due[key]
        return [(slot, doubt) for _, slot, doubt in due]

    def __len__(self) -> int:
        return len(self._due)
