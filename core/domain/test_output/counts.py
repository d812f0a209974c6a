"""Test results: the counts that test programs print, and how those of several runs add up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

# No count that is believed has more digits: a longer number is no count of tests.
_MAX_COUNT = 10**9


@dataclass(frozen=True, kw_only=True)
class TestCounts:
    """The counts of one or more test runs, from what the test programs print.

    Attributes:
        passed: `None` if the program tells only that tests passed, not how many (`go test`).
        failed: Tests that failed or had an error; also suites that could not be loaded, which
            hold an unknown number of tests.
        skipped: Tests that were skipped, or are marked as pending or to do.
        is_complete: Whether the output was seen in full.  Otherwise the counts are the least that
            can be true.
    """

    __test__ = False  # keeps pytest from collecting it as a test class

    passed: int | None
    failed: int
    skipped: int = 0
    is_complete: bool = True

    @property
    def is_proof(self) -> bool:
        """Whether tests ran, all of them were seen, and none failed."""
        has_passed = self.passed is None or self.passed > 0
        return has_passed and self.failed == 0 and self.is_complete

    def __add__(self, other: TestCounts) -> TestCounts:
        known = self.passed is not None and other.passed is not None
        return TestCounts(
            passed=(self.passed or 0) + (other.passed or 0) if known else None,
            failed=self.failed + other.failed,
            skipped=self.skipped + other.skipped,
            is_complete=self.is_complete and other.is_complete,
        )

    def to_json(self) -> dict[str, Any]:
        """The value in a run's metadata; `partial` is only there for incomplete counts."""
        found: dict[str, Any] = {
            "passed": self.passed,
            "failed": self.failed,
            "skipped": self.skipped,
        }
        return found if self.is_complete else {**found, "partial": True}

    @classmethod
    def of_json(cls, stored: object) -> TestCounts | None:
        """Read a value of a run's metadata; `None` if it holds no counts."""
        if not isinstance(stored, Mapping):
            return None
        passed, failed = _count(stored.get("passed")), _count(stored.get("failed"))
        if failed is None or (passed is None and stored.get("passed", "") is not None):
            return None
        return cls(
            passed=passed,
            failed=failed,
            skipped=_count(stored.get("skipped")) or 0,
            is_complete=not stored.get("partial"),
        )


class Ecosystem(StrEnum):
    """A world of test programs: a later run of one of them replaces an earlier one of another.

    An agent tries `pytest` where `unittest` failed; it does not replace Go's tests by Python's.
    """

    PYTHON = "python"
    JAVASCRIPT = "javascript"
    GO = "go"
    RUST = "rust"
    JVM = "jvm"
    RUBY = "ruby"
    DOTNET = "dotnet"
    TAP = "tap"


# The newest results of each ecosystem.
ResultsByEcosystem = Mapping[Ecosystem, TestCounts]
NO_RESULTS: ResultsByEcosystem = MappingProxyType({})
# In the JSON of the sum: the counts that add up to it, by ecosystem.
_PARTS_KEY = "by_ecosystem"


def total_of(counts: Iterable[TestCounts]) -> TestCounts | None:
    """The sum; `None` of nothing."""
    total: TestCounts | None = None
    for one in counts:
        total = one if total is None else total + one
    return total


def results_to_json(results: ResultsByEcosystem) -> dict[str, Any] | None:
    """The value in a run's metadata: the sum, and its parts; `None` without results."""
    total = total_of(results.values())
    if total is None:
        return None
    parts = {ecosystem.value: counts.to_json() for ecosystem, counts in results.items()}
    return {**total.to_json(), _PARTS_KEY: parts}


def results_of_json(stored: object) -> ResultsByEcosystem:
    """Read a value of a run's metadata; empty if it names no ecosystem."""
    parts = stored.get(_PARTS_KEY) if isinstance(stored, Mapping) else None
    if not isinstance(parts, Mapping):
        return NO_RESULTS
    found = {ecosystem: TestCounts.of_json(parts.get(ecosystem.value)) for ecosystem in Ecosystem}
    return MappingProxyType({name: counts for name, counts in found.items() if counts is not None})


def _count(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value < _MAX_COUNT else None
