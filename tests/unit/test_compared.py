"""The tests that a document names are there."""

from __future__ import annotations

import re
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_each_row_of_the_comparison_names_a_test_that_exists() -> None:
    text = (_ROOT / "docs/dashboard-compared.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line][1:]

    named = [_NAMED.findall(row) for row in rows]

    assert len(rows) > 20
    for row, found in zip(rows, named, strict=True):
        assert found, row
        for file, name in found:
            assert re.search(rf"def {name}\b", (_ROOT / file).read_text(encoding="utf-8")), row
