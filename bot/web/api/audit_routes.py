"""The route of the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Protocol
from uuid import UUID

from pydantic import Field

from bot.web.api.values import Moment, RowId, RunTarget
from bot.web.route import Answer, AnyRoute, Call, Method, NoParameters, Parameters, Route
from core.domain.actor import Action, Actor, Origin, Role
from core.domain.audit import AuditPage as AuditLogPage
from core.domain.audit import AuditSearch, StoredAuditEntry


class AuditQuery(Parameters):
    """Which entries to read."""

    before: Annotated[RowId, Field(description="The `next` of the page before.")] | None = None
    run_id: RunTarget | None = None
    person: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="The name of who acted, or their id, such as that in Slack."
    )
    action: Annotated[str, Field(min_length=1, max_length=50)] | None = None
    allowed: bool | None = Field(
        default=None, description="Only what was allowed, or only what was refused."
    )
    since: Moment | None = Field(default=None, description="Of then or later.")
    until: Moment | None = Field(default=None, description="Before then.")
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class AuditEntryAnswer(Answer):
    """A decision on a request.

    Attributes:
        token: The API token with which the request came, if it came with one.
    """

    id: int
    at: datetime
    action: str
    allowed: bool
    actor: str
    role: str
    origin: Origin
    external_id: str | None
    token: str | None
    run_uuid: UUID | None
    reason: str | None
    details: dict[str, Any]


class AuditPage(Answer):
    """Entries of the audit log, newest first; `next` is `null` on the last page.

    A page looks through 20,000 entries: with filters it can be empty, and yet have a `next`.
    """

    entries: list[AuditEntryAnswer]
    next: int | None


class AuditReader(Protocol):
    """Reads the audit log; see `AuditService`."""

    async def page(
        self, search: AuditSearch, *, by: Actor, before_id: int | None, limit: int
    ) -> AuditLogPage:
        """Entries, newest first."""
        ...


@dataclass(frozen=True)
class AuditRoutes:
    """Answers the audit log."""

    audit: AuditReader

    async def list_audit(self, call: Call[NoParameters, AuditQuery, NoParameters]) -> AuditPage:
        """A page of the audit log."""
        query = call.query
        search = AuditSearch(
            run=query.run_id,
            person=query.person,
            action=query.action,
            allowed=query.allowed,
            since=query.since,
            until=query.until,
        )
        found = await self.audit.page(
            search, by=call.actor, before_id=query.before, limit=query.limit
        )
        return AuditPage(
            entries=[audit_entry_answer(one) for one in found.entries], next=found.next
        )

    def routes(self) -> list[AnyRoute]:
        """The route of this module."""
        return [
            Route(
                method=Method.GET,
                path="/audit",
                name="list_audit",
                summary="Every decision on a request, newest first",
                tag="Console",
                role=Role.ADMIN,
                action=Action.ADMINISTER,
                path_parameters=NoParameters,
                query=AuditQuery,
                body=NoParameters,
                answer=AuditPage,
                handler=self.list_audit,
            )
        ]


def audit_entry_answer(stored: StoredAuditEntry) -> AuditEntryAnswer:
    """An entry of the audit log as JSON.  Pure."""
    entry = stored.entry
    token = entry.details.get("token")
    return AuditEntryAnswer(
        id=stored.id,
        at=entry.at,
        action=entry.action,
        allowed=entry.allowed,
        actor=entry.actor.name,
        role=entry.actor.role.name.lower(),
        origin=entry.actor.origin,
        external_id=entry.actor.external_id,
        token=None if token is None else str(token),
        run_uuid=entry.run_id,
        reason=entry.reason,
        details=dict(entry.details),
    )
