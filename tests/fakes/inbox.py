"""The received deliveries, in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class FakeInbox(ABC):
    """The received deliveries by key; of a done one only the key is stored."""

    inbox: dict[str, Mapping[str, Any] | None] = field(default_factory=dict)
    renewed: list[str] = field(default_factory=list)

    @abstractmethod
    def notify_watchers(self) -> None:
        """Wake the tasks that wait for a change."""

    @abstractmethod
    def check_reachable(self) -> None:
        """Fail if the database is unreachable."""

    async def receive(self, key: str, body: Mapping[str, Any]) -> bool:
        self.check_reachable()
        if key in self.inbox:
            return False
        self.inbox[key] = body
        self.notify_watchers()
        return True

    async def mark_done(self, key: str) -> None:
        self.check_reachable()
        self.inbox[key] = None
        self.notify_watchers()

    async def renew_claims(self, keys: Collection[str]) -> None:
        self.check_reachable()
        self.renewed.extend(keys)
        self.notify_watchers()

    async def claim_unfinished(self) -> list[tuple[str, Mapping[str, Any]]]:
        self.check_reachable()
        return [(key, body) for key, body in self.inbox.items() if body is not None]
