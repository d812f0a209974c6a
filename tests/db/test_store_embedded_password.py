"""The password of the embedded Postgres: always demanded, set later, replaced if lost."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from core.store.database.embedded.password import password_file
from core.store.database.embedded.server import EmbeddedServer, embedded_postgres
from tests.database import NO_DURABILITY
from tests.limits import limit

_NO_FILE = "/nonexistent/pgpass"
_TRUST = "local all all trust\nhost all all 127.0.0.1/32 trust\n"


@pytest.fixture(scope="module")
def new_cluster() -> Iterator[Path]:
    """A folder with a new cluster, to copy: a copy takes less time than a set-up."""
    # As in `test_store_embedded`.
    made = Path(tempfile.mkdtemp(prefix="sbpg-"))
    server = EmbeddedServer(made / "pg", NO_DURABILITY)
    server.acquire()
    server.release()
    yield made / "pg"
    shutil.rmtree(made)


@pytest.fixture
def folder(new_cluster: Path) -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="sbpg-"))
    shutil.copytree(new_cluster, made / "pg")
    yield made / "pg"
    shutil.rmtree(made)


@pytest.fixture
def servers(folder: Path) -> Iterator[tuple[EmbeddedServer, EmbeddedServer]]:
    """Two users of one folder; neither has acquired the server yet."""
    both = EmbeddedServer(folder, NO_DURABILITY), EmbeddedServer(folder, NO_DURABILITY)
    yield both
    for server in both:
        server.release()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def files_with(text: str, folder: Path) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 100
    return [path for path in files if text.encode() in path.read_bytes()]


async def fetch(dsn: str, question: str, **arguments: Any) -> object:
    connection = await asyncpg.connect(dsn, timeout=10, **arguments)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close(timeout=5)


async def enters_without_password(dsn: str) -> bool:
    """Whether the server lets a client in that knows no password."""
    with suppress(asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError):
        await fetch(dsn.partition("&passfile=")[0], "SELECT 1", passfile=_NO_FILE)
        return True
    return False


async def make_trusting(folder: Path, dsn: str) -> None:
    """Turn a running cluster into one of an earlier version."""
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute("ALTER ROLE postgres PASSWORD NULL")
        (folder / "18" / "pg_hba.conf").write_text(_TRUST)
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close(timeout=5)
    (folder / "pgpass").unlink()
    async with limit(10):
        while not await enters_without_password(dsn):  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.05)


async def test_only_who_knows_the_password_is_let_in(folder: Path) -> None:
    async with embedded_postgres(folder, settings=NO_DURABILITY) as dsn:
        assert await fetch(dsn, "SELECT 1") == 1
        assert not await enters_without_password(dsn)
        with pytest.raises(asyncpg.InvalidPasswordError):
            await fetch(dsn, "SELECT 1", password="0" * 64)
        stored = await fetch(dsn, "SELECT rolpassword FROM pg_authid WHERE rolname = 'postgres'")
        assert str(stored).startswith("SCRAM-SHA-256$")
        assert await fetch(dsn, "SHOW listen_addresses") == ""
        # The job engine uses libpq, which reads the same address.
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            assert await (await connection.execute("SELECT 1")).fetchone() == (1,)


async def test_the_password_is_in_one_file_that_only_its_owner_reads(folder: Path) -> None:
    async with embedded_postgres(folder, settings=NO_DURABILITY) as dsn:
        arguments = await fetch(dsn, "SELECT pg_read_file('postmaster.opts')")

    file = password_file(folder)
    password = file.read_text().strip().rpartition(":")[2]
    assert mode_of(file) == 0o600
    assert file.stat().st_uid == os.geteuid()
    assert mode_of(folder) == 0o700
    assert len(password) == 64
    assert password not in dsn
    assert password not in str(arguments)
    assert files_with(password, folder) == [file]
    assert "trust" not in (folder / "18" / "pg_hba.conf").read_text()


async def test_a_cluster_of_an_earlier_version_gets_a_password(folder: Path) -> None:
    async with embedded_postgres(folder, settings=NO_DURABILITY) as dsn:
        await fetch(dsn, "CREATE TABLE stored AS SELECT 'ü' AS word")
        await make_trusting(folder, dsn)

    async with embedded_postgres(folder, settings=NO_DURABILITY) as dsn:
        assert not await enters_without_password(dsn)
        assert await fetch(dsn, "SELECT word FROM stored") == "ü"


async def test_a_server_that_a_killed_earlier_version_left_running_gets_a_password(
    folder: Path, servers: tuple[EmbeddedServer, EmbeddedServer]
) -> None:
    left, taken_over = servers
    await make_trusting(folder, await asyncio.to_thread(left.acquire))
    assert left._users_lock is not None
    left._users_lock.close()  # as the end of its process does

    dsn = await asyncio.to_thread(taken_over.acquire)

    assert not await enters_without_password(dsn)


async def test_a_living_earlier_version_is_not_locked_out(
    folder: Path, servers: tuple[EmbeddedServer, EmbeddedServer]
) -> None:
    earlier, later = servers
    dsn = await asyncio.to_thread(earlier.acquire)
    await make_trusting(folder, dsn)

    assert await fetch(await asyncio.to_thread(later.acquire), "SELECT 1") == 1

    assert await enters_without_password(dsn)
    await asyncio.to_thread(later.release)
    await asyncio.to_thread(earlier.release)
    assert not await enters_without_password(await asyncio.to_thread(later.acquire))


@pytest.mark.parametrize("damage", ["lost", "another", "not a password", "readable by others"])
async def test_an_unusable_password_is_replaced_and_others_go_on(
    folder: Path, servers: tuple[EmbeddedServer, EmbeddedServer], damage: str
) -> None:
    path = folder / "pgpass"
    first, second = servers
    dsn = await asyncio.to_thread(first.acquire)
    await fetch(dsn, "CREATE TABLE stored AS SELECT 'ü' AS word")
    before = path.read_text()
    match damage:
        case "lost":
            path.unlink()
        case "another":
            path.write_text(f"*:*:*:postgres:{'0' * 64}\n")
        case "not a password":
            path.write_text("secret")
        case "readable by others":
            path.chmod(0o644)

    assert await fetch(await asyncio.to_thread(second.acquire), "SELECT word FROM stored") == "ü"

    assert await fetch(dsn, "SELECT word FROM stored") == "ü"
    assert not await enters_without_password(dsn)
    assert path.read_text() != before
    assert mode_of(path) == 0o600


async def test_a_changed_rule_is_undone(folder: Path) -> None:
    async with embedded_postgres(folder, settings=NO_DURABILITY):
        before = (folder / "pgpass").read_text()
    (folder / "18" / "pg_hba.conf").write_text(_TRUST)

    async with embedded_postgres(folder, settings=NO_DURABILITY) as dsn:
        assert not await enters_without_password(dsn)
        assert await fetch(dsn, "SELECT 1") == 1
    assert (folder / "pgpass").read_text() == before


async def test_a_second_start_changes_nothing(folder: Path) -> None:
    files = (folder / "pgpass", folder / "18" / "pg_hba.conf")
    before = [path.read_bytes() for path in files]

    async with embedded_postgres(folder, settings=NO_DURABILITY):
        pass

    assert [path.read_bytes() for path in files] == before
