"""The levels that `SIGNALBOX_LOG` sets, and their precedence over a command's own level."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bot.assembly.settings import NodeSettings, load_settings

_LOG_ALL_LEVELS = """
import logging, sys
from bot.assembly.logs import set_up_logging
set_up_logging(sys.argv[2:], level=sys.argv[1])
for name in ("debug", "info", "warning", "error"):
    logging.getLogger("test").log(getattr(logging, name.upper()), name)
"""


def logged(own_level: str, *words: str) -> list[str]:
    """The lines of a process that logs once at each level."""
    done = subprocess.run(
        [sys.executable, "-c", _LOG_ALL_LEVELS, own_level, *words],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    return done.stderr.splitlines()


def test_without_a_level_there_is_none() -> None:
    assert NodeSettings.model_fields["log"].default == ()
    assert load_settings(SIGNALBOX_LOG="json").node.log == ("json",)


@pytest.mark.parametrize("words", [("debug", "json"), ("json", "debug", "error")])
def test_a_named_level_wins_over_the_commands_own_in_any_format(
    words: tuple[str, ...],
) -> None:
    lines = [json.loads(line) for line in logged("error", *words)]

    assert [line["message"] for line in lines] == ["debug", "info", "warning", "error"]


def test_a_commands_own_level_applies_if_none_is_named() -> None:
    plain, shaped = logged("error"), logged("error", "json")

    assert len(plain) == 1
    assert plain[0].endswith("test: error")
    assert [json.loads(line)["message"] for line in shaped] == ["error"]
