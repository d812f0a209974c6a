"""The page of the audit log, and the log as CSV."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from aiohttp import web
from pydantic import Field

from bot.web.api.audit_routes import AuditEntryAnswer, audit_entry_answer
from bot.web.api.table import ApiServices
from bot.web.api.values import RowId, RunTarget
from bot.web.dashboard.csv_text import csv_lines
from bot.web.dashboard.headers import PAGE_HEADERS
from bot.web.dashboard.page import AnyPage, Content, Page, PageCall, Part, Section
from bot.web.dashboard.pages.run_filters import pairs
from bot.web.dashboard.pages.runs import RANGES, RangeText
from bot.web.route import LenientParameters, NoParameters
from bot.words.times import parse_duration
from core.domain.actor import Action, Role
from core.domain.audit import AuditSearch

log = logging.getLogger(__name__)

_PAGE_SIZE = 100
_CSV_PAGE = 500
# As many lines as a spreadsheet takes.
_MAX_LINES = 1_000_000
_COLUMNS = (
    "id",
    "at",
    "person",
    "role",
    "origin",
    "external_id",
    "token",
    "action",
    "allowed",
    "run_id",
    "reason",
    "details",
)


class AuditPageQuery(LenientParameters):
    """Which entries to show.

    Attributes:
        range: Only those so long ago at most, such as `7d`.
    """

    person: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    action: Action | None = None
    allowed: bool | None = None
    run_id: RunTarget | None = None
    range: RangeText | None = None
    before: RowId | None = None

    @property
    def given(self) -> dict[str, Any]:
        """The filters that are set, as the address has them."""
        found = self.model_dump(mode="json", exclude_defaults=True, exclude={"before"})
        return {
            name: str(value).lower() if isinstance(value, bool) else value
            for name, value in found.items()
        }

    def search(self, services: ApiServices) -> AuditSearch:
        """The same for the audit log."""
        length = parse_duration(self.range) if self.range else None
        return AuditSearch(
            run=self.run_id,
            person=self.person,
            action=None if self.action is None else self.action.value,
            allowed=self.allowed,
            since=None if length is None else services.clock() - length,
        )


@dataclass(frozen=True)
class AuditPages:
    """Shows the audit log to admins."""

    services: ApiServices

    async def load(self, call: PageCall[NoParameters, AuditPageQuery]) -> Content:
        """A page of entries, newest first."""
        query = call.query
        found = await self.services.audit.page(
            query.search(self.services), by=call.actor, before_id=query.before, limit=_PAGE_SIZE
        )
        given = query.given
        values: dict[str, Any] = {
            "query": query,
            "entries": [audit_entry_answer(one) for one in found.entries],
            "run_ids": found.run_ids,
            "actions": pairs(one.value for one in Action),
            "decisions": [("true", "allowed"), ("false", "refused")],
            "decision": "" if query.allowed is None else str(query.allowed).lower(),
            "ranges": pairs(RANGES),
            "is_filtered": bool(given),
            "csv_url": _url(given, "/audit.csv"),
            "next_url": None if found.next is None else _url({**given, "before": found.next}),
            "first_url": None if query.before is None else _url(given),
        }
        return Content(
            title="Audit",
            sections=(Section(name="audit", template="audit/list.html", values=values),),
        )

    async def csv(
        self, call: PageCall[NoParameters, AuditPageQuery], request: web.Request
    ) -> web.StreamResponse:
        """All entries that match, as CSV, while they are read."""
        search, audit = call.query.search(self.services), self.services.audit
        page = await audit.page(search, by=call.actor, before_id=None, limit=_CSV_PAGE)
        response = web.StreamResponse(
            headers={
                **PAGE_HEADERS,
                "Content-Type": "text/csv; charset=utf-8",
                "Content-Disposition": 'attachment; filename="signalbox-audit.csv"',
            }
        )
        await response.prepare(request)
        try:
            # A mark by which spreadsheets know the encoding.
            await response.write("\ufeff".encode() + csv_lines([_COLUMNS]))
            lines = 0
            while True:
                rows = [_line(audit_entry_answer(one), page.run_ids) for one in page.entries]
                await response.write(csv_lines(rows))
                lines += len(rows)
                if page.next is None or lines >= _MAX_LINES:
                    break
                page = await audit.page(search, by=call.actor, before_id=page.next, limit=_CSV_PAGE)
            await response.write_eof()
        except ConnectionError:
            # The browser has left.
            return response
        except Exception:
            # The answer has begun: only its early end can tell that it is not whole.
            log.exception("an export failed", extra={"event": "export.failed"})
            if request.transport is not None:
                request.transport.abort()
        return response

    def pages(self) -> list[AnyPage]:
        """The pages of this module."""
        return [
            Page(
                path="/audit",
                name="audit",
                nav="audit",
                path_parameters=NoParameters,
                query=AuditPageQuery,
                load=self.load,
                role=Role.ADMIN,
                action=Action.ADMINISTER,
                parts=(
                    Part(
                        path="/audit.csv",
                        name="audit_csv",
                        path_parameters=NoParameters,
                        query=AuditPageQuery,
                        answer=self.csv,
                        role=Role.ADMIN,
                        action=Action.ADMINISTER,
                    ),
                ),
            )
        ]


def _line(entry: AuditEntryAnswer, run_ids: Mapping[UUID, str]) -> list[str]:
    run = entry.run_uuid
    return [
        str(entry.id),
        entry.at.isoformat(),
        entry.actor,
        entry.role,
        entry.origin.value,
        entry.external_id or "",
        entry.token or "",
        entry.action,
        "allowed" if entry.allowed else "refused",
        "" if run is None else run_ids.get(run, str(run)),
        entry.reason or "",
        json.dumps(entry.details, ensure_ascii=False, sort_keys=True) if entry.details else "",
    ]


def _url(filters: Mapping[str, Any], path: str = "/audit") -> str:
    return f"{path}?{urlencode(filters)}" if filters else path
