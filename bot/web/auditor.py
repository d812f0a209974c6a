"""What the web surface writes into the audit log itself."""

from __future__ import annotations

from typing import Protocol

from core.domain.actor import Action, Actor


class Auditor(Protocol):
    """Writes refusals into the audit log; see `PeopleService`."""

    async def audit_refusal(self, actor: Actor, action: Action, *, reason: str) -> None:
        """Audit a refusal that the surface decided."""
        ...
