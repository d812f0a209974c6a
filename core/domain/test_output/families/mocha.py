"""Mocha's `spec` and `dot` reporters: `  3 passing (12ms)`, then `  1 pending`, `  1 failing`."""

from __future__ import annotations

import re

from core.domain.test_output.counts import TestCounts, total_of
from core.domain.test_output.output import Output

_PASSING = re.compile(r"\s{2,4}(\d{1,9}) passing \(\d{1,9}(?:ms|s|m|h|d)\)")
_OTHER = re.compile(r"\s{2,4}(\d{1,9}) (pending|failing)")


def read(output: Output) -> TestCounts | None:
    """The counts of all runs in the output."""
    runs: list[TestCounts] = []
    lines = output.filled
    for position, line in enumerate(lines):
        found = _PASSING.fullmatch(line)
        if found is None:
            continue
        others: dict[str, int] = {}
        for below in lines[position + 1 : position + 3]:
            if (other := _OTHER.fullmatch(below)) is None:
                break
            others[other[2]] = int(other[1])
        passed, failed = int(found[1]), others.get("failing", 0)
        if passed or failed:
            skipped = others.get("pending", 0)
            runs.append(TestCounts(passed=passed, failed=failed, skipped=skipped))
    return total_of(runs)
