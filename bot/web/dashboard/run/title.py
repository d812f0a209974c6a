"""What the pages of a run's log and of its changes say about the run, above their own part."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from bot.web.dashboard.tones import tone_of
from bot.words.markup import PLAIN
from bot.words.runs.states import state_words
from core.domain.runs.run import Run
from core.domain.runs.snapshot import RunSnapshot


def title_values(run: Run, *, task: str, leg: int) -> dict[str, Any]:
    """The run, the task it works on, and its state, as templates show them.  Pure."""
    return {
        "run": run,
        "task": task,
        "leg": leg,
        "tone": tone_of(run),
        "headline": state_words(RunSnapshot(run=run), PLAIN),
    }


def owners_of(run: Run) -> frozenset[UUID]:
    """The owner of a run, if it has one, as `Content.owners` has it."""
    return frozenset({run.user_id} if run.user_id is not None else ())
