"""pytest: `=== 1 failed, 3 passed in 0.12s ===`; without rules in its quiet mode."""

from __future__ import annotations

import re

from core.domain.test_output.counts import TestCounts, total_of
from core.domain.test_output.output import Output

_WORDS = (
    "failed|passed|skipped|deselected|xfailed|xpassed|warnings?|errors?|rerun"
    "|subtests passed|subtests failed|subtests skipped"
)
_PARTS = rf"\d{{1,9}} (?:{_WORDS})(?:, \d{{1,9}} (?:{_WORDS}))*"
_TIME = r"in [\d.]{1,12} ?s(?:econds)?(?: \([^()]{1,40}\))?"
_SUMMARY = re.compile(rf"(?:=+ )?({_PARTS}) {_TIME}(?: =+)?")
_COUNT = re.compile(rf"(\d{{1,9}}) ({_WORDS})")
# The plugin pytest-sugar: "Results (0.12s):", then a line for each count.
_SUGAR = re.compile(r"Results \([\d.]{1,12}s(?: \([^()]{1,40}\))?\):")
_SUGAR_COUNT = re.compile(rf"\s+(\d{{1,9}}) ({_WORDS})")


def read(output: Output) -> TestCounts | None:
    """The counts of all sessions in the output; an error at set-up counts as a failure."""
    sessions = [_COUNT.findall(found[1]) for found in output.matches(_SUMMARY)]
    return total_of(
        counts
        for session in (*sessions, *_sugar_sessions(output))
        if (counts := _counts(session)) is not None
    )


def _sugar_sessions(output: Output) -> list[list[tuple[str, str]]]:
    sessions: list[list[tuple[str, str]]] = []
    is_summary = False
    for line in output.filled:
        if _SUGAR.fullmatch(line):
            is_summary = True
            sessions.append([])
        elif is_summary and (found := _SUGAR_COUNT.fullmatch(line)):
            sessions[-1].append((found[1], found[2]))
        elif is_summary and not line.startswith(" "):
            is_summary = False
    return sessions


def _counts(parts: list[tuple[str, str]]) -> TestCounts | None:
    by_word = {word: int(count) for count, word in parts}
    passed = by_word.get("passed", 0)
    failed = by_word.get("failed", 0) + by_word.get("error", 0) + by_word.get("errors", 0)
    if not passed and not failed:
        return None
    return TestCounts(passed=passed, failed=failed, skipped=by_word.get("skipped", 0))
