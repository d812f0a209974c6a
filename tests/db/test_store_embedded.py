from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from core.store.database.embedded.programs import EmbeddedPostgresFailed
from core.store.database.embedded.server import EmbeddedServer, embedded_postgres
from core.store.database.engine import open_database
from tests.database import NO_DURABILITY
from tests.limits import limit


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's own directory: only its owner may enter it, and root runs the server under
    # another account.
    made = Path(tempfile.mkdtemp(prefix="sbpg-"))
    yield made
    shutil.rmtree(made)


async def fetch(dsn: str, question: str) -> object:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close(timeout=5)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("name", ["pg", "with a space, a comma & ünïcödé", "long/" + "x" * 120])
async def test_data_outlives_the_server_under_any_path(folder: Path, name: str) -> None:
    async with embedded_postgres(folder / name, settings=NO_DURABILITY) as dsn:
        await fetch(dsn, "CREATE TABLE stored AS SELECT 'ü' AS word")
        async with open_database(dsn) as database, database.engine.connect() as connection:
            assert await connection.get_isolation_level() == "READ COMMITTED"

    async with embedded_postgres(folder / name, settings=NO_DURABILITY) as dsn:
        assert await fetch(dsn, "SELECT word FROM stored") == "ü"


async def test_a_copy_of_a_stopped_server_is_a_backup(folder: Path) -> None:
    async with embedded_postgres(folder / "pg", settings=NO_DURABILITY) as dsn:
        await fetch(dsn, "CREATE TABLE stored AS SELECT 'ü' AS word")

    # The copies belong to the copying user; Postgres does not run as root.
    await asyncio.to_thread(shutil.copytree, folder / "pg", folder / "copy")

    async with embedded_postgres(folder / "copy", settings=NO_DURABILITY) as dsn:
        assert await fetch(dsn, "SELECT word FROM stored") == "ü"


async def test_the_last_user_to_close_stops_the_server(folder: Path) -> None:
    first, second = (EmbeddedServer(folder / "pg", NO_DURABILITY) for _ in range(2))
    dsn = await asyncio.to_thread(first.acquire)
    assert await asyncio.to_thread(second.acquire) == dsn

    await asyncio.to_thread(first.release)
    assert await fetch(dsn, "SELECT 1") == 1
    await asyncio.to_thread(second.release)

    with pytest.raises(OSError, match=r"No such file|refused"):
        await fetch(dsn, "SELECT 1")


async def test_a_killed_server_starts_again_with_its_data(folder: Path) -> None:
    server = EmbeddedServer(folder / "pg")
    dsn = await asyncio.to_thread(server.acquire)
    await fetch(dsn, "CREATE TABLE stored AS SELECT 1 AS n")
    pid = int((folder / "pg" / "18" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)
    async with limit(20):
        while True:
            try:
                await fetch(dsn, "SELECT 1")
            except (OSError, asyncpg.PostgresError):
                break

    other = EmbeddedServer(folder / "pg")
    again = await asyncio.to_thread(other.acquire)

    assert await fetch(again, "SELECT n FROM stored") == 1
    await asyncio.to_thread(server.release)
    await asyncio.to_thread(other.release)


async def test_a_directory_that_cannot_be_created_is_reported(folder: Path) -> None:
    (folder / "file").write_text("in the way")

    with pytest.raises(EmbeddedPostgresFailed) as refused:
        async with embedded_postgres(folder / "file" / "pg"):
            pass

    assert str(folder) not in refused.value.user_message


async def test_a_server_that_does_not_start_says_why(folder: Path) -> None:
    with pytest.raises(EmbeddedPostgresFailed, match="the start failed"):
        async with embedded_postgres(folder / "pg", settings={"shared_buffers": "nonsense"}):
            pass
