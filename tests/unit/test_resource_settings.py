"""The table `[resources]` of signalbox.toml."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bot.assembly.config.bad_setting import BadSetting
from bot.assembly.settings import load_settings
from core.domain.resources.policy import DEFAULT_POLICY, SamplingPolicy


def policy_of(folder: Path, text: str) -> SamplingPolicy:
    (folder / "signalbox.toml").write_text(text)
    return load_settings(SIGNALBOX_HOME=folder).config.resources.policy


def test_without_the_table_samples_are_taken_every_five_seconds(tmp_path: Path) -> None:
    assert policy_of(tmp_path, "") == DEFAULT_POLICY
    assert SamplingPolicy(is_enabled=True, every=timedelta(seconds=5)) == DEFAULT_POLICY


def test_every_key_is_taken_over(tmp_path: Path) -> None:
    text = '[resources]\nenabled = false\nevery = "30s"\n'

    assert policy_of(tmp_path, text) == SamplingPolicy(
        is_enabled=False, every=timedelta(seconds=30)
    )
    assert policy_of(tmp_path, '[resources]\nevery = "1m"\n').every == timedelta(minutes=1)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('every = "5"', 'must be a time with its unit, from "1s" to "1m", like "5s"'),
        ("every = 5", "must be a time with its unit"),
        ('every = "0s"', "must be a time with its unit"),
        ('every = "61s"', "must be a time with its unit"),
        ('enabled = "no way"', "must be true or false"),
        ('evry = "5s"', "did you mean every?"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_right(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(BadSetting) as refused:
        policy_of(tmp_path, f"[resources]\n{line}\n")

    assert words in refused.value.user_message
    assert refused.value.name.startswith("signalbox.toml, resources.")
