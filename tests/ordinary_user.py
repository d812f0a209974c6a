"""Commands and files of an ordinary user, for tests that root runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# `nobody` on most systems.  No account needs to exist.
UID = 65534

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="only root can become another user, with setpriv",
)

# A command that runs another one as the ordinary user.
AS_ORDINARY_USER = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups")


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder that belongs to the ordinary user."""
    # Not pytest's own directory: only root may enter it.
    folder = Path(tempfile.mkdtemp(prefix="sbuser-"))
    os.chown(folder, UID, UID)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as the ordinary user, to its end."""
    return subprocess.run(
        (*AS_ORDINARY_USER, *command), check=False, capture_output=True, text=True, timeout=60
    )
