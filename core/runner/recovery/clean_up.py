"""Removal of what an attempt leaves on this machine, once its processes are proven gone."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.agent.process.launch import RESUMED_LINK
from core.domain.runs.run import RUN_ID_PREFIX, Run
from core.workspace.locks import remove_stale_locks

log = logging.getLogger(__name__)

# The agent's library puts the configuration of a resumed agent into a directory with this prefix,
# in the temporary directory.
_RESUMED_PREFIX = "claude-resume-"


@dataclass(frozen=True)
class Cleaner:
    """Removes files under one home.  A file that is missing already is no error."""

    home: Path

    async def remove_state_dirs(self, run: Run, attempts: Iterable[int]) -> list[str]:
        """Remove the directories of these attempts' agents outside their workspace.

        Returns:
            The names of the removed directories.
        """
        names = [f"{run.run_id}-{attempt}" for attempt in attempts]
        return await asyncio.to_thread(self._remove_dirs, names)

    async def remove_git_locks(self, run: Run) -> list[str]:
        """Remove the locks that a killed git process left in the run's workspace.

        Call it only for a live run without processes, since then nobody works in its workspace.

        Returns:
            The removed files, as paths within the repository.
        """
        path = None if run.workspace_path is None else Path(run.workspace_path)
        if path is None or not path.is_relative_to(self.home / "workspaces"):
            return []
        return await asyncio.to_thread(_remove_locks, path)

    async def clean_up_after_kill(self, run: Run, attempts: Iterable[int]) -> dict[str, Any]:
        """Remove both, and return what was removed, for `Termination.cleanup`."""
        return {
            "state_dirs": await self.remove_state_dirs(run, attempts),
            "git_locks": await self.remove_git_locks(run),
        }

    def attempts_on_disk(self) -> set[tuple[str, int]]:
        """The attempts (run id, number) with a directory here, ended or not.  Blocking."""
        found = set()
        directory = self.home / "agents"
        for path in directory.iterdir() if directory.is_dir() else ():
            run_id, _, attempt = path.name.rpartition("-")
            if run_id.startswith(RUN_ID_PREFIX) and attempt.isdecimal():
                found.add((run_id, int(attempt)))
        return found

    async def remove_attempts(self, attempts: Iterable[tuple[str, int]]) -> list[str]:
        """Remove the directories of ended attempts; return their names."""
        names = [f"{run_id}-{attempt}" for run_id, attempt in attempts]
        return await asyncio.to_thread(self._remove_dirs, names)

    def _remove_dirs(self, names: Iterable[str]) -> list[str]:
        removed = []
        for name in names:
            path = self.home / "agents" / name
            if not path.is_dir():
                continue
            resumed = path / RESUMED_LINK
            if resumed.is_symlink():
                target = resumed.readlink()
                if target.name.startswith(_RESUMED_PREFIX):
                    shutil.rmtree(target, ignore_errors=True)
            shutil.rmtree(path, ignore_errors=True)
            if path.exists():
                log.warning(
                    "%s could not be removed completely",
                    path,
                    extra={"event": "state_dir.removal_failed", "path": str(path)},
                )
            removed.append(name)
        return removed


def _remove_locks(workspace: Path) -> list[str]:
    try:
        return list(remove_stale_locks(workspace / ".git"))
    except OSError as error:
        log.warning(
            "locks of %s not removed: %s",
            workspace,
            error,
            extra={"event": "git_locks.removal_failed", "path": str(workspace)},
        )
        return []
