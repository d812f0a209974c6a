"""The slow reference: which rows must stay, told row by row in Python."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from core.domain.retention import RetentionPolicy
from core.store.database.engine import Database


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The ids of rows of each kind."""

    events: frozenset[int]
    transcripts: frozenset[int]
    audit: frozenset[int]

    @property
    def count(self) -> int:
        """All of them."""
        return len(self.events) + len(self.transcripts) + len(self.audit)

    def up_to(self, newest: Mapping[str, int]) -> Kept:
        """Without the rows that are newer than these, by their ids."""
        return Kept(
            events=frozenset(one for one in self.events if one <= newest["events"]),
            transcripts=frozenset(one for one in self.transcripts if one <= newest["transcripts"]),
            audit=frozenset(one for one in self.audit if one <= newest["audit"]),
        )

    def missing_from(self, present: Kept) -> int:
        """How many of these rows are not present: they went too early."""
        return (
            len(self.events - present.events)
            + len(self.transcripts - present.transcripts)
            + len(self.audit - present.audit)
        )


async def present_rows(database: Database) -> Kept:
    """The rows that there are."""
    async with database.sessions() as session:

        async def ids(table: str) -> frozenset[int]:
            return frozenset(await session.scalars(text(f"SELECT id FROM {table}")))

        return Kept(
            events=await ids("run_events"),
            transcripts=await ids("transcript_entries"),
            audit=await ids("audit_log"),
        )


async def rows_to_keep(database: Database, policy: RetentionPolicy, now: datetime) -> Kept:
    """The rows that must stay, of those that there are."""
    async with database.sessions() as session:
        runs = (
            await session.execute(text("SELECT id, session_id, completed_at FROM workflow_runs"))
        ).all()
        events = (await session.execute(text("SELECT id, run_id FROM run_events"))).all()
        entries = (
            await session.execute(text("SELECT id, session_id, stored_at FROM transcript_entries"))
        ).all()
        audit = (await session.execute(text("SELECT id, at FROM audit_log"))).all()
    assert policy.events is not None
    assert policy.transcripts is not None
    assert policy.audit is not None
    ended = {run.id: run.completed_at for run in runs}
    never = datetime.min.replace(tzinfo=now.tzinfo)
    last_active: defaultdict[str, datetime] = defaultdict(lambda: never)
    for run in runs:
        key = str(run.session_id)
        last_active[key] = max(last_active[key], run.completed_at or now)
    for entry in entries:
        last_active[entry.session_id] = max(last_active[entry.session_id], entry.stored_at)
    return Kept(
        events=frozenset(
            event.id
            for event in events
            if ended[event.run_id] is None or ended[event.run_id] >= now - policy.events
        ),
        transcripts=frozenset(
            entry.id
            for entry in entries
            if last_active[entry.session_id] >= now - policy.transcripts
        ),
        audit=frozenset(entry.id for entry in audit if entry.at >= now - policy.audit),
    )
