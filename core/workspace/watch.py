"""Which git commands work for a caller that waits, so that it can see whether they do anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.workspace.command import Git


class GitWatch:
    """Watches the calls of one caller, one after another; any thread may ask."""

    def __init__(self) -> None:
        self._git: Git | None = None

    @contextmanager
    def watching(self, git: Git) -> Iterator[None]:
        """Watch these commands during the block."""
        self._git = git
        try:
            yield
        finally:
            self._git = None

    @property
    def pids(self) -> frozenset[int]:
        """The running command, if there is one; what it started is not listed."""
        git = self._git
        pid = None if git is None else git.running_pid
        return frozenset() if pid is None else frozenset({pid})

    @property
    def awaited_folder(self) -> Path | None:
        """The folder whose lock is waited for: commands of other runs work in it."""
        git = self._git
        return None if git is None else git.awaited_folder
