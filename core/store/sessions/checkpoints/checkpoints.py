"""Checkpoints of sessions: storing them, and finding them by run, session, lineage or number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import CTE, ColumnElement, exists, func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.checkpoint import Checkpoint, CheckpointNotFound
from core.domain.runs.errors import StaleAttempt
from core.store.tables.runs import RunRow
from core.store.tables.sessions import TranscriptRow
from core.store.tables.work.checkpoints import CheckpointRow

# More sessions than a person forks from each other.
_MAX_LINEAGE = 100


async def add(
    session: AsyncSession, checkpoint: Checkpoint, bundle: bytes | None
) -> Checkpoint | None:
    """Store a checkpoint under the next number of its lineage.

    Storing the same one again, after an answer that was lost, has no further effect.

    Args:
        session: An open database session.
        checkpoint: The checkpoint; its `number` and `size_bytes` are ignored.
        bundle: Its objects; `None` if the database does not get them (`Checkpoint.not_stored`).

    Returns:
        The checkpoint as it is stored; `None` if it must be tried again: its message is not in
        the transcript yet, or an attempt that is superseded just took its number.

    Raises:
        StaleAttempt: If the run has a newer attempt.
    """
    stored = await get(session, checkpoint.id)
    if stored is not None:
        return stored
    if not await _is_message_stored(session, checkpoint):
        return None
    numbered = replace(
        checkpoint,
        number=await _last_number(session, checkpoint.session_id) + 1,
        size_bytes=len(bundle or b""),
    )
    added = await session.scalar(
        insert(CheckpointRow)
        .values(**_values(numbered), bundle=bundle)
        .on_conflict_do_nothing(index_elements=["session_id", "number"])
        .returning(CheckpointRow.id)
    )
    if added is None:
        return None
    # The lock keeps the run from being taken over before the commit.  It is taken last, so that
    # it is held only briefly.
    found = await session.execute(
        select(RunRow.run_id, RunRow.attempt)
        .where(RunRow.id == checkpoint.run_id)
        .with_for_update(read=True)
    )
    run_id, attempt = found.one()
    if attempt != checkpoint.attempt:
        raise StaleAttempt(run_id, checkpoint.attempt)
    return numbered


async def get(session: AsyncSession, checkpoint_id: UUID) -> Checkpoint | None:
    """Return the checkpoint with this id; `None` if there is none, or if it was deleted."""
    row = await session.scalar(select(CheckpointRow).where(CheckpointRow.id == checkpoint_id))
    return None if row is None else row.to_checkpoint()


async def of_run(session: AsyncSession, run: UUID) -> list[Checkpoint]:
    """List the checkpoints that a run took, oldest first."""
    return await _list(session, CheckpointRow.run_id == run)


async def of_session(session: AsyncSession, session_id: UUID) -> list[Checkpoint]:
    """List the checkpoints that the runs of a session took, oldest first."""
    return await _list(session, CheckpointRow.session_id == session_id)


async def of_lineage(session: AsyncSession, session_id: UUID) -> list[Checkpoint]:
    """List the checkpoints to which a session can go back, oldest first.

    They are its own, and of the session from which it was forked those up to the fork.
    """
    found: list[Checkpoint] = []
    for origin, last in await _lineage(session, session_id):
        found += await _list(
            session,
            CheckpointRow.session_id == origin,
            *([] if last is None else [CheckpointRow.number <= last]),
        )
    return sorted(found, key=lambda one: one.number)


async def by_number(session: AsyncSession, session_id: UUID, number: int) -> Checkpoint:
    """Return the checkpoint `@number` of a session's lineage.

    Raises:
        CheckpointNotFound: If none has this number.
    """
    for origin, last in await _lineage(session, session_id):
        if last is not None and number > last:
            continue
        found = await _list(
            session, CheckpointRow.session_id == origin, CheckpointRow.number == number
        )
        if found:
            return found[0]
    raise CheckpointNotFound(number)


async def newest(session: AsyncSession, session_id: UUID) -> Checkpoint | None:
    """Return the newest checkpoint of a session's lineage; `None` if there is none."""
    for origin, last in await _lineage(session, session_id):
        row = await session.scalar(
            select(CheckpointRow)
            .where(
                CheckpointRow.session_id == origin,
                *([] if last is None else [CheckpointRow.number <= last]),
            )
            .order_by(CheckpointRow.number.desc())
            .limit(1)
        )
        if row is not None:
            return row.to_checkpoint()
    return None


