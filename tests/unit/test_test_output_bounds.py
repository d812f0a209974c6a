import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.test_output.commands import only_shows_text
from core.domain.test_output.counts import (
    Ecosystem,
    TestCounts,
    results_of_json,
    results_to_json,
    total_of,
)
from core.domain.test_output.output import read_output
from core.domain.test_output.parse import parse_test_counts, parse_test_results
from tests.unit.test_test_output import EXPECTED, recorded

COUNTS = st.builds(
    TestCounts,
    passed=st.none() | st.integers(0, 10**6),
    failed=st.integers(0, 10**6),
    skipped=st.integers(0, 10**6),
    is_complete=st.booleans(),
)
RESULTS = st.dictionaries(st.sampled_from(Ecosystem), COUNTS, max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
LINES = [line for name in EXPECTED for line in recorded(name).splitlines()]


@given(st.text())
def test_no_text_makes_the_search_fail(text: str) -> None:
    assert parse_test_counts(text) is None or text


@given(st.lists(st.sampled_from(LINES) | st.text(max_size=40), max_size=40))
def test_lines_in_any_order_give_plausible_counts(lines: list[str]) -> None:
    for found in parse_test_results("\n".join(lines)).values():
        assert found.passed is None or found.passed >= 0
        assert found.failed >= 0
        assert found.skipped >= 0
        assert found.is_complete or found.failed


@given(st.sampled_from(list(EXPECTED)), st.data())
def test_a_part_of_an_output_never_shows_more_passed_tests(name: str, data: st.DataObject) -> None:
    text = recorded(name)
    whole = parse_test_counts(text)
    end = data.draw(st.integers(0, len(text)))

    part = parse_test_counts(text[:end])

    if part is not None and part.is_proof:
        assert whole is not None
        assert whole.passed is None or (part.passed or 0) <= whole.passed


@given(RESULTS)
def test_results_survive_being_stored(results: dict[Ecosystem, TestCounts]) -> None:
    stored = results_to_json(results)

    assert dict(results_of_json(stored)) == results
    assert TestCounts.of_json(stored) == total_of(results.values())


@given(JSON)
def test_no_stored_value_makes_the_reading_fail(stored: object) -> None:
    found = TestCounts.of_json(stored)

    assert found is None or found.failed >= 0
    assert all(isinstance(one, TestCounts) for one in results_of_json(stored).values())


@pytest.mark.parametrize(
    "part",
    [
        *(
            "a",
            " ",
            "\n",
            "0",
            "=",
            "\x1b",
            "\x1b[",
            "\x1b]",
            "\r",
            "1 passed, ",
            "ok \t",
            "1..1\n",
        ),
        *("ok 1 ", "[", "Tests run: 1, ", '{"Action":', "{", " > ", "> Task :", "1 failed | "),
        *("--- PASS: ", "\x1b]8;;", "test result: ok. ", "    ", "ok\n", "running 1 test\n"),
        *("Tests:  ", "Test Files  1 passed (1)\n", "Test run summary: x\n", "FAIL: a (b)\n"),
    ],
)
def test_the_search_takes_linear_time(part: str) -> None:
    text = (part * 400_000)[:400_000]
    began = time.process_time()
    parse_test_counts(text)

    # An idle machine takes 0.2 s at most, a busy one up to ten times as long; quadratic time is
    # minutes.
    assert time.process_time() - began < 6


def test_an_output_without_end_is_bounded() -> None:
    output = read_output("x" * 5_000_000)

    assert output.is_cut
    assert sum(map(len, output.lines)) <= 2_000


@given(st.text() | st.lists(st.sampled_from(["cat", "'", '"', "|", "&&", "x", "\\", "(", "git"])))
def test_no_command_makes_the_judgement_fail(command: str | list[str]) -> None:
    text = command if isinstance(command, str) else " ".join(command)

    assert only_shows_text(text) in (True, False)
