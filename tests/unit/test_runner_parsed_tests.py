import pytest

from core.runner.execution.parsed_tests import TestCounts, parse_test_counts


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("===== 3 passed, 1 failed, 2 skipped in 0.12s =====", (3, 1, 2)),
        ("12 passed in 1.20s", (12, 0, 0)),
        ("1 error in 0.10s", (0, 1, 0)),
        ("....\nRan 4 tests in 0.001s\n\nOK\n", (4, 0, 0)),
        ("Ran 5 tests in 0.1s\n\nFAILED (failures=1, errors=1, skipped=1)", (2, 2, 1)),
        ("Ran 1 test in 0.1s\n\nFAILED (errors=1)\n3 passed in 1.00s", (0, 1, 0)),
    ],
)
def test_the_counts_are_read_from_a_summary(output: str, expected: tuple[int, int, int]) -> None:
    passed, failed, skipped = expected

    assert parse_test_counts(output) == TestCounts(passed=passed, failed=failed, skipped=skipped)


@pytest.mark.parametrize(
    "output",
    [
        "",
        "I passed 3 tests",
        "all good",
        "no tests ran in 0.01s",
        f"{'9' * 10} passed in 0.01s",
        f"{'9' * 3_000} passed in 0.01s",
        f"Ran {'9' * 3_000} tests in 0.1s\n\nOK",
    ],
)
def test_other_output_has_no_counts(output: str) -> None:
    assert parse_test_counts(output) is None
