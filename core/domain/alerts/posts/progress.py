"""Progress posts: what a long run has done, told in its thread at intervals by one message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

from core.domain.progress.completion import step_count
from core.domain.redact import redact
from core.domain.runs.activity.awaited import Awaited
from core.domain.runs.run import CostSource, Run
from core.domain.runs.step import Step, StepStatus
from core.domain.steps.fold import step_in_progress

_NAME_CHARS = 100
# So many finished steps are named; of more only the number is told.
_MAX_NAMES = 5


@dataclass(frozen=True, kw_only=True)
class ProgressFigures:
    """What a run had done at one time.

    Attributes:
        cost_usd: `None` if it is unknown.
        step: The step in progress; `None` if there is none.
        steps_done: With `steps_total`; both are `None` if the run has no plan.
        finished_ids: The ids of all completed steps.
        finished: The names of those completed since the post before, in order, at most five.
        more_finished: How many more were completed since then.
        more_turns: Turns since the post before; `None` in the first post.
        more_cost_usd: Cost since then; `None` if either is unknown.
        since: When the post before was taken.
        heard_at: When anything was heard of the agent last; `None` if it is not known, or if the
            run waits for a person.
    """

    turns: int
    max_turns: int | None = None
    cost_usd: Decimal | None = None
    cost_source: CostSource | None = None
    step: str | None = None
    steps_done: int | None = None
    steps_total: int | None = None
    finished_ids: tuple[int, ...] = ()
    finished: tuple[str, ...] = ()
    more_finished: int = 0
    more_turns: int | None = None
    more_cost_usd: Decimal | None = None
    since: datetime | None = None
    heard_at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """The value in the post's row."""
        return {
            "turns": self.turns,
            "max_turns": self.max_turns,
            "cost_usd": _text(self.cost_usd),
            "cost_source": None if self.cost_source is None else self.cost_source.value,
            "step": self.step,
            "steps_done": self.steps_done,
            "steps_total": self.steps_total,
            "finished_ids": list(self.finished_ids),
            "finished": list(self.finished),
            "more_finished": self.more_finished,
            "more_turns": self.more_turns,
            "more_cost_usd": _text(self.more_cost_usd),
            "since": None if self.since is None else self.since.isoformat(),
            "heard_at": None if self.heard_at is None else self.heard_at.isoformat(),
        }

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> ProgressFigures:
        """Read the value in a post's row."""
        source = stored["cost_source"]
        return cls(
            turns=stored["turns"],
            max_turns=stored["max_turns"],
            cost_usd=_decimal(stored["cost_usd"]),
            cost_source=None if source is None else CostSource(source),
            step=stored["step"],
            steps_done=stored["steps_done"],
            steps_total=stored["steps_total"],
            finished_ids=tuple(stored["finished_ids"]),
            finished=tuple(stored["finished"]),
            more_finished=stored["more_finished"],
            more_turns=stored["more_turns"],
            more_cost_usd=_decimal(stored["more_cost_usd"]),
            since=_time(stored["since"]),
            heard_at=_time(stored["heard_at"]),
        )


@dataclass(frozen=True, kw_only=True)
class ProgressPost:
    """One row of `run_progress_posts`.

    Attributes:
        due_at: When it is taken next; `None` once the run has ended.
        taken_at: When the figures were taken; `None` before the first time.
        count: How often it was taken.
        figures: `ProgressFigures` as JSON; empty before the first time.
    """

    run_id: UUID
    every: timedelta
    due_at: datetime | None
    taken_at: datetime | None = None
    count: int = 0
    figures: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def told(self) -> ProgressFigures | None:
        """What it tells; `None` before the first time."""
        return None if self.taken_at is None else ProgressFigures.of_json(self.figures)

    def next_due(self, now: datetime) -> datetime:
        """When it is due after `now`: in step with before, and not for what was missed."""
        due = now if self.due_at is None else self.due_at
        missed = max((now - due) // self.every, 0)
        return due + (missed + 1) * self.every


def figures_of(run: Run, steps: Sequence[Step], before: ProgressPost) -> ProgressFigures:
    """What a running run has done, compared with the post before."""
    told = before.told
    count, current = step_count(steps), step_in_progress(steps)
    completed = [step for step in steps if step.status is StepStatus.COMPLETED]
    known = frozenset(() if told is None else told.finished_ids)
    finished = [step for step in completed if step.step_id not in known]
    awaited = Awaited.of_run(run)
    return ProgressFigures(
        turns=run.turns,
        max_turns=run.max_turns,
        cost_usd=run.cost_usd,
        cost_source=run.cost_source,
        step=None if current is None else _name(current.active_name or current.name),
        steps_done=None if count is None else count.done,
        steps_total=None if count is None else count.total,
        finished_ids=tuple(step.step_id for step in completed),
        finished=tuple(_name(step.name) for step in finished[:_MAX_NAMES]),
        more_finished=max(len(finished) - _MAX_NAMES, 0),
        more_turns=None if told is None else max(run.turns - told.turns, 0),
        more_cost_usd=_difference(run.cost_usd, None if told is None else told.cost_usd),
        since=before.taken_at,
        heard_at=None if awaited is None or run.waiting_on is not None else awaited.heard_at,
    )


def _difference(now: Decimal | None, before: Decimal | None) -> Decimal | None:
    return None if now is None or before is None else max(now - before, Decimal(0))


def _name(words: str) -> str:
    return redact(" ".join(words.split()))[:_NAME_CHARS]


def _text(amount: Decimal | None) -> str | None:
    # A number of JSON can lose digits.
    return None if amount is None else str(amount)


def _decimal(stored: str | None) -> Decimal | None:
    return None if stored is None else Decimal(stored)


def _time(stored: str | None) -> datetime | None:
    return None if stored is None else datetime.fromisoformat(stored)
