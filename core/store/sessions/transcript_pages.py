"""Transcripts as people and programs read them: page by page, checked, summed up, set aside."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.sessions.transcript_check import TranscriptLink
from core.store.tables.types import sanitize_text

# The scope of a conversation that a recovery leg has left behind; the id of that run follows.
SUPERSEDED = "superseded:"
# A transcript of a session that is not set aside, or any.
_OWN = "session_id = :session_id AND scope = ''"
_ALL = "session_id = :session_id AND (scope = '' OR starts_with(scope, 'superseded:'))"
# As text: a column of the type `json` may hold what Postgres itself cannot decode.
_PAGE = text(
    f"""
    SELECT id, entry::text AS line FROM transcript_entries
    WHERE {_ALL} AND subpath = :subpath AND id > :after_id
    ORDER BY id LIMIT :limit
    """  # noqa: S608 - a constant of this module
)
# Read in Postgres, because a conversation can be large.  An entry with escapes that Postgres cannot
# decode is read without any.
_LINKS = text(
    rf"""
    SELECT line.entry_uuid AS uuid, fields."parentUuid" AS parent, fields.type,
        fields."isSidechain" AS sidechain
    FROM (
        SELECT id, entry_uuid, CASE WHEN entry::text ~ '\\u(0000|d[89a-f])'
            THEN regexp_replace(entry::text, '\\(u[0-9a-f]{{4}}|.)', '', 'g')::json
            ELSE entry
        END AS entry
        FROM transcript_entries
        WHERE {_OWN} AND subpath = '' AND entry_uuid IS NOT NULL
    ) line
    CROSS JOIN LATERAL json_to_record(line.entry) AS
        fields ("parentUuid" text, type text, "isSidechain" text)
    ORDER BY line.id
    """  # noqa: S608 - a constant of this module
)
_MESSAGE_TYPES = frozenset({"user", "assistant"})
_NEWEST_LINES = text(
    f"""
    SELECT line FROM (
        SELECT id, entry::text AS line FROM transcript_entries
        WHERE {_ALL} AND subpath = '' AND entry_uuid IS NOT NULL
        ORDER BY id DESC LIMIT :limit
    ) newest
    ORDER BY id
    """  # noqa: S608 - a constant of this module
)
_SET_ASIDE = text(
    f"UPDATE transcript_entries SET scope = :scope WHERE {_OWN}"  # noqa: S608 - as above
)


async def links(session: AsyncSession, session_id: UUID) -> list[TranscriptLink]:
    """The entries of a session's main conversation that have an id, in order, by their parents."""
    rows = await session.execute(_LINKS, {"session_id": str(session_id)})
    return [
        TranscriptLink(
            uuid=row.uuid,
            parent=row.parent or None,
            is_message=row.type in _MESSAGE_TYPES and row.sidechain != "true",
        )
        for row in rows
    ]


async def newest_lines(session: AsyncSession, session_id: UUID, *, limit: int) -> list[str]:
    """The last of these entries as JSON, in order, also of conversations that were set aside."""
    params = {"session_id": str(session_id), "limit": limit}
    return list(await session.scalars(_NEWEST_LINES, params))


async def set_aside(session: AsyncSession, session_id: UUID, run_id: str) -> None:
    """Set a session's conversation aside, with those of subagents, for this run's new one.

    Nothing is deleted: people still read it.
    """
    params = {"session_id": str(session_id), "scope": f"{SUPERSEDED}{run_id}"}
    await session.execute(_SET_ASIDE, params)


async def page(
    session: AsyncSession, session_id: UUID, *, subpath: str, after_id: int, limit: int
) -> list[tuple[int, dict[str, Any]]]:
    """The entries of a transcript with an id above `after_id`, at most `limit`, with their ids.

    What was set aside comes before the present conversation.
    """
    rows = await session.execute(
        _PAGE,
        {
            "session_id": str(session_id),
            "subpath": sanitize_text(subpath),
            "after_id": after_id,
            "limit": limit,
        },
    )
    return [(row.id, json.loads(row.line)) for row in rows]
