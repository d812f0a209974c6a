"""The seeder makes the same runs again, and no id twice."""

from __future__ import annotations

from benchmarks.seed.lines import RUN_COLUMNS, event_lines, run_lines, step_lines
from benchmarks.seed.plans import RUN, plans, run_id, uuid_hex
from core.domain.runs.run import RunStatus, StopReason


def test_the_same_seed_makes_the_same_rows() -> None:
    for lines in (run_lines, step_lines, event_lines):
        first, again = (list(lines(4, list(plans(4, 300)))) for _ in range(2))
        other = list(lines(5, list(plans(5, 300))))

        assert first == again
        assert first != other


def test_no_id_comes_twice() -> None:
    numbers = range(200_000)

    assert len({run_id(1, number) for number in numbers}) == len(numbers)
    assert all(len(uuid_hex(9, RUN, number)) == 32 for number in range(100))


def test_a_row_has_a_value_for_each_column() -> None:
    for line in run_lines(1, list(plans(1, 200))):
        assert line.endswith("\n")
        assert line.count("\t") == len(RUN_COLUMNS) - 1


def test_runs_are_of_every_kind_and_the_newest_are_live() -> None:
    made = list(plans(1, 3_000))

    assert len(made) == 3_000
    assert {plan.shape.reason for plan in made} >= set(StopReason)
    assert {plan.shape.status for plan in made[-5:]} == {RunStatus.RUNNING}
    assert any(plan.is_pending for plan in made[-5:])
    assert max(plan.leg for plan in made) > 3
