"""The `PATH` of the tests: without the toolchains in a home directory that no test needs."""

from __future__ import annotations

import shutil
from pathlib import Path

# Programs that the tests start by name, or that the started ones do.
_NEEDED = (
    "bwrap",
    "chromium",
    "chromium-headless-shell",
    "curl",
    "git",
    "ip",
    "make",
    "node",
    "promtool",
    "python3",
    "sh",
)

FULL_VARIABLE = "TESTS_FULL_PATH"
"""Holds the machine's own `PATH`."""


def system_path(path: str) -> str:
    """Leave out the directories in home directories, but those where a needed program is.

    Each worker searches the toolchains of its `PATH` for private files when it starts.  With a
    pyenv of many versions that takes half a second of the CPU, in hundreds of tests.
    """
    entries = path.split(":")
    homes = (Path.home(), Path("/home"), Path("/Users"))
    kept = [one for one in entries if not any(Path(one).is_relative_to(home) for home in homes)]
    for program in _NEEDED:
        if shutil.which(program, path=":".join(kept)) is None:
            kept = [one for one in entries if one in kept or shutil.which(program, path=one)]
    return ":".join(dict.fromkeys(kept))
