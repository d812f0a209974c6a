"""What the head of a run's page says: its state, and what it waits for, as Slack's card does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot.web.dashboard.tones import Tone, tone_of
from bot.words.failures.retries import ended_words, not_continued_words
from bot.words.markup import PLAIN
from bot.words.runs.figures import current_step_words, ended_steps_words
from bot.words.runs.states import StateWords, state_of
from bot.words.runs.waiting.silence import is_worrying, silence_of, silence_title, waiting_words
from core.domain.runs.run import Run, RunStatus
from core.domain.runs.snapshot import RunSnapshot


@dataclass(frozen=True, kw_only=True)
class RunHead:
    """The head of a run's page.

    Attributes:
        title: The state in words.
        lines: What it means, waits for, or needs; plain text.
        retry_at: When the next attempt may begin, while it waits for that.
    """

    tone: Tone
    title: str
    lines: tuple[str, ...]
    retry_at: datetime | None = None


def run_head(snapshot: RunSnapshot, *, now: datetime) -> RunHead:
    """The head of a run's page.  Pure."""
    run, state, tone = snapshot.run, state_of(snapshot, PLAIN), tone_of(snapshot.run)
    silence = silence_of(snapshot, now)
    if silence is not None and is_worrying(snapshot, now):
        tone, state = Tone.ATTENTION, StateWords(icon="", title=silence_title(silence))
    lines = _live_lines(snapshot, state, now) if run.is_live else _ended_lines(snapshot, state)
    return RunHead(
        tone=tone,
        title=state.title,
        lines=tuple(line for line in lines if line),
        retry_at=run.retry_at if run.is_live else None,
    )


def _live_lines(snapshot: RunSnapshot, state: StateWords, now: datetime) -> list[str]:
    run = snapshot.run
    is_working = run.status is RunStatus.RUNNING and run.kill_requested_at is None
    lines = [state.detail, current_step_words(snapshot.steps, PLAIN) if is_working else ""]
    silence, awaited = silence_of(snapshot, now), snapshot.awaited
    if silence is None or awaited is None:
        return lines
    # A long silence is the title already.
    silent = [] if is_worrying(snapshot, now) else [silence_title(silence)]
    waits = ", ".join([*silent, waiting_words(awaited, now, PLAIN, told=silence)])
    return [*lines, waits[:1].upper() + waits[1:]]


def _ended_lines(snapshot: RunSnapshot, state: StateWords) -> list[str]:
    run = snapshot.run
    steps = "" if _has_all_steps(run, snapshot) else ended_steps_words(snapshot.steps, PLAIN)
    return [state.detail, ended_words(run), not_continued_words(run), steps]


def _has_all_steps(run: Run, snapshot: RunSnapshot) -> bool:
    """Whether nothing is to be said of the steps: there are none, or all are done."""
    return run.status is RunStatus.COMPLETED and all(
        step.completed_at is not None for step in snapshot.steps
    )
