"""`go test`: `ok  <package>  0.005s` or `FAIL  …` for each package; each test only with `-v`.

Also `go test -json`, and the last line of gotestsum.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from core.domain.test_output.counts import TestCounts, total_of
from core.domain.test_output.output import Output

_PACKAGE = re.compile(
    r"(ok|FAIL)\s*\t\S{1,300}(?:\s+(?:[\d.]{1,12}s|\(cached\))|\s+\[[a-z ]{1,40}\])(.{0,200})"
)
_TEST = re.compile(r"--- (PASS|FAIL|SKIP): \S{1,300} \([\d.]{1,12}s\)")
_RUN = re.compile(r"=== RUN   \S{1,300}")
_NO_TESTS = "[no tests to run]"
_SUM = re.compile(
    r"DONE (?:\d{1,4} runs, )?(\d{1,9}) tests?(?:, (\d{1,9}) skipped)?(?:, (\d{1,9}) failures?)?"
    r"(?:, (\d{1,9}) errors?)? in [\d.]{1,12}s"
)
_JSON_START = '{"'
_STATES = {"pass": "PASS", "fail": "FAIL", "skip": "SKIP"}


def read(output: Output) -> TestCounts | None:
    """The sum over all packages; of tests with subtests only the outer one counts."""
    summed = [_summed(found) for found in output.matches(_SUM)]
    packages = summed or _json_packages(output) or _packages(output)
    total = total_of(packages)
    if total is None or (total.passed == 0 and total.failed == 0):
        return None
    return replace(total, is_complete=bool(summed) or not output.is_cut)


def _packages(output: Output) -> list[TestCounts]:
    packages = []
    tests, is_verbose = Counter[str](), False
    for line in output.filled:
        if test := _TEST.fullmatch(line):
            tests[test[1]] += 1
        elif _RUN.fullmatch(line):
            is_verbose = True
        elif found := _PACKAGE.fullmatch(line):
            if not (found[1] == "ok" and _NO_TESTS in found[2]):
                packages.append(_package(tests, is_verbose=is_verbose, failed=found[1] == "FAIL"))
            tests, is_verbose = Counter(), False
    return packages


def _package(tests: Counter[str], *, is_verbose: bool, failed: bool) -> TestCounts:
    # A package can fail without a failing test: it does not compile, or a test ends the program.
    failures = max(tests["FAIL"], int(failed))
    passed = tests["PASS"] if is_verbose else None
    return TestCounts(passed=passed, failed=failures, skipped=tests["SKIP"])


def _json_packages(output: Output) -> list[TestCounts]:
    """The packages of `-json`, which names the end of each test and of each package."""
    tests: dict[str, Counter[str]] = {}
    ended: dict[str, str] = {}
    for line in output.filled:
        event = _json_event(line)
        package, state = event.get("Package"), _STATES.get(str(event.get("Action")))
        if not isinstance(package, str) or state is None:
            continue
        test = event.get("Test")
        if test is None:
            ended[package] = state
        elif isinstance(test, str) and "/" not in test:
            tests.setdefault(package, Counter())[state] += 1
    return [
        _package(tests.get(package, Counter()), is_verbose=True, failed=state == "FAIL")
        for package, state in ended.items()
        # A package without tests is skipped.
        if state != "SKIP"
    ]


def _json_event(line: str) -> Mapping[str, object]:
    if not line.startswith(_JSON_START) or '"Action":' not in line:
        return {}
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        # A long output line is cut; it is no end of a test.
        return {}
    return event if isinstance(event, Mapping) else {}


def _summed(found: re.Match[str]) -> TestCounts:
    tests, skipped, failures, errors = (int(found[number] or 0) for number in range(1, 5))
    passed = max(tests - skipped - failures, 0)
    return TestCounts(passed=passed, failed=failures + errors, skipped=skipped)
