from __future__ import annotations

import asyncio
import struct
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import exc
from sqlalchemy.dialects import postgresql

from core.domain.errors import OpsError
from core.domain.runs.errors import RunNotFound
from core.store.database.connect import BadDsn, normalise_dsn
from core.store.database.engine import (
    Database,
    DatabaseUnavailable,
    Unstorable,
    open_database,
    translate_errors,
)
from core.store.tables.types import AwareDateTime, sanitize_text, to_json


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("postgres://u:p@h/d", "postgresql://u:p@h/d"),
        (" postgresql+asyncpg://u@h:1/d?sslmode=require\n", "postgresql://u@h:1/d?sslmode=require"),
        ("PostgreSQL://h", "postgresql://h"),
        ("postgresql://postgres:@/d?host=/a%20b", "postgresql://postgres:@/d?host=/a%20b"),
    ],
)
def test_every_form_of_a_dsn_is_normalized(given: str, plain: str) -> None:
    assert normalise_dsn(given) == plain


@pytest.mark.parametrize("given", ["", "mysql://h/d", "h:5432", "sqlite:///x", "postgresql://[::1"])
def test_an_invalid_dsn_is_refused_without_its_text(given: str) -> None:
    with pytest.raises(BadDsn) as refused:
        normalise_dsn(given)

    assert "DATABASE_URL" in refused.value.user_message


@pytest.mark.parametrize("host", ["/nowhere", "127.0.0.1:1"])
async def test_an_unreachable_postgres_is_unavailable(host: str) -> None:
    address = f"/d?host={host}" if host.startswith("/") else f"{host}/d"
    async with open_database(f"postgresql://u@{address}") as database:
        with pytest.raises(DatabaseUnavailable), translate_errors():
            async with database.sessions.begin() as session:
                await session.connection()


STARTING_UP = b"SFATAL\0C57P03\0Mthe database system is starting up\0\0"


@pytest.mark.parametrize(
    "answer",
    [b"", b"E" + struct.pack("!I", len(STARTING_UP) + 4) + STARTING_UP],
    ids=["closes at once", "starting up"],
)
@pytest.mark.parametrize("by", ["session", "direct read"])
async def test_a_postgres_that_refuses_while_connecting_is_unavailable(
    answer: bytes, by: str, tmp_path: Path
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer:
            await reader.read(1)
            writer.write(answer)
        writer.close()
        await writer.wait_closed()

    async def use(database: Database) -> None:
        with translate_errors():
            if by == "session":
                async with database.sessions.begin() as session:
                    await session.connection()
            else:
                await database.reads.fetch_row("SELECT 1")

    server = await asyncio.start_unix_server(refuse, str(tmp_path / ".s.PGSQL.5432"))
    async with server, open_database(f"postgresql://u@/d?host={tmp_path}") as database:
        # Which error asyncpg raises depends on how far it came.
        for _ in range(20):
            with pytest.raises(DatabaseUnavailable):
                await use(database)


def dbapi_error(original: Exception, *, lost: bool = False) -> exc.DBAPIError:
    return exc.DBAPIError("SELECT 1", {}, original, connection_invalidated=lost)


class PostgresError(Exception):
    def __init__(self, sqlstate: str | None) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (dbapi_error(PostgresError("57P01")), DatabaseUnavailable),
        (dbapi_error(PostgresError("53300")), DatabaseUnavailable),
        (dbapi_error(PostgresError("57014")), DatabaseUnavailable),
        (dbapi_error(PostgresError("40P01")), DatabaseUnavailable),
        (dbapi_error(PostgresError("55P03")), DatabaseUnavailable),
        (dbapi_error(PostgresError(None), lost=True), DatabaseUnavailable),
        (dbapi_error(PostgresError("22001")), Unstorable),
        (dbapi_error(PostgresError("42P01")), exc.DBAPIError),
        (exc.TimeoutError(), DatabaseUnavailable),
        (asyncpg.CannotConnectNowError("starting up"), DatabaseUnavailable),
        (asyncpg.InvalidPasswordError("no"), DatabaseUnavailable),
        (asyncpg.InterfaceError("connection is closed"), DatabaseUnavailable),
        (asyncpg.UndefinedTableError("no"), asyncpg.UndefinedTableError),
        (TimeoutError(), DatabaseUnavailable),
        (ConnectionResetError(), DatabaseUnavailable),
        (RunNotFound("run_1"), RunNotFound),
        (ValueError("a bug"), ValueError),
        (asyncio.CancelledError(), asyncio.CancelledError),
    ],
    ids=repr,
)
def test_database_errors_are_translated(
    raised: BaseException, expected: type[BaseException]
) -> None:
    with pytest.raises(BaseException) as seen, translate_errors():  # noqa: PT011
        raise raised

    assert type(seen.value) is expected
    if isinstance(seen.value, OpsError) and seen.value is not raised:
        assert seen.value.__cause__ is raised


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"a": [1, None, True]}, '{"a": [1, null, true]}'),
        ({"a": "x\x00"}, '{"a": "x\\ufffd"}'),
        ({"a\x00": ("🚦",)}, '{"a\\ufffd": ["\\ud83d\\udea6"]}'),
        ({"a": "\\u0000"}, '{"a": "\\\\u0000"}'),
        ({"a": float("inf")}, '{"a": "inf"}'),
        ({"a": "NaN"}, '{"a": "NaN"}'),
    ],
)
def test_json_is_written_in_a_form_that_postgres_accepts(value: Any, written: str) -> None:
    assert to_json(value) == written


@pytest.mark.parametrize("text", ["", "plain ü 🚦", "\x00", "half \udfff", "\ud83d\udea6\ud83d"])
def test_any_text_becomes_storable(text: str) -> None:
    storable = sanitize_text(text)

    assert "\x00" not in storable
    assert storable.encode().decode() == storable


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="naive"):
        AwareDateTime().process_bind_param(
            datetime(2026, 1, 1),  # noqa: DTZ001 - the tested value
            postgresql.dialect(),  # type: ignore[no-untyped-call]
        )
