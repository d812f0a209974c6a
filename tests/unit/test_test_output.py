from pathlib import Path
from typing import Any

import pytest

from core.domain.test_output.counts import Ecosystem, TestCounts
from core.domain.test_output.parse import parse_test_counts, parse_test_results

FOLDER = Path(__file__).parent / "recorded" / "test_output"

# Of each recorded output: passed, failed, skipped.
EXPECTED: dict[str, tuple[int | None, int, int] | None] = {
    "cargo_failed_colour": (3, 1, 1),
    "cargo_nextest": (3, 2, 1),
    "cargo_passed": (2, 0, 1),
    "dotnet_before_5": (4, 1, 1),
    "dotnet_failed": (57, 1, 2),
    "dotnet_platform": (55, 1, 0),
    "dotnet_terminal_logger": (4, 1, 2),
    "go_failed": (None, 2, 0),
    "go_json": (1, 1, 0),
    "go_passed": (None, 0, 0),
    "go_verbose_failed": (2, 1, 1),
    "gotestsum_failed": (11, 2, 1),
    "gradle_failed": (5, 1, 3),
    "gradle_logged": (2, 0, 1),
    "gradle_passed": (None, 0, 0),
    "jest_failed": (12, 1, 3),
    "jest_not_loaded": (0, 1, 0),
    "junit_ant": (4, 1, 0),
    "junit_console": (2, 1, 1),
    "maven_failed": (2, 2, 2),
    "maven_passed": (6, 0, 1),
    "minitest_failed": (2, 2, 1),
    "mocha_failed": (1, 1, 1),
    "node_spec": (2, 2, 2),
    "node_tap": (2, 2, 2),
    "prove_failed": (5, 1, 0),
    "prove_verbose": (2, 0, 0),
    "pytest_failed_colour": (2, 2, 1),
    "pytest_long": (5931, 1, 29),
    "pytest_nothing": None,
    "pytest_quiet": (2, 0, 1),
    "pytest_sugar": (3, 1, 0),
    "rspec_failed": (3, 1, 1),
    "rspec_not_loaded": (0, 2, 0),
    "tap_perl": (1, 1, 2),
    "unittest_failed": (1, 5, 1),
    "unittest_passed": (1, 0, 0),
    "vitest_error": (6, 1, 1),
    "vitest_failed_colour": (7, 1, 1),
    "vitest_not_loaded": (0, 1, 0),
}


def recorded(name: str) -> str:
    return (FOLDER / f"{name}.txt").read_text(encoding="utf-8")


def counts(passed: int | None, failed: int, skipped: int = 0, **more: Any) -> TestCounts:
    return TestCounts(passed=passed, failed=failed, skipped=skipped, **more)


def test_every_recorded_output_is_tried() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(EXPECTED)


@pytest.mark.parametrize(("name", "expected"), EXPECTED.items())
def test_the_counts_are_read_from_the_output_of_a_test_program(
    name: str, expected: tuple[int | None, int, int] | None
) -> None:
    found = parse_test_counts(recorded(name))

    assert found == (None if expected is None else counts(*expected))


@pytest.mark.parametrize("name", EXPECTED)
def test_windows_line_ends_and_colours_change_nothing(name: str) -> None:
    text = recorded(name)
    coloured = "\r\n".join(f"\x1b[1;32m{line}\x1b[0m" for line in text.splitlines())

    assert parse_test_counts(coloured) == parse_test_counts(text)


@pytest.mark.parametrize("name", EXPECTED)
def test_an_output_that_is_cut_anywhere_shows_no_more_failures(name: str) -> None:
    whole = parse_test_counts(recorded(name))
    lines = recorded(name).splitlines()
    for end in range(len(lines)):
        part = parse_test_counts("\n".join([*lines[:end], "... [7 lines truncated] ..."]))

        assert part is None or (whole is not None and part.failed <= whole.failed)


