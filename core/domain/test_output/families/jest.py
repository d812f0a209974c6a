"""Jest: the line `Tests: 1 failed, 2 skipped, 3 passed, 6 total` below `Test Suites: …`."""

from __future__ import annotations

import re

from core.domain.test_output.counts import TestCounts, total_of
from core.domain.test_output.output import Output

_PARTS = r"((?:\d{1,9} [a-z]+, )*)\d{1,9}(?: of \d{1,9})? total"
_SUITES = re.compile(rf"Test Suites:\s+{_PARTS}")
_TESTS = re.compile(rf"Tests:\s+{_PARTS}")
_COUNT = re.compile(r"(\d{1,9}) ([a-z]+)")


def read(output: Output) -> TestCounts | None:
    """The counts of all runs in the output.

    A suite that cannot be loaded has no tests that fail; it counts as one failure.
    """
    runs: list[TestCounts] = []
    suites: dict[str, int] | None = None
    for line in output.filled:
        if found := _SUITES.fullmatch(line):
            suites = _by_word(found[1])
        elif suites is not None:
            found = _TESTS.fullmatch(line)
            tests = _by_word(found[1]) if found else {}
            failed = tests.get("failed", 0) or suites.get("failed", 0)
            passed = tests.get("passed", 0)
            if found and (passed or failed):
                skipped = sum(tests.get(word, 0) for word in ("skipped", "pending", "todo"))
                runs.append(TestCounts(passed=passed, failed=failed, skipped=skipped))
            suites = None
    return total_of(runs)


def _by_word(parts: str) -> dict[str, int]:
    return {word: int(count) for count, word in _COUNT.findall(parts)}
