"""People: who acts, with our own id of them; and refusals that no run service saw."""

from __future__ import annotations

from dataclasses import dataclass

from core.domain.actor import Action, Actor, Origin, Role
from core.domain.runs.run import Run
from core.services.context import ServiceContext
from core.store import users


@dataclass(frozen=True)
class PeopleService:
    """Known people."""

    context: ServiceContext

    async def ensure_actor(self, *, team_id: str, user_id: str, name: str, role: Role) -> Actor:
        """The Slack user as an actor; their row is made at the first meeting.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        async with self.context.transaction() as session:
            user = await users.ensure(
                session,
                slack_team_id=team_id,
                slack_user_id=user_id,
                name=name,
                now=self.context.clock(),
            )
        return Actor(
            role=role,
            origin=Origin.SLACK,
            user_id=user.id,
            external_id=user_id,
            team_id=team_id,
            name=name,
        )

    async def audit_refusal(
        self, actor: Actor, action: Action, *, reason: str, run: Run | None = None
    ) -> None:
        """Audit a refusal that was decided outside (wrong team, guest, channel…)."""
        await self.context.audit(actor, action, allowed=False, run=run, reason=reason)
