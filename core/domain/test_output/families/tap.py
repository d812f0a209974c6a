"""The Test Anything Protocol: `1..3`, `ok 1 - name`, `not ok 2`; Perl's prove; Node's test runner.

Node prints its counts below, as `# pass 3` (TAP) or `ℹ pass 3` (its other reporters).
"""

from __future__ import annotations

import re
from dataclasses import replace

from core.domain.test_output.counts import TestCounts, total_of
from core.domain.test_output.output import Output

_PLAN = re.compile(r"1\.\.(\d{1,9})(?:\s+#.{0,200})?")
# A bare "ok" is prove's word about a file.
_POINT = re.compile(r"(not ok|ok) (?:\d{1,9}(?: .{0,900})?|- .{0,900})")
_DIRECTIVE = re.compile(r"#\s*(skip|todo)\b", re.IGNORECASE)
_BAIL_OUT = re.compile(r"Bail out!.{0,200}")
_NODE = re.compile(r"(?:#|ℹ) (tests|pass|fail|cancelled|skipped|todo) +(\d{1,9})")
_NODE_NAMES = frozenset({"tests", "pass", "fail", "cancelled", "skipped", "todo"})
_PROVE = re.compile(r"Files=\d{1,9}, Tests=(\d{1,9}), .{1,200}")
_PROVE_RESULT = re.compile(r"Result: (PASS|FAIL|NOTESTS)")
_PROVE_FILE = re.compile(r"\S{1,300} \(Wstat: \d{1,9}.{0,80} Tests: \d{1,9} Failed: (\d{1,9})\)")


def read(output: Output) -> TestCounts | None:
    """The counts of all runs; what is printed in two forms counts once."""
    counts = _prove(output) or _node(output) or _protocol(output)
    return counts if counts is not None and (counts.passed or counts.failed) else None


def _prove(output: Output) -> TestCounts | None:
    totals = [int(found[1]) for found in output.matches(_PROVE)]
    results = [found[1] for found in output.matches(_PROVE_RESULT)]
    if not totals or len(totals) != len(results):
        return None
    failed = sum(int(found[1]) for found in output.matches(_PROVE_FILE))
    is_failed = "FAIL" in results
    # A file can fail without a failing test: it has a bad plan, or died.
    counts = TestCounts(passed=max(sum(totals) - failed, 0), failed=max(failed, int(is_failed)))
    return replace(counts, is_complete=not (is_failed and output.is_cut))


def _node(output: Output) -> TestCounts | None:
    runs: list[TestCounts] = []
    named: dict[str, int] = {}
    for found in output.matches(_NODE):
        named[found[1]] = int(found[2])
        if named.keys() >= _NODE_NAMES:
            failed = named["fail"] + named["cancelled"]
            skipped = named["skipped"] + named["todo"]
            runs.append(TestCounts(passed=named["pass"], failed=failed, skipped=skipped))
            named = {}
    return total_of(runs)


def _protocol(output: Output) -> TestCounts | None:
    """Count the test points.  Each run has one plan, before its points or after them."""
    planned = passed = failed = skipped = 0
    has_plan = has_bailed_out = False
    for line in output.filled:
        if found := _PLAN.fullmatch(line):
            has_plan, planned = True, planned + int(found[1])
        elif found := _POINT.fullmatch(line):
            if _DIRECTIVE.search(line):
                skipped += 1
            elif found[1] == "ok":
                passed += 1
            else:
                failed += 1
        elif _BAIL_OUT.fullmatch(line):
            has_bailed_out = True
    points = passed + failed + skipped
    if not has_plan or not points:
        return None
    counts = TestCounts(passed=passed, failed=failed, skipped=skipped)
    if output.is_cut:
        return replace(counts, is_complete=False)
    # Planned tests that did not run have failed: the program died.
    missing = max(planned - points, int(has_bailed_out))
    return replace(counts, failed=failed + missing)
