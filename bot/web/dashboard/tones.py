"""The look of a run's state: one tone, which has a colour and a shape of its own."""

from __future__ import annotations

from enum import StrEnum

from core.domain.runs.outcome import Outcome
from core.domain.runs.run import Run, RunStatus, StopReason


class Tone(StrEnum):
    """How a state looks; the values are names of classes and of icons."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    STOPPING = "stopping"
    CLEAN = "clean"
    ATTENTION = "attention"
    LIMIT = "limit"
    FAILED = "failed"
    KILLED = "killed"


# A run that ended at a limit did nothing wrong, and goes on with one press.
_LIMITS = frozenset({StopReason.MAX_TURNS, StopReason.BUDGET, StopReason.TIMEOUT})


def tone_of(run: Run) -> Tone:
    """The tone of a run's present state.  Pure."""
    if run.is_live and run.kill_requested_at is not None:
        return Tone.STOPPING
    if run.status is RunStatus.PENDING:
        return Tone.QUEUED
    if run.status is RunStatus.RUNNING:
        return Tone.RUNNING if run.waiting_on is None else Tone.WAITING
    if run.status is RunStatus.COMPLETED:
        return Tone.CLEAN if run.outcome is Outcome.CLEAN else Tone.ATTENTION
    if run.status is RunStatus.KILLED:
        return Tone.KILLED
    return Tone.LIMIT if run.stop_reason in _LIMITS else Tone.FAILED
