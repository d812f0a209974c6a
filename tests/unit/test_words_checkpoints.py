"""Checkpoints in words."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from bot.words.markup import PLAIN
from bot.words.runs.work.checkpoints import NOT_STORED, REASONS, checkpoint_lines
from core.domain.runs.checkpoint import (
    PROBLEM_KEY,
    CheckpointDiff,
    CheckpointReason,
    NotStored,
)
from tests.unit.test_checkpoint_policy import checkpoint
from tests.unit.view_helpers import make_run

TAKEN = replace(
    checkpoint(2, CheckpointReason.STEP_ENDED, step=1),
    step_name="Write the module",
    turns=18,
    cost_usd=Decimal("0.1"),
    diff=CheckpointDiff(files=2, added=49, removed=1),
)

RUN = make_run()


def test_every_reason_and_every_cause_has_words() -> None:
    assert set(REASONS) == set(CheckpointReason)
    assert set(NOT_STORED) == set(NotStored)


def test_no_checkpoint_is_no_line() -> None:
    assert checkpoint_lines(RUN, [], PLAIN) == []


def test_a_line_has_number_step_turns_cost_changes_and_time() -> None:
    heading, line = checkpoint_lines(RUN, [TAKEN], PLAIN)

    assert heading == "Checkpoints · 1"
    assert "@2" in line
    assert "after Write the module · 18 turns · $0.10 · 2 files +49 −1 · " in line


@pytest.mark.parametrize("reason", list(CheckpointReason))
def test_a_checkpoint_without_a_step_says_when_it_was_taken(reason: CheckpointReason) -> None:
    line = checkpoint_lines(RUN, [replace(TAKEN, reason=reason, step_name=None)], PLAIN)[1]

    assert "None" not in line
    assert not line.split(" · ")[0].endswith(("after", "during"))


def test_what_is_not_whole_or_not_everywhere_is_said() -> None:
    doubtful = replace(TAKEN, is_call_open=True, not_stored=NotStored.TOO_LARGE)

    line = checkpoint_lines(RUN, [doubtful], PLAIN)[1]

    assert "a tool was working" in line
    assert "only its worker has it" in line


def test_a_long_list_shows_the_newest() -> None:
    many = [replace(TAKEN, number=number) for number in range(1, 31)]

    lines = checkpoint_lines(RUN, many, PLAIN)

    assert lines[:2] == ["Checkpoints · 30", "10 before"]
    assert len(lines) == 22


def test_what_prevents_checkpoints_is_said_last() -> None:
    run = make_run(metadata={PROBLEM_KEY: "The changed files are too large."})

    assert checkpoint_lines(run, [], PLAIN) == [
        "Checkpoints · 0",
        "The changed files are too large.",
    ]
    assert checkpoint_lines(run, [TAKEN], PLAIN)[-1] == "The changed files are too large."
