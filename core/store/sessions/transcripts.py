"""Transcripts of sessions: the session store of the agent SDK, in Postgres.

The id of a Claude session is a UUID and identifies a transcript alone.  So a session that is
resumed in another directory, for which the SDK passes another `project_key`, finds its history.
An id that is not a UUID is unique only within its project.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from core.store.database.engine import Database, translate_errors
from core.store.tables.types import sanitize_text, to_json

Key = Mapping[str, Any]
Entry = Mapping[str, Any]
# The uuids are in an index, whose rows have at most 2,704 bytes.
_MAX_UUID_CHARS = 100
# The SDK's function to summarise a session: (previous summary, key, new entries) -> summary.
Fold = Callable[[Any, Any, Any], Any]

# Appends to one session are serialised, so that its entries have ids in the order of the commits.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:session_id || :scope, 20))")
# An entry with a uuid is stored once, however often it is sent.  An attempt adds only to its own
# session: the key comes from the agent program's output, to which hostile code can write.  The
# function takes the lock above, and looks at the attempt after that.
_APPEND = "SELECT signalbox_append_transcript($1, $2, $3, $4, $5, $6, $7, $8)"
_LOAD = text(
    """
    SELECT entry::text FROM transcript_entries
    WHERE session_id = :session_id AND scope = :scope AND subpath = :subpath
    ORDER BY id
    """
)
_SUBKEYS = text(
    """
    SELECT subpath FROM transcript_entries
    WHERE session_id = :session_id AND scope = :scope AND subpath <> ''
    GROUP BY subpath ORDER BY min(id)
    """
)
_SESSIONS = text(
    """
    SELECT session_id, (extract(epoch FROM max(stored_at)) * 1000)::bigint AS mtime
    FROM transcript_entries
    WHERE project_key = :project_key AND subpath = ''
    GROUP BY session_id
    """
)
_DELETE = text(
    """
    DELETE FROM transcript_entries
    WHERE session_id = :session_id AND scope = :scope AND (:subpath = '' OR subpath = :subpath)
    """
)
# `->>` decodes every string that it passes, and raises an error at NULs and lone surrogates, which
# are stored as escapes.  An entry with such escapes is read without any.
_TYPE = r"""
    (CASE WHEN entry::text ~ '\\u(0000|d[89a-f])'
        THEN regexp_replace(entry::text, '\\(u[0-9a-f]{4}|.)', '', 'g')::json
        ELSE entry
    END ->> 'type')
