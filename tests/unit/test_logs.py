"""The levels that `SIGNALBOX_LOG` sets, and their precedence over a command's own level."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bot.assembly.environment_settings import NodeSettings
from bot.assembly.settings import load_settings

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


_SAYS_FIELDS = """
import logging, sys
from datetime import UTC, datetime
from uuid import UUID
from bot.assembly.logs import set_up_logging
set_up_logging([sys.argv[1]], secrets=["hunter22"])
fields = {
    "event": "run.ended",
    "run_id": "run_1",
    "id": UUID(int=7),
    "ended_at": datetime(2026, 1, 2, tzinfo=UTC),
    "turns": 3,
    "cost_usd": 0.5,
    "is_first": True,
    "leg": None,
    "nodes": ("a", "password hunter22"),
    "address": "https://ann:hunter22@host",
    "level": "mine",
}
logging.getLogger("core.runner").info("run_1 ended", extra=fields)
logging.getLogger("library").warning("warned", extra={"payload": "words of people"})
"""


def logged_with_fields(form: str) -> list[str]:
    """The lines of a process whose log calls have fields."""
    done = subprocess.run(
        [sys.executable, "-c", _SAYS_FIELDS, form],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    return done.stderr.splitlines()


def test_json_logs_show_the_fields_of_a_line() -> None:
    line = json.loads(logged_with_fields("json")[0])

    assert line["message"] == "run_1 ended"
    assert (line["event"], line["run_id"]) == ("run.ended", "run_1")
    assert line["id"] == "00000000-0000-0000-0000-000000000007"
    assert line["ended_at"] == "2026-01-02T00:00:00+00:00"
    assert (line["turns"], line["cost_usd"], line["is_first"]) == (3, 0.5, True)
    assert line["leg"] is None


def test_fields_are_redacted_and_cannot_take_the_place_of_what_every_line_has() -> None:
    (raw, _) = logged_with_fields("json")

    assert "hunter22" not in raw
    assert json.loads(raw)["level"] == "info"


def test_fields_of_libraries_are_not_shown() -> None:
    line = json.loads(logged_with_fields("json")[1])

    assert set(line) == {"at", "level", "logger", "message"}


def test_text_logs_show_the_words_alone() -> None:
    first, _ = logged_with_fields("text")

    assert first.endswith("core.runner: run_1 ended")
