"""unittest, and programs that print like it (Django's, Twisted's trial).

"Ran 4 tests in 0.001s", an empty line, then "OK" or "FAILED (failures=1, errors=1)".
"""

from __future__ import annotations

import re

from core.domain.test_output.counts import TestCounts, total_of
from core.domain.test_output.output import Output

_RAN = re.compile(r"Ran (\d{1,9}) tests? in [\d.]{1,12}s")
_VERDICT = re.compile(r"(?:OK|FAILED|PASSED|NO TESTS RAN)(?: \(([^()]{1,200})\))?")
_NAMED = re.compile(r"([a-z][a-zA-Z ]{0,30})=(\d{1,9})\b")
# Several failures of one test have one heading each, with the values of the subtest behind it.
_FAILED_TEST = re.compile(r"(?:FAIL|ERROR): (\w{1,200} \([^()]{1,400}\)).*")
_NOT_A_TEST = ("setUp", "tearDown")


def read(output: Output) -> TestCounts | None:
    """The counts of all runs in the output."""
    runs: list[TestCounts] = []
    failed_tests: set[str] = set()
    ran: int | None = None
    for line in output.filled:
        if heading := _FAILED_TEST.fullmatch(line):
            failed_tests.add(heading[1])
        elif found := _RAN.fullmatch(line):
            ran = int(found[1])
        elif ran is not None:
            # The verdict is the next line; without it, the run was interrupted.
            verdict = _VERDICT.fullmatch(line)
            if verdict is not None and (ran or "=" in line):
                runs.append(_counts(ran, verdict[1] or "", failed_tests))
            ran, failed_tests = None, set()
    return total_of(runs)


def _counts(ran: int, details: str, failed_tests: set[str]) -> TestCounts:
    named = {name.strip(): int(count) for name, count in _NAMED.findall(details)}
    unexpected = named.get("unexpected successes", 0)
    reported = named.get("failures", 0) + named.get("errors", 0)
    skipped = named.get("skipped", 0) + named.get("skips", 0)
    # Set-up of a class that fails counts as an error, but its tests have not run.
    tests = sum(not name.startswith(_NOT_A_TEST) for name in failed_tests)
    failing = min(tests, reported) if failed_tests else reported
    passed = ran - failing - unexpected - skipped - named.get("expected failures", 0)
    return TestCounts(passed=max(passed, 0), failed=reported + unexpected, skipped=skipped)
