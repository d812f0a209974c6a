"""The kills of a run as its page shows them: each phase, the proof, and what was saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.words.kills import (
    PHASE_WORDS,
    PROOF_WORDS,
    STOPPING_TITLES,
    ended_words,
    is_unconfirmed,
    killed_by,
    saved_work_words,
    survivor_words,
    unconfirmed_title,
    waited_words,
)
from bot.words.markup import PLAIN
from bot.words.times import milliseconds
from core.domain.actor import Origin
from core.domain.kills.termination import Phase, Termination
from core.domain.runs.snapshot import RunSnapshot


@dataclass(frozen=True, kw_only=True)
class PhaseRow:
    """A phase of a kill.

    Attributes:
        at: When it began, after the request.
        took: How long it lasted; empty for the last one.
        x: Where it is in the time of the whole kill, from 0 to 100, as is `width`.
    """

    name: str
    meaning: str
    at: str
    took: str
    x: float
    width: float


@dataclass(frozen=True, kw_only=True)
class KillRow:
    """A kill.

    Attributes:
        tone: The name of a class and of an icon.
        lines: What proves it, what it waited for, what survived, what was saved; plain text.
    """

    key: str
    title: str
    tone: str
    by: str
    origin: str
    is_forced: bool
    requested_at: datetime
    took: str
    phases: Sequence[PhaseRow]
    lines: Sequence[str]


def kill_rows(snapshot: RunSnapshot, kills: Sequence[Termination]) -> list[KillRow]:
    """The kills of a run, newest first.  Pure."""
    return [_row(snapshot, kill) for kill in kills]


def _row(snapshot: RunSnapshot, kill: Termination) -> KillRow:
    title, tone = _title(snapshot, kill)
    elapsed = kill.elapsed
    return KillRow(
        key=str(kill.id),
        title=title,
        tone=tone,
        by=killed_by(kill, PLAIN),
        origin=_origin(kill.requested_from),
        is_forced=kill.force,
        requested_at=kill.requested_at,
        took="" if elapsed is None else milliseconds(round(elapsed.total_seconds() * 1000)),
        phases=_phases(kill),
        lines=[line for line in _lines(snapshot, kill) if line],
    )


def _title(snapshot: RunSnapshot, kill: Termination) -> tuple[str, str]:
    if kill.phase is Phase.CONFIRMED:
        return "Confirmed: nothing of the run is alive", "killed"
    if is_unconfirmed(kill):
        return unconfirmed_title(snapshot, kill), "attention"
    return STOPPING_TITLES[kill.phase], "stopping"


def _lines(snapshot: RunSnapshot, kill: Termination) -> list[str]:
    proof = "" if kill.proof_by is None else f"Proof: {PROOF_WORDS[kill.proof_by]}"
    survivors = survivor_words(snapshot, kill, PLAIN).split("\n") if is_unconfirmed(kill) else []
    saved = saved_work_words(snapshot.run, kill, PLAIN)
    return [
        proof,
        ended_words(kill),
        waited_words(kill, PLAIN),
        *survivors,
        f"Work kept: {saved}" if saved else "",
    ]


def _phases(kill: Termination) -> list[PhaseRow]:
    starts = sorted(kill.phases.items(), key=lambda one: one[1])
    whole = max([at for _, at in starts] + [1])
    rows = []
    for number, (phase, at) in enumerate(starts):
        following = starts[number + 1][1] if number + 1 < len(starts) else None
        rows.append(
            PhaseRow(
                name=phase.value,
                meaning=PHASE_WORDS[phase],
                at=milliseconds(at),
                took="" if following is None else milliseconds(following - at),
                x=round(min(100 * at / whole, 99.0), 2),
                width=1.0
                if following is None
                else round(max(100 * (following - at) / whole, 1.0), 2),
            )
        )
    return rows


def _origin(name: str) -> str:
    """The way by which a request came, in words."""
    return {Origin.API.value: "the API", Origin.CLI.value: "the command line"}.get(
        name, name.capitalize()
    )
