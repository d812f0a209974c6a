from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.sampling import drawn


@dataclass(frozen=True)
class Node:
    """A test, or the module of one."""

    nodeid: str
    marks: tuple[pytest.Mark, ...] = ()
    module: Node | None = None

    def iter_markers_with_node(self, name: str) -> Iterator[tuple[Node, pytest.Mark]]:
        for node in filter(None, (self, self.module)):
            yield from ((node, mark) for mark in node.marks if mark.name == name)


def sampled(*args: int, **given: str) -> tuple[pytest.Mark]:
    return (pytest.mark.sampled(*args, **given).mark,)


def of_module(module: str, mark: tuple[pytest.Mark], count: int) -> list[Any]:
    node = Node(module, mark)
    return [Node(f"{module}::test_{number}", (), node) for number in range(count)]


def names(nodes: list[Any]) -> set[str]:
    return {node.nodeid for node in nodes}


CASES: list[Any] = [Node(f"a.py::test_case[{number}]", sampled(2)) for number in range(9)]


@pytest.mark.parametrize("seed", range(5))
def test_of_each_group_so_many_are_drawn_and_of_the_rest_all(seed: int) -> None:
    plain: list[Any] = [Node("a.py::test_plain")]
    whole = of_module("b.py", sampled(3), 8)
    in_group = sampled(1, group="fleet")
    fleet = [*of_module("c.py", in_group, 2), *of_module("d.py", in_group, 2)]

    found = drawn([*CASES, *plain, *whole, *fleet], seed)

    assert [len(found & names(group)) for group in (CASES, plain, whole, fleet)] == [2, 1, 3, 1]
    assert len(found) == 7


def test_a_seed_draws_the_same_in_any_order_and_others_draw_everything_in_the_end() -> None:
    once = [drawn(CASES, seed) for seed in range(50)]

    assert once == [drawn(CASES[::-1], seed) for seed in range(50)]
    assert set().union(*once) == names(CASES)


def test_marks_of_a_group_that_contradict_each_other_are_refused() -> None:
    ones = of_module("1.py", sampled(1, group="fleet"), 1)
    others = of_module("2.py", sampled(2, group="fleet"), 1)

    with pytest.raises(pytest.UsageError, match=r"2\.py::test_0: others of fleet"):
        drawn([*ones, *others], 1)
