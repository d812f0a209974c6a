"""The table `[checkpoints]` of signalbox.toml."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bot.assembly.config.bad_setting import BadSetting
from bot.assembly.settings import load_settings
from core.domain.runs.work.checkpoint_policy import DEFAULT_POLICY, CheckpointPolicy


def policy_of(folder: Path, text: str) -> CheckpointPolicy:
    (folder / "signalbox.toml").write_text(text)
    return load_settings(SIGNALBOX_HOME=folder).config.checkpoints.policy


def test_without_the_table_the_usual_policy_holds(tmp_path: Path) -> None:
    assert policy_of(tmp_path, "") == DEFAULT_POLICY


def test_every_key_is_taken_over(tmp_path: Path) -> None:
    text = """
    [checkpoints]
    enabled = false
    every = "90s"
    keep_all = "2h"
    keep_steps = "30d"
    max_stored_mb = 10
    max_changed_mb = 200
    """

    assert policy_of(tmp_path, text) == CheckpointPolicy(
        is_enabled=False,
        every=timedelta(seconds=90),
        keep_all=timedelta(hours=2),
        keep_steps=timedelta(days=30),
        max_stored_bytes=10_000_000,
        max_changed_bytes=200_000_000,
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('every = "5"', 'must be a time with its unit, from "10s" to "365d", like "5m"'),
        ("every = 5", "must be a time with its unit"),
        ('keep_all = "9s"', "must be a time with its unit"),
        ('keep_steps = "366d"', "must be a time with its unit"),
        ("max_stored_mb = 0", "must be a whole number from 1 to 200"),
        ('enabled = "no way"', "must be true or false"),
        ('ever = "5m"', "did you mean every?"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_right(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(BadSetting) as refused:
        policy_of(tmp_path, f"[checkpoints]\n{line}\n")

    assert words in refused.value.user_message
    assert refused.value.name.startswith("signalbox.toml, checkpoints.")
