"""`[worker]` in signalbox.toml, and the signals that end a process."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from bot.assembly.config.bad_setting import BadSetting
from bot.assembly.config.tables import WorkerTable
from bot.assembly.serve import AppProcess, handle_signals
from bot.assembly.settings import load_settings
from core.domain.workflow import OnWorkerLost
from tests.limits import limit


def table_of(home: Path, text: str) -> WorkerTable:
    (home / "signalbox.toml").write_text(text)
    return load_settings(SIGNALBOX_HOME=home).config.worker


def test_a_worker_drains_for_three_seconds_and_its_runs_are_resumed(tmp_path: Path) -> None:
    table = table_of(tmp_path, "")

    assert table.drain == timedelta(seconds=3)
    assert table.on_lost is OnWorkerLost.RESUME


def test_drain_and_on_lost_can_be_set(tmp_path: Path) -> None:
    table = table_of(tmp_path, '[worker]\ndrain = 3600\non_lost = "fail"\n')

    assert table.drain == timedelta(hours=1)
    assert table.on_lost is OnWorkerLost.FAIL


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("drain = -1", "from 0 to 86400"),
        ("drain = 86401", "from 0 to 86400"),
        ("drain = true", "from 0 to 86400"),
        ("drain = nan", "from 0 to 86400"),
        ('drain = "long"', "from 0 to 86400"),
        ('on_lost = "retry"', "on_lost"),
    ],
)
def test_an_invalid_setting_stops_the_start(tmp_path: Path, line: str, hint: str) -> None:
    with pytest.raises(BadSetting) as refused:
        table_of(tmp_path, f"[worker]\n{line}\n")

    assert hint in refused.value.user_message
    assert "signalbox.toml" in refused.value.user_message


async def test_a_second_signal_speeds_up_the_stop() -> None:
    process = AppProcess()
    async with handle_signals(process), limit(5):
        os.kill(os.getpid(), signal.SIGTERM)
        await process.stop_requested.wait()
        assert not process.skip_drain_requested.is_set()

        os.kill(os.getpid(), signal.SIGTERM)
        await process.skip_drain_requested.wait()
