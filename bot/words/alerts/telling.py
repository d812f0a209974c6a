"""What a sentence of evidence is made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot.words import times
from bot.words.alerts.figures import Evidence, moment, rough
from bot.words.markup import Markup
from core.domain.alerts.episode import Episode


@dataclass(frozen=True, kw_only=True)
class Telling:
    """An alert whose evidence is told.

    Attributes:
        evidence: Its evidence, read with care.
        now: The current time; of an alert that has ended, when it did.
    """

    alert: Episode
    evidence: Evidence
    now: datetime
    markup: Markup

    @property
    def is_over(self) -> bool:
        """Whether it has ended, so that it is told in the past."""
        return not self.alert.is_open

    def verb(self, present: str, past: str) -> str:
        """The form of a verb."""
        return past if self.is_over else present

    def lasting(self, since: datetime) -> str:
        """The time from a moment until now; exact once it is over."""
        length = self.now - since
        return times.duration(length) if self.is_over else rough(length)

    def so_far(self, since: datetime, suffix: str = "") -> str:
        """The same in brackets while it lasts; afterwards the state says how long it took."""
        return "" if self.is_over else f" ({self.lasting(since)}{suffix})"

    def at(self, at: datetime) -> str:
        """A moment near to now."""
        return moment(at, self.now, self.markup)
