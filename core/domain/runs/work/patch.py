"""The lines that a run changed, as git writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

_FILE = re.compile(r"^diff --git ", re.MULTILINE)
_HUNK = re.compile(r"^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@(.*)$")


@dataclass(frozen=True, kw_only=True)
class WorkPatch:
    """The difference between the files at a run's start and at its end.

    Attributes:
        text: A unified diff as `git diff` prints it, without secrets.
        is_cut: Whether it was too long, so that only its beginning is there.
    """

    text: str
    is_cut: bool = False


def files_of(text: str) -> list[str]:
    """The parts of a patch that are about one file each."""
    starts = [found.start() for found in _FILE.finditer(text)]
    return [text[start:end] for start, end in pairwise([*starts, len(text)])]


def without_torn_end(text: str) -> str:
    """A part that was cut somewhere, with its last whole line, and a head that counts its lines."""
    lines = text[: text.rfind("\n") + 1].split("\n")[:-1]
    place = next((at for at in reversed(range(len(lines))) if lines[at].startswith("@@ ")), None)
    found = None if place is None else _HUNK.match(lines[place])
    if place is None or found is None:
        return "".join(f"{line}\n" for line in lines)
    body = lines[place + 1 :]
    old = sum(line[:1] in (" ", "-", "") for line in body)
    new = sum(line[:1] in (" ", "+", "") for line in body)
    if not old + new:
        return "".join(f"{line}\n" for line in lines[:place])
    lines[place] = f"@@ -{found[1]},{old} +{found[2]},{new} @@{found[3]}"
    return "".join(f"{line}\n" for line in lines)