async def bundles_for(session: AsyncSession, checkpoint_id: UUID) -> list[bytes] | None:
    """Return the bundles that make a checkpoint complete, in the order to unpack them.

    Empty ones are left out.

    Returns:
        The bundles, of which the first needs only the base commit; `None` if the database does
        not have all of them.
    """
    chain = _chain(checkpoint_id)
    rows = await session.execute(
        select(CheckpointRow.bundle)
        .join(chain, CheckpointRow.id == chain.c.id)
        .order_by(chain.c.depth.desc())
    )
    bundles = [row[0] for row in rows]
    if not bundles or None in bundles:
        return None
    return [bundle for bundle in bundles if bundle]


async def has_bundles(session: AsyncSession, checkpoint_id: UUID) -> bool:
    """Return whether the database has all bundles that make a checkpoint complete."""
    chain = _chain(checkpoint_id)
    counted = await session.execute(
        select(func.count(), func.count(CheckpointRow.not_stored)).join(
            chain, CheckpointRow.id == chain.c.id
        )
    )
    found, lacking = counted.one()
    return found > 0 and lacking == 0


def _chain(checkpoint_id: UUID) -> CTE:
    """SQL: a checkpoint, and those that must be unpacked before it."""
    chain = (
        select(CheckpointRow.id, CheckpointRow.previous_id, literal(0).label("depth"))
        .where(CheckpointRow.id == checkpoint_id)
        .cte("chain", recursive=True)
    )
    return chain.union_all(
        select(CheckpointRow.id, CheckpointRow.previous_id, chain.c.depth + 1).join(
            chain, CheckpointRow.id == chain.c.previous_id
        )
    )


async def _is_message_stored(session: AsyncSession, checkpoint: Checkpoint) -> bool:
    if checkpoint.message_uuid is None:
        return True
    is_stored = await session.scalar(
        select(
            exists().where(
                TranscriptRow.session_id == str(checkpoint.session_id),
                TranscriptRow.scope == "",
                TranscriptRow.subpath == "",
                TranscriptRow.entry_uuid == str(checkpoint.message_uuid),
            )
        )
    )
    return bool(is_stored)


async def _lineage(session: AsyncSession, session_id: UUID) -> list[tuple[UUID, int | None]]:
    """The session and those it was forked from, each with its last number that counts."""
    found: list[tuple[UUID, int | None]] = [(session_id, None)]
    while len(found) < _MAX_LINEAGE:
        current, last = found[-1]
        fork = await _fork_of(session, current)
        if fork is None or fork.session_id in {origin for origin, _ in found}:
            break
        up_to = fork.number if last is None else min(fork.number, last)
        found.append((fork.session_id, up_to))
    return found


async def _fork_of(session: AsyncSession, session_id: UUID) -> Checkpoint | None:
    """The checkpoint at which a session was forked from another one; `None` if it was not."""
    first_run = (
        select(RunRow.restarted_from_checkpoint_id)
        .where(RunRow.session_id == session_id)
        .order_by(RunRow.created_at, RunRow.id)
        .limit(1)
        .scalar_subquery()
    )
    row = await session.scalar(select(CheckpointRow).where(CheckpointRow.id == first_run))
    return None if row is None else row.to_checkpoint()


async def _last_number(session: AsyncSession, session_id: UUID) -> int:
    own = await session.scalar(
        select(func.max(CheckpointRow.number)).where(CheckpointRow.session_id == session_id)
    )
    if own is not None:
        return int(own)
    fork = await _fork_of(session, session_id)
    return 0 if fork is None else fork.number


async def _list(session: AsyncSession, *conditions: ColumnElement[bool]) -> list[Checkpoint]:
    rows = await session.scalars(
        select(CheckpointRow).where(*conditions).order_by(CheckpointRow.number)
    )
    return [row.to_checkpoint() for row in rows]


def _values(checkpoint: Checkpoint) -> dict[str, object]:
    fields: Sequence[str] = (
        "id", "session_id", "run_id", "attempt", "number", "taken_at", "reason", "step_id",
        "step_name", "message_uuid", "is_call_open", "commit", "head_commit", "base_commit",
        "branch", "turns", "cost_usd", "tool_calls", "size_bytes", "previous_id", "not_stored",
    )  # fmt: skip
    diff = checkpoint.diff
    return {name: getattr(checkpoint, name) for name in fields} | {
        "references": dict(checkpoint.references),
        "files_changed": None if diff is None else diff.files,
        "lines_added": None if diff is None else diff.added,
        "lines_removed": None if diff is None else diff.removed,
    }
