"""`isolation`, `share` and `share_proxy_password` in `[agent]` of signalbox.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.assembly.config.bad_setting import BadSetting
from bot.assembly.settings import load_settings
from bot.assembly.worker_runtime import proxy_warning
from core.domain.isolation import IsolationMode


def test_agents_are_isolated_where_that_is_possible_unless_the_file_says_otherwise(
    tmp_path: Path,
) -> None:
    assert load_settings(SIGNALBOX_HOME=tmp_path).config.agent.isolation is IsolationMode.AUTO

    (tmp_path / "signalbox.toml").write_text('[agent]\nisolation = "required"\nshare = ["/srv/x"]')
    agent = load_settings(SIGNALBOX_HOME=tmp_path).config.agent

    assert agent.isolation is IsolationMode.REQUIRED
    assert agent.share == (Path("/srv/x"),)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ('isolation = "strict"', "must be one of 'auto', 'required', 'none'"),
        ('share = ["keys"]', "must be a path like"),
        ('share = ["/srv/../root"]', "must be a path like"),
        ('share = ["/"]', "must be a path like"),
    ],
)
def test_an_invalid_value_stops_the_start_with_one_line(
    tmp_path: Path, line: str, hint: str
) -> None:
    (tmp_path / "signalbox.toml").write_text(f"[agent]\n{line}\n")

    with pytest.raises(BadSetting) as refused:
        load_settings(SIGNALBOX_HOME=tmp_path)

    assert hint in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("shared", ["", "home", "home/workspaces", "link"])
def test_signalboxs_own_files_cannot_be_shared_with_agents(tmp_path: Path, shared: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "link").symlink_to(home)
    (home / "signalbox.toml").write_text(f'[agent]\nshare = ["{tmp_path / shared}"]\n')

    with pytest.raises(BadSetting, match="SIGNALBOX_HOME"):
        load_settings(SIGNALBOX_HOME=home)


PROXIES = {
    "HTTPS_PROXY": "http://ada:s3cr3t@proxy.example:3128",
    "HTTP_PROXY": "http://proxy.example:3128",
    # Without a scheme, as curl takes it.
    "ALL_PROXY": "ada:0th3r@proxy.example:1080",
}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("", ("HTTPS_PROXY", "ALL_PROXY")),
        ("share_proxy_password = true", ()),
        # Then the worker's own proxy logs in.
        ('network = ["api.example.com"]', ()),
    ],
)
def test_a_login_of_the_proxy_that_agents_do_not_get_is_named(
    tmp_path: Path, lines: str, expected: tuple[str, ...]
) -> None:
    (tmp_path / "signalbox.toml").write_text(f"[agent]\n{lines}\n")

    settings = load_settings(SIGNALBOX_HOME=tmp_path, **PROXIES)
    warning = proxy_warning(settings)

    assert settings.withheld_proxy_logins == expected
    assert (warning is not None) is bool(expected)
    assert "s3cr3t" not in str(warning)
    secrets = {secret.get_secret_value() for secret in settings.secrets}
    assert {"s3cr3t", "0th3r"} <= secrets