def test_suites_of_several_programs_in_one_output_add_up() -> None:
    names = ("pytest_quiet", "pytest_failed_colour", "jest_failed", "cargo_passed")

    found = parse_test_results("\n".join(map(recorded, names)))

    assert dict(found) == {
        Ecosystem.PYTHON: counts(4, 2, 2),
        Ecosystem.JAVASCRIPT: counts(12, 1, 3),
        Ecosystem.RUST: counts(2, 0, 1),
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "All tests pass: 3 passed.",
        "I ran the suite and 3 passed in 0.5s, which is good.",
        "The log said 12 passed in 1.20s yesterday",
        "- 3 passed in 0.5s",
        "> 3 passed in 0.5s",
        "Tests: 3 passed, 3 total",
        "Tests  3 passed (3)",
        "Test Files  1 passed (1)",
        "3 passing (12ms)",
        "we have 3 passing (12ms) tests",
        "ok example.com/a 0.005s",
        "ok, that works",
        "FAIL fast",
        "ok 1 - it works",
        "1..3",
        "test result: ok",
        "running 3 tests",
        "3 tests completed, 1 failed",
        "5 examples, all good",
        "OK (it is fine)",
        "Ran 4 tests in 0.001s",
        "Ran 4 tests in 0.001s\nand then it crashed",
        "Passed! Failed: 0",
        "Total tests: 5",
        "no tests ran in 0.01s",
        f"{'9' * 10} passed in 0.01s",
        f"{'9' * 3_000} passed in 0.01s",
        f"Ran {'9' * 3_000} tests in 0.1s\n\nOK",
    ],
)
def test_text_about_tests_is_no_test_result(text: str) -> None:
    assert parse_test_counts(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("===== 3 passed, 1 failed, 2 skipped in 0.12s =====", (3, 1, 2)),
        ("1 error in 0.10s", (0, 1, 0)),
        ("....\nRan 4 tests in 0.001s\n\nOK\n", (4, 0, 0)),
        ("Ran 5 tests in 0.1s\n\nFAILED (failures=1, errors=1, skipped=1)", (2, 2, 1)),
        ("Ran 0 tests in 0.1s\n\nFAILED (errors=1)", (0, 1, 0)),
        ("Ran 3 tests in 0.1s\n\nPASSED (successes=3)", (3, 0, 0)),
        ("OK (3 tests)", (3, 0, 0)),
        ("1..2\nok 1\nok 2", (2, 0, 0)),
        ("TAP version 14\nok 1\nok 2\n1..2", (2, 0, 0)),
        ("1..4\nok 1\nok 2", (2, 2, 0)),
        ("1..2\nok 1\nBail out! no database", (1, 1, 0)),
        ("Exit code 1\n\nok  \ta\t0.1s\nFAIL\tb\t0.1s", (None, 1, 0)),
    ],
)
def test_further_forms_are_read(text: str, expected: tuple[int | None, int, int]) -> None:
    assert parse_test_counts(text) == counts(*expected)


def test_a_progress_bar_does_not_hide_the_summary() -> None:
    assert parse_test_counts("12%\r50%\r====== 3 passed in 0.12s ======\n") == counts(3, 0)


CUT = "\n... [123 lines truncated] ...\n"


def test_a_summary_below_a_cut_counts_in_full() -> None:
    text = f"collected 300 items{CUT}=== 1 failed, 299 passed in 3.00s ==="

    assert parse_test_counts(text) == counts(299, 1)


@pytest.mark.parametrize("name", ["cargo_passed", "maven_passed", "go_passed", "gradle_passed"])
def test_packages_without_a_failure_around_a_cut_are_no_result(name: str) -> None:
    assert parse_test_counts(recorded(name) + CUT) is None


@pytest.mark.parametrize("name", ["cargo_failed_colour", "maven_failed", "go_failed", "tap_perl"])
def test_failures_around_a_cut_count_as_the_least_that_can_be_true(name: str) -> None:
    found = parse_test_counts(recorded(name) + CUT)

    assert found is not None
    assert found.failed >= 1
    assert not found.is_complete
    assert not found.is_proof


def test_a_rust_binary_that_aborts_leaves_the_counts_incomplete() -> None:
    text = recorded("cargo_failed_colour") + "\nrunning 3 tests\nfatal runtime error\n"

    found = parse_test_counts(text)

    assert found == counts(3, 1, 1, is_complete=False)


def test_maven_without_the_sum_of_its_module_is_incomplete() -> None:
    begun = recorded("maven_failed").split("[INFO] Results:")[0]

    assert parse_test_counts(begun) == counts(2, 2, 2, is_complete=False)


def test_a_huge_output_is_read_at_both_ends() -> None:
    noise = "some log line\n" * 200_000
    text = f"=== 2 passed in 0.10s ===\n{noise}=== 3 passed in 0.10s ==="

    assert parse_test_counts(text) == counts(5, 0)


def test_every_ecosystem_is_found_in_a_recorded_output() -> None:
    found = [parse_test_results(recorded(name)) for name in EXPECTED]

    assert {ecosystem for results in found for ecosystem in results} == set(Ecosystem)
