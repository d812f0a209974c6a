"""The removal of workspaces that can be restored, and what the workspaces of a disk take."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from core.domain.runs.work.carried_work import Bundle
from core.domain.workspaces.policy import DiskRoom
from core.workspace.cleaning.examination import Examination, Examined
from core.workspace.cleaning.files import disk_bytes
from core.workspace.cleaning.mirrors import FoundMirror, list_mirrors, remove_mirror
from core.workspace.cleaning.state import Stays, Survey, survey
from core.workspace.cleaning.trash import delete_tree, empty_trash, to_trash
from core.workspace.command import Git
from core.workspace.folders import WorkspaceFolders
from core.workspace.locks import use_lock
from core.workspace.mirror import MIRRORS_FOLDER
from core.workspace.records import WorkspaceRecord, read_record, record_path
from core.workspace.source import parse_source
from core.workspace.work.carry import MAX_BUNDLE_BYTES
from core.workspace.workspaces import Workspaces

_NO_WAIT = timedelta(0)


@dataclass(frozen=True, kw_only=True)
class FoundWorkspace:
    """A workspace on this disk.

    Attributes:
        changed_at: When its folder or its use last changed, as the disk tells.
    """

    workspace_id: str
    repo: str | None
    changed_at: datetime


@dataclass(frozen=True)
class WorkspaceCleaner:
    """Examines and removes the workspaces of one home.

    Attributes:
        workspaces: The same workspaces, as runs use them.
        cache_names: Names of folders that may go if git ignores them.
        max_bytes: The largest bundle that can be stored.
    """

    workspaces: Workspaces
    cache_names: frozenset[str]
    max_bytes: int = MAX_BUNDLE_BYTES

    @property
    def _folders(self) -> WorkspaceFolders:
        return self.workspaces.folders

    async def list_all(self) -> list[FoundWorkspace]:
        """The workspaces on this disk."""
        return await self.workspaces.git.run(lambda _: [*map(self._found, self._folders.all_ids())])

    @asynccontextmanager
    async def claimed(self, workspace_id: str) -> AsyncIterator[None]:
        """Keep runs out of a workspace during the block.

        Raises:
            WorkspaceBusy: If a run works in it.
        """
        path = await self.workspaces.git.run(lambda _: self._folders.use_lock(workspace_id))
        async with use_lock(path, timeout=_NO_WAIT, is_shared=False):
            yield

    async def examine_newest(self, workspace_id: str, *, repo: str | None) -> Examined:
        """Find out whether the newest workspace of a session can go, and pack it.

        Nothing may be working in it.

        Args:
            workspace_id: The workspace.
            repo: The session's repository; `None` if it has none.

        Raises:
            Stays: If something would be lost.
        """

        def work(git: Git) -> Examined:
            path, found = self._surveyed(git, workspace_id)
            return self._examination(git).of_newest(
                path,
                found,
                source=None if repo is None else parse_source(repo),
                base=self._record(workspace_id).base_commit,
            )

        return await self.workspaces.git.run(work)

    async def examine_older(
        self, workspace_id: str, *, repo: str | None, stored: Bundle | None
    ) -> Examined:
        """Find out whether an older copy can go, as its session went on elsewhere.

        Raises:
            Stays: If something would be lost.
        """

        def work(git: Git) -> Examined:
            path, found = self._surveyed(git, workspace_id)
            return self._examination(git).of_older(
                path, found, source=None if repo is None else parse_source(repo), stored=stored
            )

        return await self.workspaces.git.run(work)

    async def is_here(self, workspace_id: str) -> bool:
        """Whether a workspace is on this disk."""
        return await self.workspaces.git.run(lambda _: self._folders.is_taken(workspace_id))

    async def measure(self, workspace_id: str) -> int:
        """What a workspace takes on the disk, in bytes."""
        path = self._folders.path_of(workspace_id)
        return await self.workspaces.git.run(
            lambda git: disk_bytes(path, is_stopped=lambda: git.is_stopped)
        )

    async def remove(self, workspace_id: str) -> None:
        """Remove a workspace with its record.  It is gone at once, its files soon after.

        Nothing may be working in it.  What a killed process leaves is removed by `sweep`.
        """
        await self.workspaces.git.run(lambda _: self._remove(workspace_id))

    async def sweep(self) -> None:
        """Remove what is left of removals that were cut short."""
        await self.workspaces.git.run(lambda _: empty_trash(self.workspaces.root))

    async def mirrors(self) -> list[FoundMirror]:
        """The mirrors on this disk, the longest unused first."""
        return await self.workspaces.git.run(lambda _: list_mirrors(self.workspaces.root))

    async def remove_mirror(self, name: str) -> int | None:
        """Remove a mirror; return the bytes that it took, or `None` if it is in use or gone."""
        root = self.workspaces.root
        return await self.workspaces.git.run(
            lambda git: remove_mirror(root, name, is_stopped=lambda: git.is_stopped)
        )

    async def room(self, used_bytes: int | None) -> DiskRoom:
        """The room on the disk.

        Args:
            used_bytes: What the workspaces take; `None` if only the free space is of interest,
                which is found without a look at the mirrors.
        """

        def work(git: Git) -> DiskRoom:
            root = self.workspaces.root
            used = 0
            if used_bytes is not None:
                mirrors = disk_bytes(root / MIRRORS_FOLDER, is_stopped=lambda: git.is_stopped)
                used = used_bytes + mirrors
            # It can be a disk of its own.
            folder = root / "workspaces"
            usage = shutil.disk_usage(folder if folder.is_dir() else root)
            return DiskRoom(total_bytes=usage.total, free_bytes=usage.free, used_bytes=used)

        return await self.workspaces.git.run(work)

    def _surveyed(self, git: Git, workspace_id: str) -> tuple[Path, Survey]:
        path = self._folders.path_of(workspace_id)
        return path, survey(git, path, cache_names=self.cache_names)

    def _examination(self, git: Git) -> Examination:
        root, policy = self.workspaces.root, self.workspaces.policy
        return Examination(git=git, root=root, policy=policy, max_bytes=self.max_bytes)

    def _record(self, workspace_id: str) -> WorkspaceRecord:
        return read_record(record_path(self.workspaces.root, workspace_id))

    def _found(self, workspace_id: str) -> FoundWorkspace:
        path = self._folders.path_of(workspace_id)
        times = [
            os.lstat(one).st_mtime
            for one in (path, self._folders.use_lock(workspace_id))
            if os.path.lexists(one)
        ]
        return FoundWorkspace(
            workspace_id=workspace_id,
            repo=self._record(workspace_id).repo,
            changed_at=datetime.fromtimestamp(max(times, default=0.0), UTC),
        )

    def _remove(self, workspace_id: str) -> None:
        path = self._folders.path_of(workspace_id)
        target = to_trash(self.workspaces.root, path)
        record_path(self.workspaces.root, workspace_id).unlink(missing_ok=True)
        delete_tree(target)


__all__ = ["Examined", "FoundWorkspace", "Stays", "WorkspaceCleaner"]
