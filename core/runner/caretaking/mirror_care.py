"""The removal of mirrors that no workspace of a home was cloned from any more."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.workspace.cleaning.cleaner import FoundWorkspace, WorkspaceCleaner
from core.workspace.cleaning.mirrors import mirrors_of

log = logging.getLogger(__name__)

_ALL = timedelta(0)


@dataclass(frozen=True)
class MirrorCare:
    """Removes mirrors; those of repositories with a workspace here stay.

    A clean-up of such a workspace would fetch its mirror again, to see what the repository has.
    """

    cleaner: WorkspaceCleaner
    clock: Callable[[], datetime]

    async def remove_unused(
        self,
        present: Sequence[FoundWorkspace],
        *,
        idle: timedelta = _ALL,
        wanted: int | None = None,
    ) -> int:
        """Remove mirrors, the longest unused first; return the bytes that this has freed.

        Args:
            present: The workspaces of the home.
            idle: How long a mirror must have been unused.
            wanted: So many bytes are enough; `None` removes all that were unused for so long.
        """
        needed = mirrors_of([one.repo for one in present if one.repo is not None])
        freed = 0
        for mirror in await self.cleaner.mirrors():
            is_enough = wanted is not None and freed >= wanted
            if is_enough or self.clock() - mirror.used_at < idle:
                # Those after it were used later.
                break
            size = None if mirror.name in needed else await self.cleaner.remove_mirror(mirror.name)
            if size is None:
                continue
            freed += size
            log.info(
                "removed mirror %s, %d bytes",
                mirror.name,
                size,
                extra={"event": "mirror.removed", "mirror": mirror.name, "bytes": size},
            )
        return freed
