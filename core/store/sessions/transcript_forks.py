"""Forks of conversations: a new session that begins with another one's up to some entry.

The entries keep their uuids.  They are unique within a session only, so what names an entry of the
old session (a checkpoint) names the same entry of the fork, and of its forks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

# What makes up a conversation, as the SDK's own forks take it.  The rest belongs to one process:
# its queue, its costs, its undo history, its title.
_CONVERSATION_TYPES = frozenset({"user", "assistant", "attachment", "system", "progress"})
# Long tool results that the program keeps in short; without it they would be sent in full.
_REPLACEMENTS_TYPE = "content-replacement"
# Of one execution; they would tie the fork to the process that wrote them.
_DROPPED_KEYS = ("teamName", "agentName", "slug")
_BATCH = 500

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:session_id, 20))")
_IS_BEGUN = text(
    """
    SELECT EXISTS (
        SELECT FROM transcript_entries WHERE session_id = :session_id AND scope = ''
    )
    """
)
_LAST_ID = text(
    """
    SELECT id FROM transcript_entries
    WHERE session_id = :session_id AND scope = '' AND subpath = '' AND entry_uuid = :entry_uuid
    """
)
# By the order in which they were stored.  Subagents' transcripts have subpaths of their own.
_ENTRIES = text(
    """
    SELECT subpath, project_key, entry_uuid, entry::text AS line FROM transcript_entries
    WHERE session_id = :session_id AND scope = '' AND id <= :last_id
    ORDER BY id
    """
)
_MAIN_ENTRIES = text(
    """
    SELECT entry::text FROM transcript_entries
    WHERE session_id = :session_id AND scope = '' AND subpath = ''
    ORDER BY id
    """
)
_INSERT = text(
    """
    INSERT INTO transcript_entries
        (scope, session_id, subpath, project_key, entry_uuid, entry)
    SELECT '', :session_id, item.subpath, item.project_key, item.uuid, item.entry::json
    FROM unnest(
        CAST(:subpaths AS text[]), CAST(:project_keys AS text[]), CAST(:uuids AS text[]),
        CAST(:entries AS text[])
    ) WITH ORDINALITY AS item (subpath, project_key, uuid, entry, position)
    ORDER BY item.position
    """
)


async def has_entry(session: AsyncSession, session_id: UUID, entry_uuid: UUID) -> bool:
    """Return whether the main transcript of a session has an entry with this uuid."""
    params = {"session_id": str(session_id), "entry_uuid": str(entry_uuid)}
    return await session.scalar(_LAST_ID, params) is not None


async def fork(session: AsyncSession, *, source: UUID, target: UUID, up_to: UUID) -> bool:
    """Let a session begin with the conversation of another one, up to and including an entry.

    All or nothing, and once: a session that has a transcript already stays as it is.

    Args:
        session: An open database session.
        source: The session to fork.
        target: The new session.
        up_to: The uuid of the last entry to take.

    Returns:
        Whether `source` has that entry; if not, nothing was written.
    """
    await session.execute(_LOCK, {"session_id": str(target)})
    if await session.scalar(_IS_BEGUN, {"session_id": str(target)}):
        return True
    params = {"session_id": str(source), "entry_uuid": str(up_to)}
    last_id = await session.scalar(_LAST_ID, params)
    if last_id is None:
        return False
    rows = (await session.execute(_ENTRIES, {"session_id": str(source), "last_id": last_id})).all()
    forked = [
        (row.subpath, row.project_key, row.entry_uuid, line)
        for row in rows
        if (line := forked_line(row.line, source=source, target=target)) is not None
    ]
    for batch in _batches(forked):
        subpaths, project_keys, uuids, lines = (list(column) for column in zip(*batch, strict=True))
        await session.execute(
            _INSERT,
            {
                "session_id": str(target),
                "subpaths": subpaths,
                "project_keys": project_keys,
                "uuids": uuids,
                "entries": lines,
            },
        )
    return True


def forked_line(line: str, *, source: UUID, target: UUID) -> str | None:
    """An entry as the fork has it; `None` if it is no part of the conversation.

    `forkedFrom` says which entry of which session it was, as the agent program writes it.
    """
    entry: Mapping[str, Any] = json.loads(line)
    kind, uuid = entry.get("type"), entry.get("uuid")
    if kind == _REPLACEMENTS_TYPE:
        return json.dumps({**entry, "sessionId": str(target)})
    if kind not in _CONVERSATION_TYPES or not isinstance(uuid, str):
        return None
    kept = {name: value for name, value in entry.items() if name not in _DROPPED_KEYS}
    return json.dumps(
        {
            **kept,
            "sessionId": str(target),
            "forkedFrom": {"sessionId": str(source), "messageUuid": uuid},
        }
    )


def _batches(
    rows: Sequence[tuple[str, str, str | None, str]],
) -> Iterable[Sequence[tuple[str, str, str | None, str]]]:
    for start in range(0, len(rows), _BATCH):
        yield rows[start : start + _BATCH]


async def lines_of(session: AsyncSession, session_id: UUID) -> Sequence[str]:
    """The entries of a session's main transcript as JSON, in order."""
    return (await session.scalars(_MAIN_ENTRIES, {"session_id": str(session_id)})).all()
