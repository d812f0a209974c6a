"""A look at repositories and workspaces from this process, before a run is restarted."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from core.domain.errors import OpsError
from core.domain.reach.repositories import RepositoryPolicy
from core.domain.runs.checkpoint import Checkpoint
from core.domain.runs.work.diff import DiffStat, FileChange

if TYPE_CHECKING:
    from core.workspace.workspaces import Workspaces

log = logging.getLogger(__name__)

# A person waits for it.
_LIMIT = timedelta(seconds=8)


@dataclass
class LocalProbe:
    """Asks repositories, and reads workspaces if this process executes runs.

    Attributes:
        workspaces: Those of the worker of this process; `None` if it has none.  Without one the
            files of workspaces are not read: they come from agents, and only a worker confines
            git.
    """

    home: Path
    policy: RepositoryPolicy
    workspaces: Workspaces | None = None

    @property
    def is_of_worker(self) -> bool:
        """Whether runs are executed by this process."""
        return self.workspaces is not None

    async def problem(self, source: str) -> str | None:
        """Why a repository cannot be read, as a sentence; `None` if it can."""
        try:
            async with asyncio.timeout(_LIMIT.total_seconds()):
                await self._any_workspaces().check(source)
        except OpsError as error:
            return error.user_message
        except TimeoutError:
            return f"`{source}` did not answer within {_LIMIT.total_seconds():.0f} s."
        return None

    async def lacks(self, source: str, commit: str) -> bool:
        """Whether a repository says that it has no such commit."""
        try:
            async with asyncio.timeout(_LIMIT.total_seconds()):
                return not await self._any_workspaces().has_commit(source, commit)
        except (OpsError, TimeoutError) as error:
            log.info(
                "not known whether a commit is there: %s",
                type(error).__name__,
                extra={"event": "commit_probe.failed", "error": type(error).__name__},
            )
            return False

    async def changes_since(
        self,
        node: str,
        workspace_id: str,
        checkpoint: Checkpoint,
    ) -> DiffStat | None:
        """What was changed in a workspace since a checkpoint; `None` if it is not on this disk."""
        workspaces = self.workspaces
        if workspaces is None or not await asyncio.to_thread(self._is_here, node):
            return None
        try:
            async with asyncio.timeout(_LIMIT.total_seconds()):
                workspace = await workspaces.find(workspace_id)
                if workspace is None:
                    return None
                found = await workspaces.checkpoints.preview(workspace, checkpoint, bundles=None)
        except (OpsError, TimeoutError) as error:
            log.info(
                "what was changed since a checkpoint cannot be read: %s",
                error,
                extra={"event": "checkpoint_preview.failed", "workspace_id": workspace_id},
            )
            return None
        more = found.omitted_files
        rest = [FileChange(path=f"{more} more files", added=None, removed=None)] if more else []
        return DiffStat(
            files=(*found.files, *rest),
            commits=found.commits,
            omitted_files=more,
            omitted_commits=found.omitted_commits,
        )

    def _any_workspaces(self) -> Workspaces:
        if self.workspaces is not None:
            return self.workspaces
        # A process that only serves people loads git when it is first needed.
        from core.workspace.workspaces import Workspaces  # noqa: PLC0415

        return Workspaces(self.home, git_timeout=_LIMIT, policy=self.policy)

    def _is_here(self, node: str) -> bool:
        """Whether a node's disk is that of this home."""
        file = self.home / "disk-id"
        return file.is_file() and file.read_text().strip() == (node.rpartition("-")[0] or node)
