"""How long what is shown in Slack has been outdated, as the process that draws sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bot.slack.client.meter import SlackMeter
from core.domain.drawables import DrawableId


@dataclass
class DrawingLag:
    """When each outdated drawable was first seen to be so.

    Attributes:
        now: A monotonic clock in seconds.
    """

    meter: SlackMeter
    now: Callable[[], float]
    _since: dict[DrawableId, float] = field(default_factory=dict)

    def found_outdated(self, drawables: Iterable[DrawableId]) -> None:
        """Record what a poll has found; an earlier time stays."""
        now = self.now()
        for drawable in drawables:
            self._since.setdefault(drawable, now)

    def record_drawn(self, drawable: DrawableId) -> None:
        """Report that a drawable is up to date; nothing if it was not outdated."""
        since = self._since.pop(drawable, None)
        if since is not None:
            self.meter.drawn(drawable.kind, self.now() - since)

    def forget(self) -> None:
        """Forget everything: another process draws from now on."""
        self._since.clear()

    @property
    def outdated(self) -> int:
        """How many drawables are outdated."""
        return len(self._since)

    @property
    def oldest_seconds(self) -> float:
        """How long the longest outdated drawable has been so; 0 if none is."""
        return self.now() - min(self._since.values()) if self._since else 0.0
