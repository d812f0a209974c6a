"""The agent's own step markers in a text: `Step 2/5: Write tests`, `## Step 3 – Ship`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice

# A text that begins a step is short, or begins with its marker.
_MAX_CHARS = 20_000
_MAX_LINES = 400
_MAX_LINE_CHARS = 400
_MAX_NAME_CHARS = 200
# More steps than an agent counts in its texts.
MAX_NUMBER = 100
_FENCE = ("```", "~~~")
# After the number stand a sign and a name: "Step 2 needs thought" is a sentence.  Only a heading,
# or the number of all steps, makes a marker of less.
_MARKER = re.compile(
    r"\s{0,3}(?P<heading>#{1,6}\s+)?(?:[*_]{1,3}|\[|[-*>]\s+[*_]{0,3})?"
    r"(?:Step|STEP|Phase|PHASE)\s+(?P<number>\d{1,3})"
    r"(?:\s{0,2}(?:/|of)\s{0,2}(?P<total>\d{1,3}))?"
    r"(?P<end>[\s\]*_]{0,4}(?:[:.)–—]|-{1,2}(?=\s)|$)|\]|\s)"
    r"(?P<name>.*)"
)
_FINISHED = re.compile(
    r"(?:✅|✓|☑️)?\s{0,2}(?:is )?(?:complete[d]?|done|finished)\b.{0,3}|✅|✓", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class StepMarker:
    """The step that a text announces.

    Attributes:
        total: The number of all steps, if the text names it.
        name: Its name, as plain text; `None` if there is none.
        is_finished: Whether the text says that the step is finished.
    """

    number: int
    total: int | None = None
    name: str | None = None
    is_finished: bool = False


def read_marker(text: str) -> StepMarker | None:
    """The step that a text announces.

    `None` if it announces none, or several: then it lists steps, as a plan or a report does.
    """
    found: StepMarker | None = None
    is_code = False
    for line in islice(text[:_MAX_CHARS].splitlines(), _MAX_LINES):
        if line.lstrip().startswith(_FENCE):
            is_code = not is_code
        marker = None if is_code else _read_line(line[:_MAX_LINE_CHARS])
        if marker is None:
            continue
        if found is not None and found.number != marker.number:
            return None
        found = found or marker
    return found


def _read_line(line: str) -> StepMarker | None:
    match = _MARKER.fullmatch(line)
    if match is None:
        return None
    is_bare = match["end"] == " "
    name = match["name"].strip().strip("*_#` ").strip()
    is_finished = _FINISHED.fullmatch(name) is not None
    is_named = bool(name) and not is_bare
    if not (is_named or match["heading"] or is_finished or match["total"]):
        return None
    number, total = int(match["number"]), int(match["total"] or 0)
    if not 1 <= number <= MAX_NUMBER:
        return None
    return StepMarker(
        number=number,
        total=total if number <= total <= MAX_NUMBER else None,
        name=None if is_finished else name[:_MAX_NAME_CHARS] or None,
        is_finished=is_finished,
    )
