"""Vitest: `Tests  1 failed | 3 passed (4)` below `Test Files  1 failed | 1 passed (2)`."""

from __future__ import annotations

import re

from core.domain.test_output.counts import TestCounts, total_of
from core.domain.test_output.output import Output

_PARTS = (
    r"(no tests|\d{1,9} [a-z]+(?: [a-z]+)?(?: \| \d{1,9} [a-z]+(?: [a-z]+)?)*)(?: \(\d{1,9}\))?"
)
_FILES = re.compile(rf"\s*Test Files\s+{_PARTS}")
_TESTS = re.compile(rf"\s*Tests\s+{_PARTS}")
_ERRORS = re.compile(r"\s*Errors\s+(\d{1,9}) errors?")
_COUNT = re.compile(r"(\d{1,9}) ([a-z]+(?: [a-z]+)?)")
# The lines between the counts and "Start at", which type checks and snapshots can add.
_MAX_LINES_BELOW = 6


def read(output: Output) -> TestCounts | None:
    """The counts of all runs; a file that cannot be loaded, or an error beside the tests, fails."""
    runs: list[TestCounts] = []
    lines = output.filled
    for position, line in enumerate(lines[:-1]):
        files = _FILES.fullmatch(line)
        tests = _TESTS.fullmatch(lines[position + 1]) if files else None
        if files is None or tests is None:
            continue
        below = lines[position + 2 : position + 2 + _MAX_LINES_BELOW]
        errors = next((int(found[1]) for one in below if (found := _ERRORS.fullmatch(one))), 0)
        counts = _by_word(tests[1])
        failed = (counts.get("failed", 0) or _by_word(files[1]).get("failed", 0)) + errors
        passed = counts.get("passed", 0) + counts.get("expected fail", 0)
        if passed or failed:
            skipped = counts.get("skipped", 0) + counts.get("todo", 0)
            runs.append(TestCounts(passed=passed, failed=failed, skipped=skipped))
    return total_of(runs)


def _by_word(parts: str) -> dict[str, int]:
    return {word: int(count) for count, word in _COUNT.findall(parts)}
