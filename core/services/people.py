"""People: who acts, with our own id of them; and refusals that no run service saw."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from core.domain.actor import Action, Actor, Identity, Origin, Role
from core.domain.runs.run import Run
from core.services.context import ServiceContext
from core.store import users


@dataclass(frozen=True)
class PeopleService:
    """Known people."""

    context: ServiceContext

    async def ensure_actor(self, identity: Identity, *, role: Role) -> Actor:
        """Somebody as an actor with the role they hold here and now.

        A member of a Slack workspace has a row, which is made at the first meeting.  Others have
        none yet: they act without owning anything.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        return Actor(
            role=role,
            origin=identity.origin,
            user_id=await self._user_id(identity),
            external_id=identity.external_id,
            team_id=identity.team_id,
            name=identity.name,
        )

    async def audit_refusal(
        self, actor: Actor, action: Action, *, reason: str, run: Run | None = None
    ) -> None:
        """Audit a refusal that was decided outside (wrong team, guest, channel…)."""
        await self.context.audit(actor, action, allowed=False, run=run, reason=reason)

    async def _user_id(self, identity: Identity) -> UUID | None:
        if identity.origin is not Origin.SLACK or identity.team_id is None:
            return None
        async with self.context.transaction() as session:
            user = await users.ensure(
                session,
                slack_team_id=identity.team_id,
                slack_user_id=identity.external_id,
                name=identity.name,
                now=self.context.clock(),
            )
        return user.id
