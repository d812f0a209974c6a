"""Git as the worker runs it: in a thread, with the worker's own git configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from core.workspace.command import Confine, Git
from core.workspace.errors import translate_os_errors
from core.workspace.scratch import Scratch, staging_path
from core.workspace.settings import quoted
from core.workspace.watch import GitWatch

T = TypeVar("T")

# Lets git read repositories of other users.  It is safe because nothing in them is run.
_SAFE_DIRECTORY_CONFIG = "[safe]\n\tdirectory = *\n"


class WorkerGit:
    """Runs git for the workspaces below one root, which it creates."""

    def __init__(
        self,
        root: Path,
        *,
        timeout: timedelta,
        environment: Mapping[str, str],
        scratch: Scratch | None,
        confine: Confine | None,
    ) -> None:
        """Run nothing yet.

        Args:
            root: Contains the git configuration, beside the workspaces.
            timeout: The time limit of one command.
            environment: The variables that git sees.
            scratch: The process's temporary directory; `None` is the system's.
            confine: Confines git commands in a workspace, see `Git`.
        """
        self._root = root
        self._timeout = timeout
        self._environment = dict(environment)
        self._scratch = scratch
        self._confine = confine

    async def run(self, work: Callable[[Git], T], *, watch: GitWatch | None = None) -> T:
        """Do `work` in a thread.  A cancellation ends its git processes.

        Args:
            work: Runs commands with the `Git` that it is given.
            watch: Sees them while they run.

        Raises:
            WorkspaceError: If the disk or git fails, besides what `work` raises.
        """
        git = Git(
            environment=self._environment,
            timeout=self._timeout,
            global_config=self._global_config,
            temporary_dir=self._scratch.folder if self._scratch is not None else None,
            confine=self._confine,
        )

        def run_bounded() -> T:
            with translate_os_errors():
                self._ensure_root()
                return work(git)

        try:
            with nullcontext() if watch is None else watch.watching(git):
                return await asyncio.to_thread(run_bounded)
        except asyncio.CancelledError:
            git.stop()
            raise

    @property
    def _global_config(self) -> Path:
        return self._root / "gitconfig"

    def _ensure_root(self) -> None:
        """Create the root and the git configuration, which includes the worker's own."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._scratch is not None:
            self._scratch.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        configured = self._environment.get("GIT_CONFIG_GLOBAL")
        config_home = self._environment.get("XDG_CONFIG_HOME") or "~/.config"
        includes = [configured] if configured else [f"{config_home}/git/config", "~/.gitconfig"]
        content = (
            "".join(f"[include]\n\tpath = {quoted(path)}\n" for path in includes)
            + _SAFE_DIRECTORY_CONFIG
        )
        config = self._global_config
        if not config.is_file() or config.read_text() != content:
            staged_config = staging_path(config, self._scratch)
            staged_config.write_text(content)
            staged_config.rename(config)
