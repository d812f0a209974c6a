"""The trends of the reference, with the statistics of scipy and numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from scipy import stats

from tests.alerts.replay.facts import PastDay

_LIMITS = {"max_turns", "budget"}


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run ended."""

    run: int
    at: datetime
    workflow: str
    reason: str
    needs_a_look: bool
    cents: int | None

    @property
    def counts(self) -> bool:
        """Nobody stopped it, and no usage limit did."""
        return self.reason not in {"killed", "usage_limit"}

    @property
    def is_failure(self) -> bool:
        """A turn or budget limit is none."""
        return self.counts and self.reason != "success" and self.reason not in _LIMITS


@dataclass
class _Raised:
    window: int
    fired_at: datetime
    since: datetime


class Trends:
    """All runs that were taken in, and what came before the week."""

    def __init__(self, past: Sequence[PastDay]) -> None:
        self.past = past
        self.known: list[Ended] = []
        self.raised: dict[str, _Raised] = {}

    def take_in(self, ended: Sequence[Ended]) -> list[Ended]:
        """Add runs; returns the expensive ones of them, compared with those before each."""
        found: list[Ended] = []
        for end in ended:
            before = [one.cents for one in self.known if one.workflow == end.workflow]
            if end.cents is not None and _is_spike(end.cents, before, least=12):
                found.append(end)
            self.known.append(end)
        return found

    def expensive_days(self, ended: Sequence[Ended]) -> list[date]:
        """The days of these runs that cost much more than the same weekday of 8 weeks."""
        days = sorted({end.at.date() for end in ended})
        found: list[date] = []
        for day in days:
            weeks = [day - timedelta(weeks=number) for number in range(1, 9)]
            if _is_spike(self._cost_of(day), [self._cost_of(one) for one in weeks], least=4):
                found.append(day)
        return found

    def met_usage_limit(self, workflow: str) -> bool:
        """Whether a usage limit ended its newest run."""
        newest = max(
            (end for end in self.known if end.workflow == workflow), key=lambda end: end.at
        )
        return newest.reason == "usage_limit"

    def fails_more(self, workflow: str, now: datetime, *, is_explained: bool) -> datetime | None:
        """Since when the workflow fails more often than before; `None` if it does not.

        What has fired goes on until it is clear that it is over.
        """
        newest = sorted(
            (end for end in self.known if end.workflow == workflow and end.counts),
            key=lambda end: end.at,
            reverse=True,
        )
        cases, total = self._month(workflow, now)
        candidates: list[tuple[float, int]] = []
        could_tell = False
        for window in (5, 20):
            failures, before, of = _split(newest, window, cases, total)
            if len(newest) < window or of < 10:
                continue
            could_tell = True
            p = _fisher(failures, window, before, of)
            excess = failures / window - before / of
            if failures >= 3 and excess >= 0.2 and p < 0.01:
                candidates.append((p, window))
        present = self.raised.get(workflow)
        if candidates:
            window = min(candidates)[1]
            since = newest[window - 1].at
            if present is not None:
                present.window = window
            elif not is_explained:
                self.raised[workflow] = _Raised(window, now, since)
            return since
        if present is None:
            return None
        if not could_tell or self._is_over(newest, cases, total, present):
            del self.raised[workflow]
            return None
        return present.since

    def _is_over(self, newest: Sequence[Ended], cases: int, total: int, raised: _Raised) -> bool:
        window = min(raised.window, len(newest))
        failures, before, of = _split(newest, window, cases, total)
        if _fisher(failures, window, before, of) > 0.2:
            return True
        if len(newest) < 10 or newest[9].at <= raised.fired_at:
            return False
        failures, before, of = _split(newest, 10, cases, total)
        return failures / 10 <= (before / of if of else 0)

    def _month(self, workflow: str, now: datetime) -> tuple[int, int]:
        first = (now - timedelta(days=30)).date()
        known = [end for end in self.known if end.workflow == workflow and end.counts]
        past = [day for day in self.past if day.workflow == workflow and day.day >= first]
        cases = sum(end.is_failure for end in known) + sum(day.failures for day in past)
        return cases, len(known) + sum(day.judged for day in past)

    def _cost_of(self, day: date) -> int:
        past = sum(one.cost_cents for one in self.past if one.day == day)
        return past + sum(end.cents or 0 for end in self.known if end.at.date() == day)


def _split(newest: Sequence[Ended], window: int, cases: int, total: int) -> tuple[int, int, int]:
    failures = sum(end.is_failure for end in newest[:window])
    return failures, cases - failures, total - len(newest[:window])


def _fisher(failures: int, window: int, before: int, of: int) -> float:
    return float(stats.hypergeom.sf(failures - 1, window + of, failures + before, window))


def _is_spike(cents: int, others: Sequence[int | None], *, least: int) -> bool:
    usual = np.array([other for other in others if other], dtype=float)
    if len(usual) < least or cents < 100 or cents < 2 * np.median(usual):
        return False
    logarithms = np.log(usual)
    deviation = stats.median_abs_deviation(logarithms, scale="normal")
    z = (np.log(cents) - np.median(logarithms)) / max(float(deviation), float(np.log(1.1)))
    return bool(z > 3.5)
