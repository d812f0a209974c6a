"""Lines of CSV that spreadsheets read as texts."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

# What a spreadsheet takes for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def csv_lines(rows: Iterable[Iterable[str]]) -> bytes:
    """Rows as lines; characters that no encoding has are replaced.  Pure."""
    file = io.StringIO()
    writer = csv.writer(file)
    for row in rows:
        writer.writerow([safe_text(one) for one in row])
    return file.getvalue().encode("utf-8", "replace")


def safe_text(text: str) -> str:
    """A text that no spreadsheet takes for a formula.  Pure."""
    return f"'{text}" if text.startswith(_FORMULA) else text
