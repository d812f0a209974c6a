"""Commands as short-lived processes: their output and exit status."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from bot.assembly.config.bad_setting import BadSetting
from bot.assembly.settings import load_settings
from bot.sandbox.slack.manifest import find_manifest
from bot.sandbox.slack.server import Sandbox, open_sandbox
from core.store.database.engine import Database
from tests.processes import new_home, run_to_end, slack_variables

pytestmark = pytest.mark.sampled(8)

# The discard port: nothing listens there.
NOBODY_LISTENS = "postgresql://postgres@127.0.0.1:9/postgres"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return new_home(tmp_path / "home")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A sandbox whose problems do not matter: the tests provoke refusals."""
    async with open_sandbox() as opened:
        yield opened


async def test_a_task_is_run_once_and_its_thread_printed(home: Path) -> None:
    done = await run_to_end("demo", "--once", "Add rate limiting & <tests>", home=home)

    assert done.status == 0, done.errors
    assert "Completed" in done.output
    assert "Add rate limiting & <tests>" in done.output
    assert "Summary" in done.output
    # Plain text: no marks of mrkdwn, of Markdown, or of code.
    assert not re.search(r"[*`]|^#", done.output, re.MULTILINE), done.output
    assert done.errors == ""


async def test_a_task_that_fails_once_ends_with_status_one(home: Path) -> None:
    done = await run_to_end("demo", "--once", "[scenario: crash] work", home=home)

    assert done.status == 1, done.errors
    assert "The agent program failed (ended by SIGKILL)" in done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("work", "--workflow", "nonesuch"), "--workflow: There is no workflow `nonesuch`."),
        (("",), "--once: needs a task"),
        (("--turns 0 work",), "`--turns` needs a whole number from 1 to 1000, not `0`."),
        (("--repo /nowhere work",), "`/nowhere` may not be cloned"),
    ],
)
async def test_what_once_refuses_is_said_in_words_of_the_command_line(
    home: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = await run_to_end("demo", "--once", *arguments, home=home)

    assert done.status == 2
    assert len(done.lines) == 1, done.errors
    assert done.lines[0].startswith(f"signalbox: {said}")
    assert "/workflow " not in done.errors
    assert done.output == ""


async def test_a_port_that_is_none_is_refused_in_plain_words(home: Path) -> None:
    for port in ("99999", "many"):
        done = await run_to_end("demo", "--port", port, home=home)

        assert done.status == 2
        # In a frame, whose lines break between words.
        said = " ".join(done.errors.replace("│", " ").split())
        assert f"{port!r} is no port: it is a number from 0 to 65535." in said
        assert "Input should" not in done.errors
        assert "Traceback" not in done.errors


async def test_the_version_is_printed(home: Path) -> None:
    done = await run_to_end("--version", home=home)

    assert done.status == 0, done.errors
    assert re.fullmatch(r"signalbox \S+ \(claude [\d.]+, Python [\d.]+\)\n", done.output)


async def test_an_unknown_variable_is_warned_of_at_the_start(home: Path) -> None:
    done = await run_to_end("workers", home=home, SIGNALBOX_PROT=3)

    assert (
        "SIGNALBOX_PROT is not known and has no effect; did you mean SIGNALBOX_PORT?"
        in (done.lines[0])
    )


async def test_the_manifest_is_printed_for_either_transport(home: Path) -> None:
    plain = await run_to_end("manifest", home=home)
    http = await run_to_end("manifest", "--http", "https://signalbox.example", home=home)
    wrong = await run_to_end("manifest", "--http", "signalbox.example", home=home)

    assert plain.status == http.status == 0
    assert yaml.safe_load(plain.output)["settings"]["socket_mode_enabled"] is True
    assert (
        yaml.safe_load(http.output)["settings"]["interactivity"]["request_url"]
        == "https://signalbox.example/slack/events"
    )
    assert wrong.status == 2
    assert len(wrong.lines) == 1


async def test_migrate_upgrades_the_schema_and_says_so(home: Path, database: Database) -> None:
    done = await run_to_end("migrate", home=home, DATABASE_URL=database.dsn)

    assert done.status == 0, done.errors
    assert done.output.startswith("Nothing to do: the database `postgres` on ")


async def test_migrate_down_asks_first(home: Path, database: Database) -> None:
    done = await run_to_end("migrate", "--down", "base", home=home, DATABASE_URL=database.dsn)

    assert done.status == 2, done.errors
    assert len(done.lines) == 1
    assert "add `--yes`" in done.lines[0]
    assert (await run_to_end("workers", home=home, DATABASE_URL=database.dsn)).status == 0


async def test_an_unknown_revision_is_refused_in_one_line(home: Path, database: Database) -> None:
    done = await run_to_end("migrate", "nonesuch", home=home, DATABASE_URL=database.dsn)

    assert done.status == 2, done.errors
    assert len(done.lines) == 1
    assert "nonesuch" in done.lines[0]


async def test_the_doctor_reports_valid_and_invalid_settings(
    home: Path, database: Database, sandbox: Sandbox
) -> None:
    given = {
        "DATABASE_URL": database.dsn,
        "ANTHROPIC_API_KEY": "sk-ant-1",
        **slack_variables(sandbox),
    }
    well = await run_to_end("doctor", home=home, **given)
    ill = await run_to_end("doctor", home=home, **{**given, "SLACK_BOT_TOKEN": "xoxb-1-2-wrong"})

    assert well.status == 0, well.output + well.errors
    assert "✗" not in well.output
    assert ill.status == 1
    assert "SLACK_BOT_TOKEN" in ill.output
    assert "Traceback" not in ill.errors


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"SLACK_BOT_TOKEN": "xoxb-1-2-wrong"}, "SLACK_BOT_TOKEN is refused"),
        ({"SLACK_APP_TOKEN": "xapp-1-A-2-wrong"}, "SLACK_APP_TOKEN is refused"),
        ({"SLACK_APP_TOKEN": None, "SLACK_SIGNING_SECRET": ""}, "SLACK_SIGNING_SECRET"),
        ({"SIGNALBOX_PORT": "seventy"}, "SIGNALBOX_PORT"),
        ({"DATABASE_URL": NOBODY_LISTENS, "SIGNALBOX_DATABASE_WAIT": 0}, "database"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
async def test_an_invalid_setting_stops_the_start_with_one_line(
    home: Path,
    database: Database,
    sandbox: Sandbox,
    variables: dict[str, object],
    words: str,
) -> None:
    given = {
        "DATABASE_URL": database.dsn,
        "SIGNALBOX_PORT": 0,
        "SIGNALBOX_LOG": "error",
        **slack_variables(sandbox),
        **variables,
    }
    # A bot checks the same settings as `up`, and starts sooner: it has no worker.
    done = await run_to_end("bot", home=home, **given)

    assert done.status == 2, done.output + done.errors
    assert len(done.lines) == 1, done.errors
    assert done.lines[0].startswith("signalbox: ")
    assert words in done.lines[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SLACK_BOT_TOKEN", "xoxp-1"),
        ("SLACK_APP_TOKEN", "xoxb-1"),
        ("SLACK_API_URL", "ftp://slack.invalid"),
        ("SIGNALBOX_CONFIG", "/nonexistent/signalbox.toml"),
        ("SIGNALBOX_WORKER_SLOTS", "0"),
        ("SIGNALBOX_LOG", "loud"),
        ("DATABASE_URL", "mysql://me:hunter2@somewhere"),
    ],
)
def test_an_invalid_setting_is_named_without_its_value(home: Path, name: str, value: str) -> None:
    with pytest.raises(BadSetting) as refused:
        load_settings(**{"SIGNALBOX_HOME": home, name: value})

    assert name in refused.value.user_message
    assert "\n" not in refused.value.user_message
    assert "hunter2" not in refused.value.user_message


