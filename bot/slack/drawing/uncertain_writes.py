"""Calls that Slack may still carry out late, though nobody heard its answer.

A post that could not be found, and so was sent again, may come out of Slack's queues after
all; an old update may come after the last one.  Neither can be prevented from here.  So what
was in doubt is looked at once more when Slack has had its time: a message that is there twice
is deleted once, and one that was updated is updated again.

Doubts are kept in the database too: whoever draws next takes over those of a bot that died.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.slack.ports import UncertainWriteStore
from core.domain.runs.snapshot import UncertainWrite, UncertainWriteKind

RECHECK_AFTER = timedelta(seconds=60)


@dataclass
class UncertainWrites:
    """Slots of threads to be looked at again, and when.

    Attributes:
        clock: The time of the day, by which they are kept.
        now: A monotonic clock in seconds.
    """

    threads: UncertainWriteStore
    clock: Callable[[], datetime]
    now: Callable[[], float]
    after: timedelta = RECHECK_AFTER
    _due: dict[tuple[str, str, UncertainWriteKind], float] = field(default_factory=dict)

    async def take_over(self, *, team_id: str) -> None:
        """Remember what whoever drew before was in doubt about, or was just changing.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        await self.threads.mark_all_uncertain(team_id=team_id, due_at=self.clock() + self.after)
        for one in await self.threads.uncertain_writes(team_id=team_id):
            # Machines' clocks differ; none of them makes a doubt last longer than it does.
            left = min(max(one.due_at - self.clock(), timedelta(0)), self.after)
            key = one.thread_key, one.slot, one.kind
            self._due.setdefault(key, self.now() + left.total_seconds())

    async def add(self, thread_key: str, slot: str, kind: UncertainWriteKind) -> None:
        """Remember to look at a message once more; a later doubt moves the look back.

        Raises:
            Unavailable: If the database cannot be reached; it is remembered here all the same.
        """
        self._due[thread_key, slot, kind] = self.now() + self.after.total_seconds()
        due_at = self.clock() + self.after
        await self.threads.record_uncertain_write(
            UncertainWrite(thread_key=thread_key, slot=slot, kind=kind, due_at=due_at)
        )

    def due_threads(self) -> set[str]:
        """Threads in which something is to be looked at now."""
        now = self.now()
        return {thread_key for (thread_key, _, _), at in self._due.items() if at <= now}

    def due(self, thread_key: str) -> list[tuple[str, UncertainWriteKind]]:
        """What is to be looked at in a thread now; who has done so says `settle`."""
        now = self.now()
        return [
            (slot, kind)
            for (key, slot, kind), at in self._due.items()
            if key == thread_key and at <= now
        ]

    async def resolve(self, thread_key: str, slot: str, kind: UncertainWriteKind) -> None:
        """Forget a doubt that was looked at.

        Raises:
            Unavailable: If the database cannot be reached; it is looked at again then.
        """
        await self.threads.resolve_uncertain_write(thread_key, slot, kind)
        self._due.pop((thread_key, slot, kind), None)

    def __len__(self) -> int:
        return len(self._due)
