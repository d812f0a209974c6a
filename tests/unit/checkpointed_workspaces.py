"""Functions for tests that take checkpoints of workspaces and go back to them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from core.domain.runs.checkpoint import Checkpoint, CheckpointReason
from core.workspace.checkpoints.taking import TakenFiles
from core.workspace.workspaces import Workspace, Workspaces
from tests.unit.repositories import git


def checkpoint_of(
    taken: TakenFiles, workspace: Workspace, *, previous: Checkpoint | None = None
) -> Checkpoint:
    """The row of a checkpoint, as a worker would store it."""
    return Checkpoint(
        id=uuid4(),
        run_id=uuid4(),
        session_id=uuid4(),
        attempt=1,
        number=1 if previous is None else previous.number + 1,
        taken_at=datetime(2026, 5, 4, tzinfo=UTC),
        reason=CheckpointReason.INTERVAL,
        commit=taken.commit,
        head_commit=taken.head_commit,
        base_commit=workspace.base_commit,
        branch=taken.branch,
        references=taken.references,
        diff=taken.diff,
        previous_id=None if previous is None else previous.id,
    )


async def checkpoint(
    workspaces: Workspaces, workspace: Workspace, *, previous: Checkpoint | None = None
) -> tuple[Checkpoint, bytes]:
    """Take a checkpoint; return it with its bundle."""
    taken = await workspaces.checkpoints.take(workspace, start=workspace.base_commit)
    found = checkpoint_of(taken, workspace, previous=previous)
    await workspaces.checkpoints.keep(workspace, taken, found.reference)
    return found, await workspaces.checkpoints.pack(workspace, taken, basis=previous)


def seen_by_agent(path: Path, *, with_times: bool = True) -> dict[str, object]:
    """Everything of a workspace that a checkpoint must leave as it is.

    Args:
        path: The workspace.
        with_times: Whether times and inodes of files count, which a file that was replaced and put
            back does not keep.
    """
    found: dict[str, object] = {}
    for file in sorted(path.rglob("*")):
        name = str(file.relative_to(path))
        is_ours = name.startswith((".git/objects", ".git/refs/signalbox", ".git/signalbox"))
        if is_ours or name in (".git", ".git/refs"):
            continue
        status = file.lstat()
        content = file.read_bytes() if file.is_file() and not file.is_symlink() else b""
        times = (status.st_mtime_ns, status.st_ino) if with_times else ()
        found[name] = (status.st_mode, content, times)
    found["references"] = [
        line for line in git(path, "for-each-ref").splitlines() if "refs/signalbox/" not in line
    ]
    return found


def impossible_commit(path: Path) -> str:
    """A commit with a file whose name no disk can hold, after files that it can."""
    blob = git(path, "hash-object", "-w", "readme.md")
    names = ("aa", "readme.md", "z" * 300)
    entries = "".join(f"100644 blob {blob}\t{name}\n" for name in names)
    made = subprocess.run(
        ["git", "mktree"], cwd=path, input=entries, check=True, capture_output=True, text=True
    )
    return git(path, "commit-tree", made.stdout.strip(), "-m", "Impossible")


def files_of(path: Path) -> dict[str, tuple[int, bytes]]:
    """Every file outside of the git directory, with its mode and content."""
    found: dict[str, tuple[int, bytes]] = {}
    for file in sorted(path.rglob("*")):
        name = str(file.relative_to(path))
        if name.split("/", maxsplit=1)[0] == ".git" or (file.is_dir() and not file.is_symlink()):
            continue
        mode = file.lstat().st_mode
        found[name] = (
            mode,
            str(file.readlink()).encode() if file.is_symlink() else file.read_bytes(),
        )
    return found


def references_of(path: Path, prefix: str = "refs/heads/") -> dict[str, str]:
    """The references of a workspace."""
    lines = git(path, "for-each-ref", "--format=%(refname) %(objectname)", prefix).splitlines()
    return dict(line.split(" ") for line in lines)


def show(path: Path, commit: str, names: Sequence[str]) -> list[str]:
    """The content of files in a commit."""
    return [git(path, "show", f"{commit}:{name}") for name in names]
