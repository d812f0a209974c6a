"""The table `[retention]` of signalbox.toml."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bot.assembly.config.bad_setting import BadSetting
from bot.assembly.settings import load_settings
from core.domain.retention import DEFAULT_RETENTION, RetentionPolicy


def policy_of(folder: Path, text: str) -> RetentionPolicy:
    (folder / "signalbox.toml").write_text(text)
    return load_settings(SIGNALBOX_HOME=folder).config.retention.policy


def test_without_the_table_the_usual_times_hold(tmp_path: Path) -> None:
    assert policy_of(tmp_path, "") == DEFAULT_RETENTION


def test_every_key_is_taken_over(tmp_path: Path) -> None:
    text = """
    [retention]
    events = "30d"
    transcripts = "400d"
    audit = "forever"
    alerts = "1d"
    digests = "9999d"
    samples = "7d"
    """

    assert policy_of(tmp_path, text) == RetentionPolicy(
        events=timedelta(days=30),
        transcripts=timedelta(days=400),
        audit=None,
        alerts=timedelta(days=1),
        digests=timedelta(days=9999),
        samples=timedelta(days=7),
    )


@pytest.mark.parametrize("value", ['"0d"', '"90"', '"12h"', "90", '"never"', '"10000d"', "true"])
def test_a_time_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(BadSetting, match=r"retention\.events: must be days"):
        policy_of(tmp_path, f"[retention]\nevents = {value}\n")
