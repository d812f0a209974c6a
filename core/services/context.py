"""The context of services: transactions, permissions, and the audit of refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.actor import (
    REQUIRED_ROLES,
    ROLE_DEEDS,
    RUN_DEEDS,
    Action,
    Actor,
    Role,
    User,
    is_allowed,
)
from core.domain.audit import AuditEntry
from core.domain.errors import Forbidden
from core.domain.runs.run import Run
from core.store import audit, users
from core.store.database.engine import Database, translate_errors
from core.store.runs import tasks

Clock = Callable[[], datetime]


class NotAllowed(Forbidden):
    """The person's role does not allow the action.

    Attributes:
        run: The run that the action is about, if any.
        is_foreign: Whether that run belongs to somebody else; then a role may allow the action
            for the person's own runs, but not for this one.
        owner: The owner of that run, who may do it; `None` if there is none, or until it is known.
        deed: The action in words, to complete "can …".
        needed: The lowest role that allows the action.
        about: The task that the run works on; its own, until another one is known.
        leg: Its number among the runs on that task.
    """

    code = "not_allowed"

    def __init__(
        self,
        actor: Actor,
        action: Action,
        run: Run | None,
        *,
        needed: Role | None = None,
        user_message: str | None = None,
    ) -> None:
        self.actor = actor
        self.action = action
        self.needed = REQUIRED_ROLES[action] if needed is None else needed
        self.run = run
        self.is_foreign = run is not None and actor.user_id != run.user_id
        self.owner: User | None = None
        self.about = "" if run is None else run.task_input
        self.leg = 1
        self.deed = (RUN_DEEDS if self.is_foreign else ROLE_DEEDS)[action]
        super().__init__(
            f"{actor.name} may not {action} {run.run_id if run else ''}",
            user_message=user_message or self._words("its owner"),
        )
        self._is_own_text = user_message is None

    def name_owner(self, owner: User) -> None:
        """Say whose run it is, now that this is known."""
        self.owner = owner
        if self._is_own_text:
            self.user_message = self._words(f"@{owner.name[:80]}")

    def _words(self, owner: str) -> str:
        if self.run is not None and self.is_foreign:
            owner = owner if self.run.user_id is not None else ""
            either = f"{owner} or an operator" if owner else "an operator"
            return f"Only {either} can {self.deed} (`{self.run.run_id}`)."
        return (
            f"Only people with the role {self.needed.name.lower()} can {self.deed}; yours is "
            f"{self.actor.role.name.lower()}."
        )


@dataclass(frozen=True)
class ServiceContext:
    """What every service needs: the database and the clock."""

    database: Database
    clock: Clock

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Open a transaction, and commit it at the end.

        A `NotAllowed` rolls it back, and is then audited in a transaction of its own.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        try:
            with translate_errors():
                async with self.database.sessions.begin() as session:
                    yield session
        except NotAllowed as refusal:
            await self._name_owner(refusal)
            await self.audit(
                refusal.actor,
                refusal.action,
                allowed=False,
                run=refusal.run,
                reason="role",
            )
            raise

    async def _name_owner(self, refusal: NotAllowed) -> None:
        if not refusal.is_foreign or refusal.run is None:
            return
        owner: User | None = None
        with translate_errors():
            async with self.database.sessions.begin() as session:
                place = await tasks.of_run(session, refusal.run)
                if refusal.run.user_id is not None:
                    owner = await users.get(session, refusal.run.user_id)
        refusal.about, refusal.leg = place.about, place.leg
        if owner is not None:
            refusal.name_owner(owner)

    async def audit(
        self,
        actor: Actor,
        action: str,
        *,
        allowed: bool,
        run: Run | None = None,
        reason: str | None = None,
    ) -> None:
        """Write an entry of the audit log, in a transaction of its own."""
        with translate_errors():
            async with self.database.sessions.begin() as session:
                await audit.record(
                    session,
                    audit_entry(
                        actor, action, self.clock(), allowed=allowed, run=run, reason=reason
                    ),
                )


def audit_entry(
    actor: Actor,
    action: str,
    now: datetime,
    *,
    allowed: bool = True,
    run: Run | None = None,
    reason: str | None = None,
    **details: object,
) -> AuditEntry:
    """An audit entry about an action, on a run if one is given."""
    return AuditEntry(
        at=now,
        actor=actor,
        action=action,
        allowed=allowed,
        run_id=run.id if run else None,
        reason=reason,
        details=details,
    )


def require_permission(
    actor: Actor, action: Action, run: Run | None = None, *, least_role: Role = Role.NONE
) -> None:
    """Raise `NotAllowed` unless the person may do this action.

    Args:
        actor: The person or program.
        action: What they want to do.
        run: The run that the action is about, if any.
        least_role: The lowest role that the team's settings allow it to, if that is a higher one.
    """
    if not is_allowed(actor, action, run) or actor.role < least_role:
        needed = max(REQUIRED_ROLES[action], least_role)
        raise NotAllowed(actor, action, run, needed=needed)
