"""`dotnet test`, in the four forms that its versions print."""

from __future__ import annotations

import re

from core.domain.test_output.counts import TestCounts, total_of
from core.domain.test_output.output import Output

# .NET 5 and later, for each assembly.
_ASSEMBLY = re.compile(
    r"\s*(?:Passed|Failed|Skipped)!\s+- Failed:\s+(\d{1,9}), Passed:\s+(\d{1,9}),"
    r" Skipped:\s+(\d{1,9}), Total:\s+\d{1,9}(?:, Duration: .{1,400})?"
)
# The terminal logger of .NET 9, for all assemblies.
_SUMMARY = re.compile(
    r"\s*Test summary: total: (\d{1,9}), failed: (\d{1,9}), succeeded: (\d{1,9}),"
    r" skipped: (\d{1,9})(?:, duration: .{1,40})?"
)
# Microsoft.Testing.Platform, for all assemblies; and the programs before .NET 5, for each.
_PLATFORM = re.compile(r"Test run summary: .{1,400}")
_BEFORE_5 = re.compile(r"Total tests: (\d{1,9})(?:\. Passed: .{1,200})?")
_NAMED = re.compile(
    r"\s+(total|failed|succeeded|skipped|Passed|Failed|Skipped): (\d{1,9})(?: \(.{0,40}\))?"
)
_MAX_LINES_BELOW = 20


def read(output: Output) -> TestCounts | None:
    """The counts of all runs; what is printed in two forms counts once."""
    forms = (
        [
            TestCounts(passed=int(one[2]), failed=int(one[1]), skipped=int(one[3]))
            for one in output.matches(_ASSEMBLY)
        ],
        [
            TestCounts(passed=int(one[3]), failed=int(one[2]), skipped=int(one[4]))
            for one in output.matches(_SUMMARY)
        ],
        _blocks(output),
    )
    runs = next((form for form in forms if form), [])
    total = total_of(runs)
    return total if total is not None and (total.passed or total.failed) else None


def _blocks(output: Output) -> list[TestCounts]:
    """The summaries that have a line for each count."""
    blocks = []
    lines = output.filled
    for position, line in enumerate(lines):
        is_platform = _PLATFORM.fullmatch(line) is not None
        if not is_platform and _BEFORE_5.fullmatch(line) is None:
            continue
        named: dict[str, int] = {}
        for below in lines[position + 1 : position + 1 + _MAX_LINES_BELOW]:
            if found := _NAMED.fullmatch(below):
                named[found[1].lower()] = int(found[2])
            elif named or not is_platform:
                break
        passed = named.get("succeeded", named.get("passed", 0))
        blocks.append(
            TestCounts(
                passed=passed, failed=named.get("failed", 0), skipped=named.get("skipped", 0)
            )
        )
    return blocks
