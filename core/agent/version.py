"""Which `claude` program there is."""

from __future__ import annotations

import subprocess

from core.agent.options import BUNDLED_PROGRAM

_LIMIT_SECONDS = 20


def program_version() -> str | None:
    """Version of the agent program, `None` if it does not run.  Blocking."""
    try:
        found = subprocess.run(  # noqa: S603 - the SDK's own program
            [str(BUNDLED_PROGRAM), "--version"],
            capture_output=True,
            text=True,
            timeout=_LIMIT_SECONDS,
            check=True,
            env={},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.split(" ")[0].strip() or None
