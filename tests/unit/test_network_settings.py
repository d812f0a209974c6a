"""`network` in `[agent]` of signalbox.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.assembly.config.bad_setting import BadSetting
from bot.assembly.settings import load_settings
from core.domain.reach.network import NetworkPolicy


def policy_of(home: Path, text: str) -> NetworkPolicy:
    (home / "signalbox.toml").write_text(text)
    return load_settings(SIGNALBOX_HOME=home).config.agent.network


def test_the_network_is_open_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    assert policy_of(tmp_path, "").is_open
    assert policy_of(tmp_path, "[agent]\napi_retries = 1\n").is_open


def test_the_network_can_be_none_or_a_list_of_hosts(tmp_path: Path) -> None:
    assert policy_of(tmp_path, '[agent]\nnetwork = "none"\n').setting == "none"

    policy = policy_of(tmp_path, '[agent]\nnetwork = ["api.example.com", "*.example.org:8443"]\n')

    assert policy.setting == ["api.example.com", "*.example.org:8443"]


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ('"closed"', 'must be "open", "none", or a list of hosts'),
        ("true", 'must be "open", "none", or a list of hosts'),
        ("[]", 'write "none"'),
        ('["https://api.example.com"]', "is a URL, not a host; write it like"),
        ('["api.example.com", "*"]', "write it like"),
        ('["api.example.com:70000"]', "no port from 1 to 65535"),
        ("[443]", "443 is not a host; write it like"),
    ],
)
def test_an_invalid_network_stops_the_start_with_one_line(
    tmp_path: Path, value: str, hint: str
) -> None:
    with pytest.raises(BadSetting) as refused:
        policy_of(tmp_path, f"[agent]\nnetwork = {value}\n")

    assert hint in refused.value.user_message
    assert refused.value.user_message.startswith("signalbox.toml, agent.network")
    assert "\n" not in refused.value.user_message


def test_the_machine_s_own_proxies_are_passed_on(tmp_path: Path) -> None:
    settings = load_settings(
        SIGNALBOX_HOME=tmp_path,
        HTTPS_PROXY="http://proxy.example.com:3128",
        NO_PROXY="internal.example.com",
    )

    parents = settings.proxy.parents

    assert parents.http is None
    assert parents.for_host("api.example.com", 443, is_tunnel=True) == parents.https
    assert parents.for_host("internal.example.com", 443, is_tunnel=True) is None


def test_a_proxy_of_another_kind_is_refused_without_its_password(tmp_path: Path) -> None:
    settings = load_settings(
        SIGNALBOX_HOME=tmp_path, HTTPS_PROXY="socks5://user:secret@proxy.example.com:1080"
    )

    with pytest.raises(BadSetting, match="must be the address of a proxy") as refused:
        _ = settings.proxy.parents

    assert "secret" not in refused.value.user_message
