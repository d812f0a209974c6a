"""A process that ends at any point: before the commit of some transaction, or directly after it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from core.services.context import ServiceContext


class Interrupted(Exception):
    """The process ends here."""


@dataclass(frozen=True)
class InterruptedContext(ServiceContext):
    """Ends after some number of transactions.

    Attributes:
        left: How many are left, in a list of one.
        before_commit: Whether the last one is rolled back.
    """

    left: list[int] = field(default_factory=list)
    before_commit: bool = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A transaction, or the last one."""
        self.left[0] -= 1
        async with super().transaction() as session:
            yield session
            if self.left[0] <= 0 and self.before_commit:
                raise Interrupted
        if self.left[0] <= 0:
            raise Interrupted
