"""Running a command as an ordinary user, from tests that root runs."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

# The user that every Unix has for programs that own nothing.
NOBODY = 65534


def as_ordinary_user(command: Iterable[str]) -> list[str]:
    """Return the command that runs `command` as an ordinary user.

    The user sees the machine as it is, except that root's home is passable: Python and this
    repository can be in it.
    """
    if os.geteuid() != 0:
        return list(command)
    repository = Path(__file__).resolve().parent.parent
    needed = {Path(sys.prefix), Path(sys.base_prefix), repository}
    home = Path("/root")
    view = ["--dev-bind", "/", "/"]
    inside = sorted(path for path in needed if path.is_relative_to(home))
    if inside:
        view += ["--perms", "0755", "--tmpfs", str(home)]
        view += [part for path in inside for part in ("--bind", str(path), str(path))]
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return [shutil.which("bwrap") or "bwrap", *view, "--", *user, *command]