async def test_a_port_in_use_stops_the_start_with_one_line(
    home: Path, database: Database, sandbox: Sandbox
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = await run_to_end(
            "up",
            home=home,
            DATABASE_URL=database.dsn,
            SIGNALBOX_PORT=taken.getsockname()[1],
            SIGNALBOX_LOG="error",
            **slack_variables(sandbox),
        )

    assert done.status == 2, done.errors
    assert len(done.lines) == 1
    assert "SIGNALBOX_PORT" in done.lines[0]


async def test_a_missing_scope_stops_the_start_and_is_named(
    home: Path, database: Database, tmp_path: Path
) -> None:
    path = find_manifest()
    assert path is not None
    manifest = yaml.safe_load(path.read_text())
    manifest["oauth_config"]["scopes"]["bot"].remove("users:read")
    lacking = tmp_path / "manifest.yml"
    lacking.write_text(json.dumps(manifest))
    async with open_sandbox(manifest=lacking) as sandbox:
        done = await run_to_end(
            "up",
            home=home,
            DATABASE_URL=database.dsn,
            SIGNALBOX_PORT=0,
            SIGNALBOX_LOG="error",
            **slack_variables(sandbox),
        )

    assert done.status == 2, done.errors
    assert len(done.lines) == 1
    assert "users:read" in done.lines[0]


async def test_an_old_schema_stops_a_worker_with_one_line(home: Path) -> None:
    done = await run_to_end("worker", home=home, SIGNALBOX_PORT=0, SIGNALBOX_LOG="error")

    assert done.status == 2, done.errors
    assert done.lines == [
        "signalbox: The database's schema is not up to date. Run `signalbox migrate`."
    ]
