"""The doctor's check of the connection to Postgres: direct, or through a connection pooler."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import asyncpg
import pytest
from aiohttp import web

from bot.assembly.serve import web_server
from bot.assembly.settings import Settings, load_settings
from bot.cli.doctor import run_doctor
from bot.sandbox.slack.server import open_sandbox
from bot.web.health import Health, health_routes
from core.store.database.engine import Database
from tests.pooler import Pooler
from tests.processes import slack_variables

pytestmark = pytest.mark.sampled(8)

# From PgBouncer's manual.
KNOWN = frozenset(
    {
        *("user", "database", "application_name", "client_encoding", "datestyle", "timezone"),
        "standard_conforming_strings",
    }
)


def settings_of(dsn: str, home: Path, **variables: object) -> Settings:
    """Settings with a web server on any free port."""
    given = {"DATABASE_URL": dsn, "SIGNALBOX_HOME": home, "SIGNALBOX_PORT": 0, **variables}
    return load_settings(**given)


async def lines_about(dsn: str, home: Path) -> list[str]:
    """The doctor's lines about a database."""
    said: list[str] = []
    await run_doctor(settings_of(dsn, home), echo=said.append)
    return [line for line in said if "DATABASE_URL" in line or "session" in line]


def session_loss(what: str) -> str:
    return (
        f"✗ DATABASE_URL does not keep sessions ({what}): use a direct connection or a pooler in "
        "session mode. → `up`, `bot` and `worker` would not work."
    )


async def test_a_direct_connection_passes_the_session_checks(
    database: Database, tmp_path: Path
) -> None:
    said = await lines_about(database.dsn, tmp_path)

    assert said[0] == "✓ connections keep their sessions (LISTEN, locks)"
    assert said[1].startswith("✓ DATABASE_URL: Postgres")


@pytest.mark.parametrize(
    ("backends", "loss"),
    [
        (1, "a lock that one connection holds is given to another"),
        (2, "a NOTIFY does not reach the connection that listens"),
    ],
)
async def test_a_pooler_in_transaction_mode_is_detected(
    database: Database, tmp_path: Path, backends: int, loss: str
) -> None:
    async with Pooler(database.dsn, backends).open() as pooler:
        said = await lines_about(pooler.dsn, tmp_path)

    assert said == [session_loss(loss)]


