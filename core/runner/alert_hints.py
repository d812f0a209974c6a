"""Changes after which alerts are worth a look before the clock's next tick."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from core.domain.feed import Change, ChangeKind, Reset
from core.domain.runs.run import RunStatus
from core.services.feed import FeedService

_KINDS = (ChangeKind.RUN, ChangeKind.WORKER)
_OF_RUNS = frozenset(
    {"kill_requested", "measured", *(status.value for status in RunStatus if status.is_final)}
)


@dataclass(frozen=True)
class AlertHints:
    """The hints of the feed: a run that ended, was measured, or is to be killed; a worker."""

    feed: FeedService

    async def __call__(self) -> AsyncIterator[None]:
        """A hint for each change that can matter.

        Raises:
            Exception: The error that ended the feed; what is missed is found by the next tick.
        """
        async with self.feed.subscribe(kinds=_KINDS) as subscription:
            async for item in subscription:
                if can_matter(item):
                    yield None


def can_matter(item: Change | Reset) -> bool:
    """Whether alerts can differ after this change; a run's progress is left to the tick."""
    if isinstance(item, Reset):
        return True
    return item.kind is ChangeKind.WORKER or item.what in _OF_RUNS
