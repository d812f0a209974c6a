"""The words that differ between a removed line and the added one that took its place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from bot.web.dashboard.diff.hunks import DiffLine, Sign

# A part of a text, as its first letter and the one after its last.
Range = tuple[int, int]

_WORD = re.compile(r"\w+|\s+|[^\w\s]")
_MAX_WORDS = 200
_MAX_CHARS = 1_000
# Lines that have less in common are other lines.
_MIN_RATIO = 0.5
# Longer blocks are rewritten rather than edited.
_MAX_BLOCK = 60
# Of all pairs of a file; a comparison takes the square of the words.
MAX_WORK = 1_000_000


@dataclass
class Budget:
    """How much may still be compared."""

    work: int = MAX_WORK

    def takes(self, amount: int) -> bool:
        """Whether there is so much; then it is spent."""
        if amount > self.work:
            return False
        self.work -= amount
        return True


def marked(lines: Sequence[DiffLine], budget: Budget) -> dict[int, list[Range]]:
    """For each line that has a partner, by its place: the parts that differ."""
    found: dict[int, list[Range]] = {}
    for removed, added in _blocks(lines):
        if max(len(removed), len(added)) > _MAX_BLOCK:
            continue
        for old, new in zip(removed, added, strict=False):
            differing = differences(lines[old].text, lines[new].text, budget)
            if differing is not None:
                found[old], found[new] = differing
    return found


def differences(
    old: str, new: str, budget: Budget | None = None
) -> tuple[list[Range], list[Range]] | None:
    """The parts of two lines that differ; `None` if the lines are not alike, or too long."""
    if not old.strip() or not new.strip() or max(len(old), len(new)) > _MAX_CHARS:
        return None
    words, others = _WORD.findall(old), _WORD.findall(new)
    if max(len(words), len(others)) > _MAX_WORDS:
        return None
    if budget is not None and not budget.takes(len(words) * len(others)):
        return None
    matcher = SequenceMatcher(None, words, others, autojunk=False)
    if matcher.real_quick_ratio() < _MIN_RATIO or matcher.quick_ratio() < _MIN_RATIO:
        return None
    blocks = matcher.get_matching_blocks()
    # Spaces alone make no lines alike.
    same = sum(
        len(word.strip()) for block in blocks for word in words[block.a : block.a + block.size]
    )
    total = sum(len(word.strip()) for word in (*words, *others))
    if not total or 2 * same / total < _MIN_RATIO:
        return None
    olds: list[Range] = []
    news: list[Range] = []
    at_old = at_new = 0
    for block in blocks:
        _add(olds, words, at_old, block.a)
        _add(news, others, at_new, block.b)
        at_old, at_new = block.a + block.size, block.b + block.size
    return olds, news


def _add(ranges: list[Range], words: Sequence[str], start: int, end: int) -> None:
    if start < end:
        before = sum(map(len, words[:start]))
        ranges.append((before, before + sum(map(len, words[start:end]))))


def _blocks(lines: Sequence[DiffLine]) -> Iterator[tuple[range, range]]:
    """Removed lines that added ones follow, as places."""
    place = 0
    while place < len(lines):
        if lines[place].sign is not Sign.REMOVED:
            place += 1
            continue
        middle = _end_of(lines, place, Sign.REMOVED)
        end = _end_of(lines, middle, Sign.ADDED)
        if end > middle:
            yield range(place, middle), range(middle, end)
        place = end


def _end_of(lines: Sequence[DiffLine], place: int, sign: Sign) -> int:
    while place < len(lines) and lines[place].sign is sign:
        place += 1
    return place
