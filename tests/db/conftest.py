"""Tests here need a Postgres: they request the fixture `database`, or `empty_dsn`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest


@pytest.fixture
async def empty_dsn(postgres_dsn: str) -> AsyncIterator[str]:
    """A database without tables."""
    name = f"empty_{uuid4().hex[:8]}"
    connection = await asyncpg.connect(postgres_dsn, timeout=10)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
        yield postgres_dsn.replace("/postgres?", f"/{name}?")
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close(timeout=5)
