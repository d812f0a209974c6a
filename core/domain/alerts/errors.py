"""Errors of acts on alerts."""

from __future__ import annotations

from core.domain.errors import NotFound, OutOfBounds


class AlertNotFound(NotFound):
    """No alert has this id, or it was deleted after its time."""

    code = "alert_not_found"

    def __init__(self, named: str) -> None:
        super().__init__(f"no alert {named!r}", user_message="I can't find that alert any more.")


class BadSnooze(OutOfBounds):
    """The time of a snooze or a mute is out of bounds."""

    code = "bad_snooze"
