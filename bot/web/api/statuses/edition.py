"""The edition of the answers about runs: another one for each program that may answer otherwise."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path

import bot
import core

# All that decides how rows become an answer: files, and folders with all that is in them.
_PLACES = (
    (bot, ("web/api/failures", "web/api/restarts", "web/api/run_starts.py", "web/api/statuses",
           "web/api/values.py", "words")),
    (core, ("domain", "services/runs/enrichment.py", "services/runs/status.py",
            "store/runs/columns.py", "store/runs/row_parts.py", "store/runs/status_read.py",
            "store/runs/tasks.py")),
)  # fmt: skip


@cache
def answer_edition() -> str:
    """The digest of the code that composes and words answers, in hexadecimal.

    A version number would have to be raised by hand with each change of a word.  It reads some 250
    small files: 10 ms, once.

    Raises:
        FileNotFoundError: If a place is no longer there, so that a move is noticed.
    """
    digest = sha256()
    for package, places in _PLACES:
        root = Path(next(iter(package.__path__)))
        for place in places:
            found = root / place
            if not found.exists():
                raise FileNotFoundError(found)
            for file in [found] if found.is_file() else sorted(found.rglob("*.py")):
                digest.update(file.relative_to(root).as_posix().encode() + b"\0")
                digest.update(file.read_bytes() + b"\0")
    return digest.hexdigest()
