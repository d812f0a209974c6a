"""Test results parsed from the output of a command; never guessed.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType

from core.domain.test_output.counts import Ecosystem, ResultsByEcosystem, TestCounts, total_of
from core.domain.test_output.families import (
    cargo,
    dotnet,
    go,
    gradle,
    jest,
    maven,
    mocha,
    pytest,
    ruby,
    tap,
    unittest,
    vitest,
)
from core.domain.test_output.output import Output, read_output

Reader = Callable[[Output], TestCounts | None]

# A reader sums up all runs of its programs in one output: those are different suites (`pytest a;
# pytest b`), or packages, binaries and modules of one.  It has something to find only if the
# output contains one of its words; most outputs contain none.
_READERS: Sequence[tuple[Ecosystem, Reader, tuple[str, ...]]] = (
    (Ecosystem.PYTHON, pytest.read, (" passed", " failed", " error")),
    (Ecosystem.PYTHON, unittest.read, ("Ran ",)),
    (Ecosystem.JAVASCRIPT, jest.read, ("Test Suites:",)),
    (Ecosystem.JAVASCRIPT, vitest.read, ("Test Files ",)),
    (Ecosystem.JAVASCRIPT, mocha.read, (" passing (",)),
    (Ecosystem.GO, go.read, ("ok", "FAIL", "DONE ", '"Action"')),
    (Ecosystem.RUST, cargo.read, ("test result: ", " Summary [")),
    (Ecosystem.JVM, maven.read, ("Tests run: ", " tests successful", "OK (")),
    (Ecosystem.JVM, gradle.read, ("> Task ",)),
    (Ecosystem.RUBY, ruby.read, (" examples", " example,", " assertions, ")),
    (
        Ecosystem.DOTNET,
        dotnet.read,
        ("! ", "Test summary: ", "Test run summary: ", "Total tests: "),
    ),
    (Ecosystem.TAP, tap.read, ("1..", "Files=", "ℹ tests ", "# tests ")),
)


def parse_test_results(text: str) -> ResultsByEcosystem:
    """The test results in the output of one command, by ecosystem; empty if there are none.

    Only whole lines of the programs' own summaries count, so that a sentence about tests does not.
    Of a partial output without a failure nothing is known: that is no result.
    """
    output = read_output(text)
    found: dict[Ecosystem, TestCounts] = {}
    for ecosystem, read, words in _READERS:
        counts = read(output) if any(word in output.text for word in words) else None
        if counts is not None and (counts.is_complete or counts.failed):
            present = found.get(ecosystem)
            found[ecosystem] = counts if present is None else present + counts
    return MappingProxyType(found)


def parse_test_counts(text: str) -> TestCounts | None:
    """The counts of all test runs in the output of one command; `None` if there is none."""
    return total_of(parse_test_results(text).values())
