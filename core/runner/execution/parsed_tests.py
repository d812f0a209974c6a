"""Test results parsed from a tool's output; never guessed.  Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

# No count has more than nine digits: a line with more is no summary of tests.
# The last line of pytest: "=== 3 passed, 1 failed, 2 skipped in 0.12s ===".
_PYTEST = re.compile(r"^=*[ \t]*((?:\d{1,9} [a-z]+(?:, )?)+) in [\d.:]+ ?s", re.MULTILINE)
_COUNT = re.compile(r"(\d{1,9}) ([a-z]+)")
# unittest: "Ran 4 tests in 0.001s", an empty line, then "OK" or "FAILED (failures=1, errors=1)".
_UNITTEST = re.compile(
    r"^Ran (\d{1,9}) tests? in [\d.]+s\s+(OK|FAILED)(?: \(([^)]*)\))?", re.MULTILINE
)
_NAMED = re.compile(r"(\w[\w ]*)=(\d{1,9})\b")


@dataclass(frozen=True, kw_only=True)
class TestCounts:
    """The counts of one test run, from the summary that the test program prints."""

    __test__ = False  # keeps pytest from collecting it as a test class

    passed: int
    failed: int
    skipped: int


def parse_test_counts(output: str) -> TestCounts | None:
    """The counts of the last test run in an output; `None` if it contains none."""
    unittest = list(_UNITTEST.finditer(output))
    if unittest:
        ran, _, details = unittest[-1].groups()
        named = {name.strip(): int(count) for name, count in _NAMED.findall(details or "")}
        failed = named.get("failures", 0) + named.get("errors", 0)
        skipped = named.get("skipped", 0)
        return TestCounts(
            passed=max(int(ran) - failed - skipped, 0), failed=failed, skipped=skipped
        )
    pytest = list(_PYTEST.finditer(output))
    if pytest:
        counted = {word: int(count) for count, word in _COUNT.findall(pytest[-1].group(1))}
        failed = counted.get("failed", 0) + counted.get("error", 0) + counted.get("errors", 0)
        passed = counted.get("passed", 0)
        if passed or failed:
            return TestCounts(passed=passed, failed=failed, skipped=counted.get("skipped", 0))
    return None
