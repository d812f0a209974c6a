"""The deliveries that were taken, in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Inbox(ABC):
    """What was delivered, by key; a done one keeps its key only."""

    inbox: dict[str, Mapping[str, Any] | None] = field(default_factory=dict)
    renewed: list[str] = field(default_factory=list)

    @abstractmethod
    def touch(self) -> None:
        """Wake who waits for a change."""

    @abstractmethod
    def reach(self) -> None:
        """Fail if the database is away."""

    async def receive(self, key: str, body: Mapping[str, Any]) -> bool:
        self.reach()
        if key in self.inbox:
            return False
        self.inbox[key] = body
        self.touch()
        return True

    async def done(self, key: str) -> None:
        self.reach()
        self.inbox[key] = None
        self.touch()

    async def renew(self, keys: Collection[str]) -> None:
        self.reach()
        self.renewed.extend(keys)
        self.touch()

    async def claim_unfinished(self) -> list[tuple[str, Mapping[str, Any]]]:
        self.reach()
        return [(key, body) for key, body in self.inbox.items() if body is not None]
