"""What an agent achieved according to its own list, in its final text or its plan."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice

from core.domain.runs.step import Step, StepStatus
from core.domain.steps.kinds import is_stand_in

_MAX_ITEMS = 10
_MAX_ITEM_CHARS = 200
_MAX_LINES = 2_000
_MAX_LINE_CHARS = 1_000
_HEADING = re.compile(r"\s{0,3}(?:#{1,6}\s+(?P<title>.*)|\*\*(?P<bold>[^*]{1,100})\*\*:?)")
# Headings above a list of what was done.  One above plans or problems names something else.
_ABOUT_DEEDS = re.compile(
    r"\b(?:achievements?|accomplish\w*|highlights|deliver(?:ed|ables)|implemented|completed"
    r"|changes|what (?:i|was|we|has been|changed)\b.{0,40}|done)\b",
    re.IGNORECASE,
)
_NOT_DONE = re.compile(
    r"\b(?:not|next|remaining|todo|to do|left|pending|known|future|suggested|recommended"
    r"|requested|required|needed|incomplete)\b",
    re.IGNORECASE,
)
_BULLET = re.compile(r"\s{0,3}(?:[-*•+]|\d{1,3}[.)]|✅|✔️?|✓)\s+(?P<item>\S.*)")
_OPEN_BOX = re.compile(r"\[ \]|❌|✗|⚠️")
_CHECKED_BOX = re.compile(r"^(?:\[[xX]\]|✅|✔️?|✓)\s*")


def achievements(text: str | None, steps: Sequence[Step]) -> tuple[str, ...] | None:
    """The agent's own list of what it achieved, at most ten; `None` if it gives none.

    It is the first list below a heading such as "What I did" or "Changes", else the completed
    items of its plan.
    """
    listed = _listed(text or "")
    if not listed:
        listed = [
            step.name
            for step in steps
            if step.status is StepStatus.COMPLETED and not is_stand_in(step)
        ]
    return tuple(_clip(item) for item in listed[:_MAX_ITEMS]) or None


def _listed(text: str) -> list[str]:
    items: list[str] = []
    is_about_deeds = is_code = False
    for whole in islice(text.splitlines(), _MAX_LINES):
        line = whole[:_MAX_LINE_CHARS]
        if line.lstrip().startswith(("```", "~~~")):
            is_code = not is_code
        heading = None if is_code else _HEADING.fullmatch(line.rstrip())
        if heading is not None:
            if items:
                break
            title = heading["title"] or heading["bold"] or ""
            is_about_deeds = bool(_ABOUT_DEEDS.search(title)) and not _NOT_DONE.search(title)
        elif is_about_deeds and not is_code and (bullet := _BULLET.fullmatch(line)):
            item = bullet["item"]
            if not _OPEN_BOX.search(item):
                items.append(_CHECKED_BOX.sub("", item).replace("**", "").strip())
    return [item for item in items if item]


def _clip(item: str) -> str:
    return item if len(item) <= _MAX_ITEM_CHARS else f"{item[: _MAX_ITEM_CHARS - 1]}…"
