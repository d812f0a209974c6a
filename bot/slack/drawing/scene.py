"""What is being drawn: a drawable, its kind, and the subject it is drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bot.slack.drawing.kinds import DrawnKind
from core.domain.drawables import Drawable


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A drawable, its kind, and the subject it is drawn from."""

    drawable: Drawable
    kind: DrawnKind[Any]
    subject: Any

    @property
    def is_final(self) -> bool:
        """Whether the subject has ended."""
        return not self.kind.is_live(self.subject)
