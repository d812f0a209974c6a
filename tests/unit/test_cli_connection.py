"""Which server a command talks to, with which token, and by which way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bot.assembly.environment_settings import DEFAULT_PORT as SERVER_PORT
from bot.assembly.settings import CLIENT_VARIABLES
from bot.assembly.web.local_access import LocalAccess, access_file, write_access
from bot.cli.client import api
from bot.cli.client.connection import find_connection, is_loopback
from bot.cli.client.errors import BadArgument, BadServerUrl, NoToken
from bot.cli.client.settings import (
    DEFAULT_PORT,
    ClientSettings,
    proxy_of_environment,
    read_client_settings,
)
from bot.web import route

LOCAL = LocalAccess(url="http://127.0.0.1:4000", token="sbx_local")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of a server that was started once."""
    write_access(tmp_path, LOCAL)
    return tmp_path


def test_without_settings_it_is_the_server_of_this_machine(home: Path) -> None:
    found = find_connection(ClientSettings(home=home))

    assert (found.url, found.token) == (LOCAL.url, LOCAL.token)
    assert found.token_source == str(access_file(home))
    assert "sbx_" not in repr(found)


def test_the_environment_wins(home: Path) -> None:
    settings = ClientSettings(home=home, url="https://ops.example/base/", token="sbx_own")

    found = find_connection(settings)

    assert (found.url, found.token) == ("https://ops.example/base", "sbx_own")
    assert "sbx_" not in repr(settings)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:4001", "https://127.0.0.1:4000", "http://ops.example:4000"]
)
def test_the_token_of_this_machine_goes_to_no_other_server(home: Path, url: str) -> None:
    with pytest.raises(NoToken, match="no token") as refused:
        find_connection(ClientSettings(home=home, url=url))

    assert "SIGNALBOX_TOKEN" in refused.value.user_message


def test_the_token_of_this_machine_goes_to_its_server_by_any_spelling(home: Path) -> None:
    found = find_connection(ClientSettings(home=home, url="HTTP://127.0.0.1:4000/"))

    assert found.token == LOCAL.token


def test_a_token_alone_is_for_the_usual_port(tmp_path: Path) -> None:
    found = find_connection(ClientSettings(home=tmp_path, token="sbx_x"))

    assert found.url == "http://127.0.0.1:8765"


def test_without_anything_it_says_where_a_token_comes_from(tmp_path: Path) -> None:
    with pytest.raises(NoToken) as refused:
        find_connection(ClientSettings(home=tmp_path))

    said = refused.value.user_message
    assert "http://127.0.0.1:8765" in said
    assert "`signalbox up` writes one" in said


def test_an_exposed_file_is_named_instead_of_used(home: Path) -> None:
    access_file(home).chmod(0o644)

    with pytest.raises(NoToken) as refused:
        find_connection(ClientSettings(home=home))

    assert f"{access_file(home)} is damaged, or other users may read it" in (
        refused.value.user_message
    )


@pytest.mark.parametrize(
    "url",
    [
        "ops.example",
        "ftp://ops.example",
        "http://",
        "http://ops.example:0",
        "http://ops.example:x",
        "http://me:pw@ops.example",
        "http://ops.example/?x=1",
        "http://ops.example/#x",
        "http://ops.exa mple",
        "http://öps.example",
        "http://[::1",
    ],
)
def test_what_is_no_address_of_a_server_is_refused_without_its_content(
    tmp_path: Path, url: str
) -> None:
    with pytest.raises(BadServerUrl) as refused:
        find_connection(ClientSettings(home=tmp_path, url=url, token="sbx_x"))

    assert url not in refused.value.user_message or url == "http://"


@pytest.mark.parametrize("token", ["sbx_a\nX-Evil: 1", "sbx_ä", "sbx a"])
def test_what_can_be_no_token_is_refused_without_its_content(tmp_path: Path, token: str) -> None:
    with pytest.raises(BadArgument) as refused:
        find_connection(ClientSettings(home=tmp_path, token=token))

    assert token not in refused.value.user_message


def test_a_proxy_is_used_for_other_machines_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "near.example")

    def proxy_to(url: str) -> str | None:
        return find_connection(ClientSettings(home=tmp_path, url=url, token="sbx_x")).proxy

    assert proxy_to("http://ops.example") == "http://proxy.example:3128"
    assert proxy_to("http://near.example") is None
    for near in ("http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "http://127.9.9.9"):
        assert proxy_to(near) is None
    assert proxy_of_environment("http", "ops.example") == "http://proxy.example:3128"


def test_a_name_is_loopback_only_if_it_says_so() -> None:
    assert is_loopback("localhost")
    assert is_loopback("x.localhost")
    assert not is_loopback("localhost.example")
    assert not is_loopback("10.0.0.1")
    assert not is_loopback("")


def test_an_empty_variable_counts_as_not_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in CLIENT_VARIABLES | {"SIGNALBOX_PORT"}:
        monkeypatch.setenv(name, " ")
    monkeypatch.setenv("SIGNALBOX_HOME", str(tmp_path))

    assert read_client_settings() == ClientSettings(home=tmp_path)


def test_what_is_written_twice_is_the_same() -> None:
    assert str(SERVER_PORT) == DEFAULT_PORT
    assert route.API_ROOT == api.API_ROOT
    assert route.IDEMPOTENCY_HEADER == api.IDEMPOTENCY_HEADER


def test_a_command_that_reads_loads_neither_settings_nor_database() -> None:
    program = "import sys, bot.cli.main, bot.cli.client.acts.runs;print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )

    loaded = set(done.stdout.split())
    assert "aiohttp" in loaded
    assert not loaded & {
        "pydantic_settings",
        "sqlalchemy",
        "bot.assembly.settings",
        "bot.web.route",
        "core.domain.runs.run",
        "psutil",
    }
