"""The context of services: transactions, permissions, and the audit of refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.actor import Action, Actor, is_allowed
from core.domain.audit import AuditEntry
from core.domain.errors import Forbidden
from core.domain.runs.run import Run
from core.store import audit
from core.store.database.engine import Database, translate_errors

Clock = Callable[[], datetime]


class NotAllowed(Forbidden):
    """The person's role does not allow the action.

    Attributes:
        run: The run that the action is about, if any.
        is_foreign: Whether that run belongs to somebody else; then a role may allow the action
            for the person's own runs, but not for this one.
    """

    code = "not_allowed"

    def __init__(
        self, actor: Actor, action: Action, run: Run | None, *, user_message: str | None = None
    ) -> None:
        self.actor = actor
        self.action = action
        self.run = run
        self.is_foreign = run is not None and actor.user_id != run.user_id
        about = f" on `{run.run_id}`" if run else ""
        why = (
            " It is somebody else's run: its owner or an operator can do that."
            if self.is_foreign
            else ""
        )
        super().__init__(
            f"{actor.name} may not {action} {run.run_id if run else ''}",
            user_message=user_message or f"You may not {action}{about}.{why}",
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
            await self.audit(
                refusal.actor,
                refusal.action,
                allowed=False,
                run=refusal.run,
                reason="role",
            )
            raise

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


def require_permission(actor: Actor, action: Action, run: Run | None = None) -> None:
    """Raise `NotAllowed` unless the person may do this action."""
    if not is_allowed(actor, action, run):
        raise NotAllowed(actor, action, run)
