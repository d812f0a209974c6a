from __future__ import annotations

from pathlib import Path

import pytest

from bot.assembly.settings import load_settings
from bot.assembly.shown_settings import shown_settings
from bot.web.settings_values import ShownSetting

TOML = """
[worker]
slots = 7
[metrics]
token = "0123456789abcdef-secret"
[[alerts.subscriptions]]
channel = "C0123ABCD"
"""


@pytest.fixture
def shown(tmp_path: Path) -> dict[tuple[str, str], ShownSetting]:
    file = tmp_path / "signalbox.toml"
    file.write_text(TOML, encoding="utf-8")
    settings = load_settings(
        SIGNALBOX_HOME=str(tmp_path),
        SIGNALBOX_CONFIG=str(file),
        DATABASE_URL="postgresql://ada:pass-word@db/signalbox",
        ANTHROPIC_API_KEY="sk-ant-secret",
        ANTHROPIC_BASE_URL="https://ada:pass-word@model.example.com",
        SIGNALBOX_PORT=9000,
    )
    return {
        (group.title, one.name): one for group in shown_settings(settings) for one in group.settings
    }


def test_a_setting_has_its_value_and_where_it_comes_from(
    shown: dict[tuple[str, str], ShownSetting],
) -> None:
    port = shown["This process (environment)", "SIGNALBOX_PORT"]
    slots, drain = shown["[worker]", "slots"], shown["[worker]", "drain"]

    assert (port.value, port.source) == ("9000", "environment variable SIGNALBOX_PORT")
    assert (slots.value, slots.source, slots.is_default) == ("7", "signalbox.toml", False)
    assert (drain.value, drain.source, drain.is_default) == ("3.0 s", "default", True)
    assert shown["[alerts]", "subscriptions 1: channel"].value == "C0123ABCD"
    assert ("[limits]", "limits") in shown


def test_no_secret_is_said(shown: dict[tuple[str, str], ShownSetting]) -> None:
    everything = "\n".join(one.value for one in shown.values())

    assert shown["Agent (environment)", "ANTHROPIC_API_KEY"].value == "set"
    assert shown["Database (environment)", "DATABASE_URL"].value == "set"
    assert shown["[metrics]", "token"].value == "set"
    assert shown["Agent (environment)", "ANTHROPIC_BASE_URL"].value.startswith("set")
    for secret in ("pass-word", "sk-ant-secret", "0123456789abcdef"):
        assert secret not in everything
    # Nor is there anything that only a program reads.
    assert "object at 0x" not in everything
    assert "SecretStr" not in everything
