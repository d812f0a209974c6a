"""The version of the bundled `claude` program."""

from __future__ import annotations

import subprocess

from core.agent.options import BUNDLED_PROGRAM

_LIMIT_SECONDS = 20


def program_version() -> str | None:
    """Ask the agent program for its version; `None` if it does not run.  Blocking, up to 20 s."""
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