"""
# The program writes its queue before the first message, and cannot resume from that alone.
_EXISTS = text(
    f"""
    SELECT EXISTS (
        SELECT FROM transcript_entries
        WHERE session_id = :session_id AND scope = '' AND subpath = '' AND {_TYPE} = 'user'
    )
    """  # noqa: S608 - a constant of this module
)


_CONTAINS_ANY = text(
    """
    SELECT EXISTS (
        SELECT FROM transcript_entries
        WHERE session_id = :session_id AND scope = '' AND subpath = ''
            AND entry_uuid = ANY(:uuids)
    )
    """
)


# Answers of subagents are in transcripts with a subpath; the first entry is in the main one.
_ANSWERS_SINCE = text(
    f"""
    SELECT entry::text FROM transcript_entries
    WHERE session_id = :session_id AND scope = '' AND {_TYPE} = 'assistant'
        AND id > (
            SELECT min(id) FROM transcript_entries
            WHERE session_id = :session_id AND scope = '' AND subpath = ''
                AND entry_uuid = ANY(:uuids)
        )
    ORDER BY id
    """  # noqa: S608 - a constant of this module
)


async def contains_any(session: AsyncSession, session_id: UUID, uuids: Sequence[UUID]) -> bool:
    """Return whether a session's transcript has an entry with one of these uuids.

    An entry with the uuid of a message proves that the agent has consumed the message.
    """
    params = {"session_id": str(session_id), "uuids": [str(uuid) for uuid in uuids]}
    return bool(await session.scalar(_CONTAINS_ANY, params))


async def answers_since(
    session: AsyncSession, session_id: UUID, uuids: Sequence[UUID]
) -> list[dict[str, Any]]:
    """Return the model's answers since the first entry with one of these uuids.

    Answers to subagents are included.  Nobody can add entries until the transaction ends.
    """
    params = {"session_id": str(session_id), "uuids": [str(uuid) for uuid in uuids]}
    await session.execute(_LOCK, {"session_id": str(session_id), "scope": ""})
    return [json.loads(line) for line in await session.scalars(_ANSWERS_SINCE, params)]


async def exists(session: AsyncSession, session_id: UUID) -> bool:
    """Return whether a session has a transcript from which it can be resumed."""
    return bool(await session.scalar(_EXISTS, {"session_id": str(session_id)}))


class Transcripts:
    """The session store for the SDK; each call is a transaction of its own."""

    def __init__(
        self,
        database: Database,
        *,
        fold: Fold | None = None,
        attempt: tuple[str, int] | None = None,
    ) -> None:
        """Use a database.

        Args:
            database: Where to store them.
            fold: The SDK's `fold_session_summary`; without it there are no summaries.
            attempt: Run and attempt of the only writer, see `for_attempt`.
        """
        self._database = database
        self._fold = fold
        self._attempt = attempt

    def for_attempt(self, run_id: str, attempt: int) -> Transcripts:
        """Return a store for the agent of one attempt.

        It ignores appends after a newer attempt: otherwise entries of a worker that was declared
        lost, but lives, would mix with those of the next attempt.  It also ignores appends to any
        session but the run's own.
        """
        return Transcripts(self._database, fold=self._fold, attempt=(run_id, attempt))

    async def append(self, key: Key, entries: Sequence[Entry]) -> None:
        """Append entries in this order; entries whose uuid is stored already are skipped.

        Raises:
            Unavailable: If the database cannot be reached.
            Unstorable: If the database rejects an entry.
        """
        if not entries:
            return
        key_params = _key_params(key)
        with translate_errors():
            await self._append(key_params, key, entries)

    async def _append(self, key_params: dict[str, str], key: Key, entries: Sequence[Entry]) -> None:
        run_id, attempt = self._attempt or (None, None)
        await self._database.reads.write_row(
            _APPEND,
            key_params["scope"],
            key_params["session_id"],
            key_params["subpath"],
            sanitize_text(str(key["project_key"])),
            [_uuid_of(entry) for entry in entries],
            [_line_of(entry) for entry in entries],
            run_id,
            attempt,
        )

    async def load(self, key: Key) -> list[dict[str, Any]] | None:
        """Return all entries in order; `None` if there are none.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        with translate_errors():
            async with self._database.sessions() as session:
                lines = (await session.scalars(_LOAD, _key_params(key))).all()
        return [json.loads(line) for line in lines] or None

    async def list_sessions(self, project_key: str) -> list[dict[str, Any]]:
        """List a project's sessions, each with the time of its last entry (Unix time in ms)."""
        with translate_errors():
            async with self._database.sessions() as session:
                rows = await session.execute(_SESSIONS, {"project_key": sanitize_text(project_key)})
                return [{"session_id": row.session_id, "mtime": row.mtime} for row in rows]

    async def list_session_summaries(self, project_key: str) -> list[dict[str, Any]]:
        """List a project's sessions with summaries of their present entries.

        Raises:
            NotImplementedError: If there is no `fold`; the SDK then does without summaries.
        """
        if self._fold is None:
            raise NotImplementedError
        summaries = []
        for listed in await self.list_sessions(project_key):
            key = {"project_key": project_key, "session_id": listed["session_id"]}
            summary = self._fold(None, key, await self.load(key) or [])
            summaries.append({**summary, "mtime": listed["mtime"]})
        return summaries

    async def list_subkeys(self, key: Key) -> list[str]:
        """List the subpaths of a session, which are its subagents' transcripts.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        key_params = _key_params(key)
        del key_params["subpath"]
        with translate_errors():
            async with self._database.sessions() as session:
                return list(await session.scalars(_SUBKEYS, key_params))

    async def delete(self, key: Key) -> None:
        """Delete the transcript of a subagent, or of a session with all its subagents."""
        with translate_errors():
            async with self._database.sessions.begin() as session:
                await session.execute(_DELETE, _key_params(key))


def _key_params(key: Key) -> dict[str, str]:
    session_id = str(key["session_id"])
    try:
        # The canonical form: capitals and braces make no difference.
        session_id, scope = str(UUID(session_id)), ""
    except ValueError:
        scope = str(key["project_key"])
    return {
        "scope": sanitize_text(scope),
        "session_id": sanitize_text(session_id),
        "subpath": sanitize_text(str(key.get("subpath") or "")),
    }


def _uuid_of(entry: Entry) -> str | None:
    uuid = entry.get("uuid")
    if not isinstance(uuid, str) or len(uuid) > _MAX_UUID_CHARS:
        return None
    return sanitize_text(uuid)


def _line_of(entry: Entry) -> str:
    """Write an entry as JSON, exactly as it is; only NaN and infinity become strings."""
    try:
        return json.dumps(entry, allow_nan=False)
    except ValueError:
        return to_json(entry)