async def test_a_pooler_with_prepared_statements_of_another_process_is_detected(
    database: Database, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    async with Pooler(database.dsn).open() as pooler:
        other = await asyncpg.connect(pooler.dsn, timeout=10)
        request.addfinalizer(other.terminate)
        # Each process numbers its statements from 1; this one has connected here before.
        last = int((await other.prepare("SELECT 1")).get_name().split("_")[-3], 16)
        for number in range(last + 1, last + 9):
            await other.execute(f'PREPARE "__asyncpg_stmt_{number:x}__" AS SELECT 1')
        await other.close(timeout=5)

        said = await lines_about(pooler.dsn, tmp_path)

    assert said == [session_loss("prepared statements of several connections are mixed up")]


async def test_the_doctor_names_all_startup_parameters_a_pooler_must_ignore(
    database: Database, tmp_path: Path
) -> None:
    async with Pooler(database.dsn, known_parameters=KNOWN).open() as strict:
        (refused,) = await lines_about(strict.dsn, tmp_path)
    named = re.search(r"ignore_startup_parameters = ([a-z_, ]+)", refused)
    assert named is not None, refused
    ignored = frozenset(named[1].strip().split(", "))

    async with Pooler(database.dsn, known_parameters=KNOWN | ignored).open() as lenient:
        (accepted,) = await lines_about(lenient.dsn, tmp_path)

    assert "unsupported startup parameter" in refused
    assert "does not keep sessions" in accepted


async def test_a_database_that_refuses_notifications_is_named_with_its_reason(
    database: Database, tmp_path: Path
) -> None:
    connection = await asyncpg.connect(database.dsn, timeout=10)
    try:
        # As on a standby server, which a test cannot set up.
        await connection.execute("CREATE ROLE muted LOGIN PASSWORD 'muted'")
        await connection.execute("REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM PUBLIC")
        (said,) = await lines_about(database.dsn.replace("postgres@", "muted:muted@"), tmp_path)
    finally:
        await connection.execute("GRANT EXECUTE ON FUNCTION pg_notify(text, text) TO PUBLIC")
        await connection.execute("DROP ROLE IF EXISTS muted")
        await connection.close(timeout=5)

    assert said.startswith("✗ DATABASE_URL: it refuses"), said
    assert "pg_notify" in said


async def test_an_unreachable_database_is_named_with_the_reason(tmp_path: Path) -> None:
    (said,) = await lines_about("postgresql://127.0.0.1:9/nowhere", tmp_path)

    assert said.startswith("✗ DATABASE_URL cannot be used: ")
    assert "refused" in said or "Connect call failed" in said


NO_SLACK = {"SLACK_BOT_TOKEN": None, "SLACK_APP_TOKEN": None, "SLACK_SIGNING_SECRET": None}


async def test_a_machine_that_is_only_a_worker_needs_no_slack(
    database: Database, tmp_path: Path
) -> None:
    said: list[str] = []
    settings = settings_of(database.dsn, tmp_path, **NO_SLACK)

    status = await run_doctor(settings, echo=said.append)

    assert status == 0, said
    not_checked = "! Slack is not checked: no Slack token is set. → `up` and `bot` would not work."
    assert [line for line in said if "Slack" in line] == [not_checked]
    assert said[-1].endswith(
        ": `up` and `bot` would not work, `worker` would work, but runs would fail."
    )


async def test_the_last_line_counts_the_warnings_and_says_that_up_would_work(
    database: Database, tmp_path: Path
) -> None:
    async with open_sandbox() as sandbox:
        said: list[str] = []
        (tmp_path / "signalbox.toml").write_text('[repositories]\nlocal = ["/nowhere"]\n')

        status = await run_doctor(
            load_settings(
                DATABASE_URL=database.dsn,
                SIGNALBOX_HOME=tmp_path,
                SIGNALBOX_PORT=0,
                ANTHROPIC_API_KEY="sk-ant-1",
                **slack_variables(sandbox),
            ),
            echo=said.append,
        )

    assert status == 0, said
    warnings = sum(line.startswith("! ") for line in said)
    assert warnings >= 1
    noun = "warning" if warnings == 1 else "warnings"
    assert said[-1] == f"{warnings} {noun}: `up`, `bot` and `worker` would work."


async def test_an_old_schema_keeps_all_but_up_from_working(empty_dsn: str, tmp_path: Path) -> None:
    said: list[str] = []

    await run_doctor(settings_of(empty_dsn, tmp_path), echo=said.append)

    (schema,) = (line for line in said if "the schema is" in line)
    assert schema.startswith("! ")
    assert schema.endswith("→ `bot` and `worker` would not work.")


async def test_a_port_in_use_is_named_and_one_of_a_running_signalbox_is_told_apart(
    database: Database, tmp_path: Path
) -> None:
    async def line_about(port: int) -> str:
        said: list[str] = []
        settings = load_settings(
            DATABASE_URL=database.dsn, SIGNALBOX_HOME=tmp_path, SIGNALBOX_PORT=port
        )
        await run_doctor(settings, echo=said.append)
        (line,) = (line for line in said if "SIGNALBOX_PORT" in line)
        return line

    app = web.Application()
    app.add_routes(health_routes(Health({})))
    async with web_server(app, host="127.0.0.1", port=0) as url:
        served = await line_about(int(url.rpartition(":")[2]))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        other = await line_about(taken.getsockname()[1])

    assert served.startswith("! ")
    assert "a Signalbox runs here already" in served
    assert other.startswith("✗ SIGNALBOX_PORT: ")
    assert other.endswith("→ `up`, `bot` and `worker` would not work.")


async def test_an_unknown_variable_is_a_warning(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNALBOX_PROT", "1")
    said: list[str] = []

    await run_doctor(settings_of(database.dsn, tmp_path), echo=said.append)

    assert said[0] == (
        "! SIGNALBOX_PROT is not known and has no effect; did you mean SIGNALBOX_PORT?"
    )


async def test_incomplete_slack_settings_are_an_error_and_a_proxy_is_mentioned(
    tmp_path: Path,
) -> None:
    said: list[str] = []
    settings = load_settings(
        DATABASE_URL="postgresql://127.0.0.1:9/nowhere",
        SIGNALBOX_PORT=0,
        SIGNALBOX_HOME=tmp_path,
        HTTPS_PROXY="http://127.0.0.1:9",
        **{**NO_SLACK, "SLACK_APP_TOKEN": "xapp-1"},
    )

    await run_doctor(settings, echo=said.append)

    assert any(line.startswith("✗ SLACK_BOT_TOKEN is not set") for line in said)
    assert any(
        line.startswith("! Slack is called through the proxy of HTTPS_PROXY") for line in said
    )


async def test_the_doctor_says_what_may_be_cloned(database: Database, tmp_path: Path) -> None:
    said: list[str] = []
    table = f'[repositories]\nowners = ["github.com/acme"]\nlocal = ["{tmp_path}", "/nowhere"]\n'
    (tmp_path / "signalbox.toml").write_text(table)
    settings = settings_of(database.dsn, tmp_path, **NO_SLACK)

    status = await run_doctor(settings, echo=said.append)

    assert status == 0, said
    assert (
        "✓ repositories that may be cloned: repositories of `github.com/acme`; folders on the "
        f"worker: `{tmp_path}`, `/nowhere`"
    ) in said
    assert "! the folder /nowhere of [repositories] is not on this machine." in said


async def test_what_workflows_can_do_is_listed_and_a_weakened_one_is_named(
    database: Database, tmp_path: Path
) -> None:
    (tmp_path / "signalbox.toml").write_text('[agent]\nisolation = "none"\n')
    said: list[str] = []

    await run_doctor(settings_of(database.dsn, tmp_path), echo=said.append)

    (abilities,) = (line for line in said if line.startswith("✓ workflows that"))
    assert "; change nothing: review" in abilities
    (warning,) = (line for line in said if "review.md" in line)
    assert warning.startswith("! review.md, `read_only`")


async def test_a_login_of_the_proxy_that_agents_do_not_get_is_a_warning(
    database: Database, tmp_path: Path
) -> None:
    said: list[str] = []

    await run_doctor(
        load_settings(
            DATABASE_URL=database.dsn,
            SIGNALBOX_PORT=0,
            SIGNALBOX_HOME=tmp_path,
            HTTPS_PROXY="http://ada:s3cr3t@proxy.example:3128",
        ),
        echo=said.append,
    )

    (warning,) = (line for line in said if "HTTPS_PROXY" in line)
    assert warning.startswith("! agents do not get the login in HTTPS_PROXY")
    assert "s3cr3t" not in str(said)
