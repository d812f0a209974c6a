"""The workflow definitions that runs have used."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.store.tables.runs import DefinitionRow


async def keep(
    session: AsyncSession, digest: str, name: str, content: Mapping[str, Any], *, now: datetime
) -> None:
    """Store a definition, unless it is stored already."""
    await session.execute(
        insert(DefinitionRow)
        .values(digest=digest, name=name, content=dict(content), first_used_at=now)
        .on_conflict_do_nothing(index_elements=["digest"])
    )


async def find(session: AsyncSession, digest: str) -> tuple[str, Mapping[str, Any]] | None:
    """The name and the content of a definition; `None` if it is not stored."""
    row = await session.scalar(select(DefinitionRow).where(DefinitionRow.digest == digest))
    return None if row is None else (row.name, row.content)
