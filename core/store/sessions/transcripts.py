"""Transcripts of sessions: the agent SDK's session store, on Postgres.

A Claude session's id is a UUID, so a transcript is found by it alone: a session resumed in
another directory, where the SDK names another `project_key`, finds its history.  An id that
is no UUID is only unique within its project.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from core.store.database.engine import translate_errors
from core.store.tables.types import sanitize_text

Key = Mapping[str, Any]
Entry = Mapping[str, Any]
# The SDK's own way to sum a session up: (summary so far, key, more entries) -> summary.
Fold = Callable[[Any, Any, Any], Any]

# Appends to one session take turns: its lines are numbered in the order of their commits.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:session_id || :scope, 20))")
# A line with a uuid is kept once, however often it is sent.
_APPEND = text(
    """
    INSERT INTO transcript_entries
        (scope, session_id, subpath, project_key, entry_uuid, entry)
    SELECT :scope, :session_id, :subpath, :project_key, line.uuid, line.entry::json
    FROM unnest(CAST(:uuids AS text[]), CAST(:entries AS text[]))
        WITH ORDINALITY AS line (uuid, entry, place)
    WHERE CAST(:attempt AS integer) IS NULL OR EXISTS (
        SELECT FROM workflow_runs
        WHERE run_id = CAST(:run_id AS text) AND attempt = CAST(:attempt AS integer)
    )
    ORDER BY line.place
    ON CONFLICT DO NOTHING
    """
)
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
# The program notes its queue before anything is said, and does not go on from that alone.
_EXISTS = text(
    """
    SELECT EXISTS (
        SELECT FROM transcript_entries
        WHERE session_id = :session_id AND scope = '' AND subpath = ''
            AND entry->>'type' = 'user'
    )
    """
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


# After the first of these lines; agents below the main one have transcripts of their own.
_ANSWERS_SINCE = text(
    """
    SELECT entry::text FROM transcript_entries
    WHERE session_id = :session_id AND scope = '' AND entry->>'type' = 'assistant'
        AND id > (
            SELECT min(id) FROM transcript_entries
            WHERE session_id = :session_id AND scope = '' AND subpath = ''
                AND entry_uuid = ANY(:uuids)
        )
    ORDER BY id
    """
)


async def contains_any(session: AsyncSession, session_id: UUID, uuids: Sequence[UUID]) -> bool:
    """Whether a session's transcript has one of these lines: whether the agent heard it."""
    params = {"session_id": str(session_id), "uuids": [str(uuid) for uuid in uuids]}
    return bool(await session.scalar(_CONTAINS_ANY, params))


async def answers_since(
    session: AsyncSession, session_id: UUID, uuids: Sequence[UUID]
) -> list[dict[str, Any]]:
    """The model's answers in a session, subagents' too, since the first of these lines.

    Nothing is added to the transcript until the transaction ends.
    """
    params = {"session_id": str(session_id), "uuids": [str(uuid) for uuid in uuids]}
    await session.execute(_LOCK, {"session_id": str(session_id), "scope": ""})
    return [json.loads(line) for line in await session.scalars(_ANSWERS_SINCE, params)]


async def exists(session: AsyncSession, session_id: UUID) -> bool:
    """Whether a session has a transcript to go on from."""
    return bool(await session.scalar(_EXISTS, {"session_id": str(session_id)}))


class Transcripts:
    """What the SDK asks of a session store; each call is a transaction of its own."""

    def __init__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        *,
        fold: Fold | None = None,
        attempt: tuple[str, int] | None = None,
    ) -> None:
        """Keep transcripts.

        Args:
            sessions: Where.
            fold: The SDK's `fold_session_summary`; without it there are no summaries.
            attempt: Run and attempt of the only writer, see `for_attempt`.
        """
        self._sessions = sessions
        self._fold = fold
        self._attempt = attempt

    def for_attempt(self, run_id: str, attempt: int) -> Transcripts:
        """The same, for the agent of one attempt: later attempts silence it.

        What a worker that was taken for dead says afterwards would be mixed into what its
        successor's agent says.
        """
        return Transcripts(self._sessions, fold=self._fold, attempt=(run_id, attempt))

    async def append(self, key: Key, entries: Sequence[Entry]) -> None:
        """Add lines, in this order, after those that are there.

        Raises:
            Unavailable: If the database cannot be reached.
            Unstorable: If it refuses a line.
        """
        if not entries:
            return
        key_params = _key_params(key)
        uuids = [entry.get("uuid") for entry in entries]
        with translate_errors():
            await self._append(key_params, key, uuids, entries)

    async def _append(
        self, key_params: dict[str, str], key: Key, uuids: Sequence[Any], entries: Sequence[Entry]
    ) -> None:
        run_id, attempt = self._attempt or (None, None)
        async with self._sessions.begin() as session:
            await session.execute(
                _LOCK, {"session_id": key_params["session_id"], "scope": key_params["scope"]}
            )
            await session.execute(
                _APPEND,
                key_params
                | {
                    "project_key": sanitize_text(str(key["project_key"])),
                    "uuids": [sanitize_text(u) if isinstance(u, str) else None for u in uuids],
                    "entries": [json.dumps(entry) for entry in entries],
                    "run_id": run_id,
                    "attempt": attempt,
                },
            )

    async def load(self, key: Key) -> list[dict[str, Any]] | None:
        """All lines in order; `None` if there are none.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        with translate_errors():
            async with self._sessions() as session:
                lines = (await session.scalars(_LOAD, _key_params(key))).all()
        return [json.loads(line) for line in lines] or None

    async def list_sessions(self, project_key: str) -> list[dict[str, Any]]:
        """Sessions that were written in a project, with the time of their last line (ms)."""
        with translate_errors():
            async with self._sessions() as session:
                rows = await session.execute(_SESSIONS, {"project_key": sanitize_text(project_key)})
                return [{"session_id": row.session_id, "mtime": row.mtime} for row in rows]

    async def list_session_summaries(self, project_key: str) -> list[dict[str, Any]]:
        """The project's sessions, each summed up from its lines as they now are."""
        if self._fold is None:
            raise NotImplementedError
        summaries = []
        for listed in await self.list_sessions(project_key):
            key = {"project_key": project_key, "session_id": listed["session_id"]}
            summary = self._fold(None, key, await self.load(key) or [])
            summaries.append({**summary, "mtime": listed["mtime"]})
        return summaries

    async def list_subkeys(self, key: Key) -> list[str]:
        """The transcripts of subagents under a session.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        key_params = _key_params(key)
        del key_params["subpath"]
        with translate_errors():
            async with self._sessions() as session:
                return list(await session.scalars(_SUBKEYS, key_params))

    async def delete(self, key: Key) -> None:
        """Delete a subagent's transcript, or a session with all that is under it."""
        with translate_errors():
            async with self._sessions.begin() as session:
                await session.execute(_DELETE, _key_params(key))


def _key_params(key: Key) -> dict[str, str]:
    session_id = str(key["session_id"])
    try:
        # In one spelling: capitals or braces are the same session.
        session_id, scope = str(UUID(session_id)), ""
    except ValueError:
        scope = str(key["project_key"])
    return {
        "scope": sanitize_text(scope),
        "session_id": sanitize_text(session_id),
        "subpath": sanitize_text(str(key.get("subpath") or "")),
    }
