"""Transactions of services: opened here, refused acts audited here."""

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
    """The person's role does not allow the act.

    Attributes:
        run: The run it was about, if it was about one.
        is_foreign: Whether that run is somebody else's: then another role than the present one
            is not all that is missing.
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
    """What every service needs to open a transaction and to decide."""

    database: Database
    clock: Clock

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Open one transaction, committed at the end.

        A `NotAllowed` rolls it back and is then audited in a transaction of its own.

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
        """Write one line of the audit log in a transaction of its own."""
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
    """An audit line about an act on a run."""
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
    """Raise `NotAllowed` unless the person may do this."""
    if not is_allowed(actor, action, run):
        raise NotAllowed(actor, action, run)
