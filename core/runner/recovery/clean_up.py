"""What an attempt leaves on this machine, removed once its processes are proven gone."""

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

# The agent program's library makes a resumed agent's configuration under this name, in the
# temporary directory of the machine.
_RESUMED_PREFIX = "claude-resume-"


@dataclass(frozen=True)
class Cleaner:
    """Clears away under one home.  A thing that is gone already is no error."""

    home: Path

    async def remove_state_dirs(self, run: Run, attempts: Iterable[int]) -> list[str]:
        """Remove what these attempts' agents kept outside their workspace.

        Returns:
            What was removed, by name.
        """
        names = [f"{run.run_id}-{attempt}" for attempt in attempts]
        return await asyncio.to_thread(self._remove_dirs, names)

    async def remove_git_locks(self, run: Run) -> list[str]:
        """Remove the locks that a killed git left in the run's workspace.

        Only for a run that is still live and whose processes are gone: nobody else works in
        its workspace.

        Returns:
            What was removed, by path within the repository.
        """
        path = None if run.workspace_path is None else Path(run.workspace_path)
        if path is None or not path.is_relative_to(self.home / "workspaces"):
            return []
        return await asyncio.to_thread(_remove_locks, path)

    async def clean_up_after_kill(self, run: Run, attempts: Iterable[int]) -> dict[str, Any]:
        """All of it, as `Termination.cleanup` tells it."""
        return {
            "state_dirs": await self.remove_state_dirs(run, attempts),
            "git_locks": await self.remove_git_locks(run),
        }

    def attempts_on_disk(self) -> set[tuple[str, int]]:
        """Runs and attempts that have something here, over or not.  Blocking."""
        found = set()
        directory = self.home / "agents"
        for path in directory.iterdir() if directory.is_dir() else ():
            run_id, _, attempt = path.name.rpartition("-")
            if run_id.startswith(RUN_ID_PREFIX) and attempt.isdecimal():
                found.add((run_id, int(attempt)))
        return found

    async def remove_attempts(self, attempts: Iterable[tuple[str, int]]) -> list[str]:
        """Remove what attempts that are over have left."""
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
