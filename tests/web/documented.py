"""The examples of `docs/api.md`."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_DOCUMENT = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


def blocks(language: str, *, section: str | None = None) -> list[str]:
    """The blocks in a language, of the whole document or of one section."""
    text = _DOCUMENT
    if section is not None:
        text = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
