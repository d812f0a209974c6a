"""People who act: their own ids and roles, and the audit of refusals."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from core.domain.actor import Action, Actor, Identity, Origin, Role, User
from core.domain.runs.run import Run
from core.services.context import ServiceContext
from core.store import users


@dataclass(frozen=True)
class PeopleService:
    """Registers people, and audits refusals."""

    context: ServiceContext

    async def ensure_actor(self, identity: Identity, *, role: Role) -> Actor:
        """The actor for an identity, with the given role.

        A member of a Slack workspace has a row in `users`, created at the first request.  Other
        identities have no row and own no runs.

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

    async def find_users(self, user_ids: Collection[UUID]) -> Mapping[UUID, User]:
        """Those of the people who are known, by the ids of their rows.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        async with self.context.transaction() as session:
            return await users.by_ids(session, user_ids)

    async def audit_refusal(
        self, actor: Actor, action: Action, *, reason: str, run: Run | None = None
    ) -> None:
        """Audit a refusal that a surface decided (wrong team, guest, channel…)."""
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
