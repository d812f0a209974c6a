"""`make test` draws some of the tests that cost most; `make test-all` runs every one of them.

Tests that reach the same behaviour in several cases, or from several sides, with agents or whole
processes, are marked `sampled`.  Which of them are drawn depends on the seed of the random order,
which each run prints: the same seed draws the same tests, and other seeds draw others.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

import pytest

MARKER = "sampled"


def drawn(items: Sequence[pytest.Item], seed: int) -> set[str]:
    """The ids of the tests that are run: all without the marker, and some of each group.

    Raises:
        pytest.UsageError: If marks of one group ask for different numbers of tests.
    """
    chosen: set[str] = set()
    groups: dict[str, list[str]] = defaultdict(list)
    counts: dict[str, int] = {}
    for item in items:
        found = next(item.iter_markers_with_node(MARKER), None)
        if found is None:
            chosen.add(item.nodeid)
            continue
        node, mark = found
        # That of a test is about its cases, and that of a module about all tests in it.
        group = mark.kwargs.get("group") or (item.nodeid if node is item else node.nodeid)
        group = group.partition("[")[0]
        count = mark.args[0]
        if counts.setdefault(group, count) != count:
            raise pytest.UsageError(f"{item.nodeid}: others of {group} ask for another count")
        groups[group].append(item.nodeid)
    for group, names in groups.items():
        dice = random.Random(f"{seed} {group}")
        chosen.update(dice.sample(sorted(names), min(counts[group], len(names))))
    return chosen
