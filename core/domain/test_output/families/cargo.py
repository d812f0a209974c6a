"""Rust: a line `test result: ok. 3 passed; …` for each binary of `cargo test`; cargo-nextest."""

from __future__ import annotations

import re
from dataclasses import replace

from core.domain.test_output.counts import TestCounts, total_of
from core.domain.test_output.output import Output

_BINARY = re.compile(r"running \d{1,9} tests?")
_RESULT = re.compile(
    r"test result: (?:ok|FAILED)\. (\d{1,9}) passed; (\d{1,9}) failed; (\d{1,9}) ignored;"
    r" \d{1,9} measured; \d{1,9} filtered out(?:; finished in [\d.]{1,12}s)?"
)
# Also "3/5 tests run" after a cancelled run, and "2 passed (1 slow)".
_NEXTEST = re.compile(
    r"\s+Summary \[\s*[\d.]{1,12}s\] (\d{1,9})(?:/(\d{1,9}))? tests? run: (.{1,300})"
)
_NEXTEST_COUNT = re.compile(r"(\d{1,9}) (passed|failed|exec failed|timed out|skipped)")


def read(output: Output) -> TestCounts | None:
    """The sum over all binaries.

    It is incomplete if a binary has no result: its tests aborted, or the output was cut.
    """
    results = [
        TestCounts(passed=int(found[1]), failed=int(found[2]), skipped=int(found[3]))
        for found in output.matches(_RESULT)
    ]
    total = total_of((*results, *(_nextest(found) for found in output.matches(_NEXTEST))))
    if total is None or (total.passed == 0 and total.failed == 0):
        return None
    is_complete = not (results and output.is_cut) and output.count(_BINARY) <= len(results)
    return replace(total, is_complete=is_complete)


def _nextest(found: re.Match[str]) -> TestCounts:
    counts = {word: int(count) for count, word in _NEXTEST_COUNT.findall(found[3])}
    skipped = counts.pop("skipped", 0)
    passed = counts.pop("passed", 0)
    return TestCounts(passed=passed, failed=sum(counts.values()), skipped=skipped)
