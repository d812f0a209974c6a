"""Transcripts page by page, for people and programs that read them."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from core.store.tables.types import sanitize_text

# As text: a column of the type `json` may hold what Postgres itself cannot decode.
_PAGE = text(
    """
    SELECT id, entry::text AS line FROM transcript_entries
    WHERE session_id = :session_id AND scope = '' AND subpath = :subpath AND id > :after_id
    ORDER BY id LIMIT :limit
    """
)


async def page(
    session: AsyncSession, session_id: UUID, *, subpath: str, after_id: int, limit: int
) -> list[tuple[int, dict[str, Any]]]:
    """The entries of a transcript with an id above `after_id`, at most `limit`, with their ids."""
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
