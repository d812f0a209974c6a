"""Maven's Surefire and Failsafe, Ant's JUnit task, and JUnit's own two programs.

Surefire prints a line for each class, and one for each module below `Results:`.
"""

from __future__ import annotations

import re
from dataclasses import replace

from core.domain.test_output.counts import TestCounts, total_of
from core.domain.test_output.output import Output

_PREFIX = r"(?:\[(?:INFO|ERROR|WARNING)\] +|\[junit\] +|\s+\[junit\] +)?"
_RUN = re.compile(
    rf"({_PREFIX})Tests run: (\d{{1,9}}), +Failures: (\d{{1,9}})(?:, +Errors: (\d{{1,9}}))?"
    r"(?:, +Skipped: (\d{1,9}))?(?:, +Flakes: \d{1,9})?(,? +Time elapsed: .{1,400})?"
)
# JUnit 4 on its own says how many tests ran only if all passed.
_JUNIT4 = re.compile(r"OK \((\d{1,9}) tests?\)")
# JUnit 5's console launcher: "[         3 tests successful      ]".
_CONSOLE = re.compile(r"\[\s+(\d{1,9}) tests (successful|failed|skipped|aborted)\s+\]")


def read(output: Output) -> TestCounts | None:
    """The sum over all modules."""
    found = list(output.matches(_RUN))
    modules = [_counts(one) for one in found if one[6] is None]
    classes = [_counts(one) for one in found if one[6] is not None]
    is_maven = any(one[1].startswith("[") and "junit" not in one[1] for one in found)
    runs = modules or classes
    runs += [TestCounts(passed=int(one[1]), failed=0) for one in output.matches(_JUNIT4)]
    console = {one[2]: int(one[1]) for one in output.matches(_CONSOLE)}
    if "successful" in console:
        skipped = console.get("skipped", 0) + console.get("aborted", 0)
        runs.append(
            TestCounts(
                passed=console["successful"], failed=console.get("failed", 0), skipped=skipped
            )
        )
    total = total_of(runs)
    if total is None or (total.passed == 0 and total.failed == 0):
        return None
    # Maven sums up each module; without that, its end is missing.
    lacks_end = is_maven and not modules
    return replace(total, is_complete=not (lacks_end or (found and output.is_cut)))


def _counts(found: re.Match[str]) -> TestCounts:
    ran, failures, errors, skipped = (int(found[number] or 0) for number in range(2, 6))
    failed = failures + errors
    return TestCounts(passed=max(ran - failed - skipped, 0), failed=failed, skipped=skipped)
