"""RSpec: `5 examples, 1 failure, 1 pending`.  Minitest: `5 runs, 9 assertions, 1 failures, …`."""

from __future__ import annotations

import re

from core.domain.test_output.counts import TestCounts, total_of
from core.domain.test_output.output import Output

_RSPEC = re.compile(
    r"(\d{1,9}) examples?, (\d{1,9}) failures?(?:, (\d{1,9}) pending)?"
    r"(?:, (\d{1,9}) errors? occurred outside of examples)?"
)
_MINITEST = re.compile(
    r"(\d{1,9}) (?:runs|tests), \d{1,9} assertions, (\d{1,9}) failures, (\d{1,9}) errors"
    r"(?:, \d{1,9} pendings)?(?:, \d{1,9} omissions)?(?:, \d{1,9} notifications)?"
    r"(?:, (\d{1,9}) skips)?"
)


def read(output: Output) -> TestCounts | None:
    """The counts of all runs; an error outside of the examples counts as a failure."""
    return total_of(
        counts
        for counts in (
            *(_rspec(found) for found in output.matches(_RSPEC)),
            *(_minitest(found) for found in output.matches(_MINITEST)),
        )
        if counts.passed or counts.failed
    )


def _rspec(found: re.Match[str]) -> TestCounts:
    examples, failures, pending, outside = (int(found[number] or 0) for number in range(1, 5))
    passed = max(examples - failures - pending, 0)
    return TestCounts(passed=passed, failed=failures + outside, skipped=pending)


def _minitest(found: re.Match[str]) -> TestCounts:
    runs, failures, errors, skips = (int(found[number] or 0) for number in range(1, 5))
    failed = failures + errors
    return TestCounts(passed=max(runs - failed - skips, 0), failed=failed, skipped=skips)
