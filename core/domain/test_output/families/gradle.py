"""Gradle: `4 tests completed, 1 failed, 1 skipped` after a failure; no counts after a success.

With its test logging on, there is a line for each test: `AppTest > adds() PASSED`.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

from core.domain.test_output.counts import TestCounts, total_of
from core.domain.test_output.output import Output

# A task that ran; one with "UP-TO-DATE", "NO-SOURCE" or "FROM-CACHE" behind it did not.
_TASK = re.compile(r"> Task (?:\S{0,200}:)?(?:test|\w{1,80}Test|test\w{1,80}UnitTest)(?: FAILED)?")
_ANY_TASK = re.compile(r"> Task \S{1,300}(?: .{1,40})?")
_COMPLETED = re.compile(
    r"(\d{1,9}) tests? completed(?:, (\d{1,9}) failed)?(?:, (\d{1,9}) skipped)?"
)
_TEST = re.compile(r"\S.{0,600} > .{1,600} (PASSED|FAILED|SKIPPED)")
_SUCCESS = re.compile(r"BUILD SUCCESSFUL in .{1,40}")


def read(output: Output) -> TestCounts | None:
    """The sum over all test tasks that ran.

    How many tests passed is unknown if a task that passed prints no line for each test.
    """
    tasks: list[TestCounts] = []
    is_test, summary, logged = False, None, Counter[str]()

    def close() -> None:
        if is_test and (summary is not None or logged):
            tasks.append(summary or _logged(logged))
        elif is_test:
            tasks.append(TestCounts(passed=None, failed=0))

    for line in output.filled:
        if _ANY_TASK.fullmatch(line):
            close()
            is_test, summary, logged = _TASK.fullmatch(line) is not None, None, Counter()
        elif is_test and (completed := _COMPLETED.fullmatch(line)):
            summary = _completed(completed)
        elif is_test and (test := _TEST.fullmatch(line)):
            logged[test[1]] += 1
    close()
    total = total_of(tasks)
    # Without a word of success, a task without counts may have been interrupted.
    is_over = total is not None and (total.failed > 0 or output.count(_SUCCESS) > 0)
    return replace(total, is_complete=not output.is_cut) if total and is_over else None


def _completed(found: re.Match[str]) -> TestCounts:
    completed, failed, skipped = (int(found[number] or 0) for number in (1, 2, 3))
    return TestCounts(passed=max(completed - failed - skipped, 0), failed=failed, skipped=skipped)


def _logged(logged: Counter[str]) -> TestCounts:
    # The default logging names failures only.
    passed = logged["PASSED"] or None
    return TestCounts(passed=passed, failed=logged["FAILED"], skipped=logged["SKIPPED"])
