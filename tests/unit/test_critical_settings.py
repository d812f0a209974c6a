"""`[critical]` in signalbox.toml: its settings, and errors that stop the start."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bot.assembly.config.bad_setting import BadSetting
from bot.assembly.settings import load_settings
from core.agent.critical import DEFAULT_PATTERNS, CriticalRules


def rules_of(home: Path, text: str) -> CriticalRules:
    (home / "signalbox.toml").write_text(text)
    return load_settings(SIGNALBOX_HOME=home).config.critical.rules


def test_without_the_table_the_default_commands_are_critical(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, "")

    assert tuple(pattern.pattern for pattern in rules.patterns) == DEFAULT_PATTERNS
    assert rules.wait == timedelta(seconds=3)


def test_patterns_and_the_longest_wait_are_set(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, "[critical]\npatterns = ['make deploy']\nwait = '4.5s'\n")

    assert rules.find("Bash", {"command": "make deploy"}) is not None
    assert rules.find("Bash", {"command": "git commit"}) is None
    assert rules.wait == timedelta(seconds=4.5)


def test_no_patterns_is_no_critical_section(tmp_path: Path) -> None:
    assert rules_of(tmp_path, "[critical]\npatterns = []\n").patterns == ()


@pytest.mark.parametrize(
    ("text", "name", "problem"),
    [
        ("patterns = ['git (commit']", "critical.patterns", "'git (commit' is not a regular"),
        ("patterns = 'git commit'", "critical.patterns", 'must be a list like ["…"]'),
        ("wait = '11s'", "critical.wait", 'seconds from 0 to 10, like "3s"'),
        ("wait = '-1s'", "critical.wait", 'seconds from 0 to 10, like "3s"'),
        ("wait = 'long'", "critical.wait", 'seconds from 0 to 10, like "3s"'),
        ("wait = 'nan'", "critical.wait", 'seconds from 0 to 10, like "3s"'),
        ("wait = true", "critical.wait", 'seconds from 0 to 10, like "3s"'),
        ("paterns = []", "critical.paterns", "is not known"),
    ],
)
def test_an_invalid_setting_stops_the_start_with_one_line(
    tmp_path: Path, text: str, name: str, problem: str
) -> None:
    with pytest.raises(BadSetting) as stopped:
        rules_of(tmp_path, f"[critical]\n{text}\n")

    assert name in stopped.value.user_message
    assert problem in stopped.value.user_message
    assert "\n" not in stopped.value.user_message
