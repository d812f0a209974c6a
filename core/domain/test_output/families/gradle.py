"""Gradle: `4 tests completed, 1 failed, 1 skipped` after a failure; no counts after a success.

With its test logging on, there is a line for each test: `AppTest > adds() PASSED`.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace

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


@dataclass
class _Task:
    """A test task: its summary, which it prints after a failure, and its tests, if it logs them."""

    summary: TestCounts | None = None
    logged: Counter[str] = field(default_factory=Counter)

    @property
    def counts(self) -> TestCounts:
        if self.summary is not None:
            return self.summary
        # The default logging names failures only.
        passed = self.logged["PASSED"] or None
        return TestCounts(
            passed=passed, failed=self.logged["FAILED"], skipped=self.logged["SKIPPED"]
        )


def read(output: Output) -> TestCounts | None:
    """The sum over all test tasks that ran.

    How many tests passed is unknown if a task that passed prints no line for each test.
    """
    tasks: list[_Task] = []
    task: _Task | None = None
    for line in output.filled:
        if _ANY_TASK.fullmatch(line):
            task = _Task() if _TASK.fullmatch(line) else None
            tasks += [task] if task else []
        elif task is not None and (completed := _COMPLETED.fullmatch(line)):
            task.summary = _completed(completed)
        elif task is not None and (test := _TEST.fullmatch(line)):
            task.logged[test[1]] += 1
    total = total_of(one.counts for one in tasks)
    # Without a word of success, a task without counts may have been interrupted.
    is_over = total is not None and (total.failed > 0 or output.count(_SUCCESS) > 0)
    return replace(total, is_complete=not output.is_cut) if total and is_over else None


def _completed(found: re.Match[str]) -> TestCounts:
    completed, failed, skipped = (int(found[number] or 0) for number in (1, 2, 3))
    return TestCounts(passed=max(completed - failed - skipped, 0), failed=failed, skipped=skipped)
