"""Going back to a checkpoint in a workspace that is on this disk.

First the present state goes onto private references; then the files, and last HEAD and the index,
become those of the checkpoint.  If anything fails, all of it is put back.  Nothing may be working
in the workspace.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.domain.runs.work.carried_work import Bundle
from core.workspace.checkpoints.errors import CheckpointGone, RestoreFailed, RestoreRefused
from core.workspace.checkpoints.git_state import GitState
from core.workspace.checkpoints.index import prepare_index
from core.workspace.checkpoints.planning import (
    FilePlan,
    find_ignored_then,
    find_in_the_way,
    plan_files,
)
from core.workspace.checkpoints.taking import commit_tree
from core.workspace.command import Git
from core.workspace.errors import GitFailed, WorkspaceError
from core.workspace.locks import remove_stale_locks
from core.workspace.work.references import HEADS
from core.workspace.work.restore import Repository, UnusableBundle, import_objects
from core.workspace.work.worktree import WorkTree, open_worktree, require_usable, workspace_env

log = logging.getLogger(__name__)

# Private references with what a restore replaces.
BEFORE_PREFIX = "refs/signalbox/before/"
_PLAIN_LABEL = re.compile(r"[A-Za-z0-9_-]{1,100}")
# What must stay free on the disk.
_SPARE_BYTES = 50_000_000


@dataclass(frozen=True, kw_only=True)
class RestoredFiles:
    """What going back to a checkpoint has done.

    Attributes:
        safety_ref: The private reference with the files as they were before; its parent is the
            commit that was checked out.
        kept_refs: The private references with commits that no branch has any more, by the full
            name of the branch that had them.
        written: How many files were written.
        removed: How many files were removed; the safety reference has them.
        left: The files that the checkpoint does not have, and that stay because its rules ignore
            them.
    """

    safety_ref: str
    kept_refs: Mapping[str, str] = field(default_factory=dict)
    written: int = 0
    removed: int = 0
    left: tuple[str, ...] = ()


def restore_here(
    git: Git,
    path: Path,
    target: Bundle,
    *,
    earlier: Sequence[bytes] | None,
    label: str,
    files_only: bool,
) -> RestoredFiles:
    """Go back to a checkpoint.

    Args:
        git: Runs the commands.
        path: The workspace.
        target: The checkpoint (`Checkpoint.to_bundle`), with its own objects or without.
        earlier: The bundles on which it stands, in the order to unpack them; `None` if the
            database does not have all objects, so that the workspace must.
        label: Names the private references; each restore has its own.
        files_only: Whether HEAD, branches and index stay as they are.

    Raises:
        CheckpointGone: If its objects are nowhere.
        RestoreRefused: If something would be lost.
        RestoreFailed: If it failed; whether all was put back, the error says.
        WorkspaceError: If the workspace cannot be read.
    """
    if not _PLAIN_LABEL.fullmatch(label):
        raise ValueError(f"{label!r} cannot name a reference")
    remove_stale_locks(path / ".git")
    require_usable(git, path)
    commit = target.newest_commit
    state = GitState.read(git, path, label)
    try:
        with open_worktree(git, path, known_id=commit) as tree:
            return _restore(tree, state, target, earlier, files_only=files_only)
    finally:
        state.forget()


def _restore(
    tree: WorkTree,
    state: GitState,
    target: Bundle,
    earlier: Sequence[bytes] | None,
    *,
    files_only: bool,
) -> RestoredFiles:
    commit = target.newest_commit
    require_objects(tree, target, earlier)
    prepare_index(tree)
    now = tree.write_tree()
    plan = plan_files(tree, now, commit)
    now, plan = _save_in_the_way(tree, now, plan, commit)
    _require_readable(tree, plan)
    _require_space(tree, plan, commit)
    left = find_ignored_then(tree, plan, commit)
    safety_ref, kept_refs = _keep_present(tree, state, now, target, files_only=files_only)
    try:
        _write_files(tree, commit, left)
        if not files_only:
            state.go_to(target, tree)
    except (WorkspaceError, OSError) as error:
        is_undone = _undo(tree, state, now, plan, None if files_only else target)
        raise RestoreFailed(error, is_undone=is_undone, safety_ref=safety_ref) from error
    return RestoredFiles(
        safety_ref=safety_ref,
        kept_refs=kept_refs,
        written=len(plan.written),
        removed=len(plan.removed - left),
        left=tuple(sorted(path.decode(errors="replace") for path in left)),
    )


def require_objects(tree: WorkTree, target: Bundle, earlier: Sequence[bytes] | None) -> None:
    """Make sure that the workspace has every object of a checkpoint.

    Raises:
        CheckpointGone: If objects are missing, here and in the database.
    """
    commit = target.newest_commit
    if not _is_complete(tree, target):
        if earlier is None:
            raise CheckpointGone(commit, "not in the workspace, and not stored")
        repo = Repository(tree.git, tree.path, tree.env)
        try:
            import_objects(repo, target, None, earlier=earlier)
        except (UnusableBundle, GitFailed) as error:
            raise CheckpointGone(commit, str(error)) from error
        if not _is_complete(tree, target):
            raise CheckpointGone(commit, "its stored objects are not complete")


def _is_complete(tree: WorkTree, target: Bundle) -> bool:
    heads = [target.newest_commit, *([target.head_commit] if target.head_commit else [])]
    if not all(tree.has_commit(commit) for commit in heads):
        return False
    try:
        # Without the history: files and folders of this commit alone.
        tree.run("rev-list", "--objects", "--quiet", "--no-walk", target.newest_commit)
    except GitFailed as error:
        if error.status is None or error.status < 0:
            raise
        return False
    return True


def _save_in_the_way(tree: WorkTree, now: str, plan: FilePlan, commit: str) -> tuple[str, FilePlan]:
    """Take the ignored files that would be replaced into the present state."""
    in_the_way = find_in_the_way(tree, plan)
    if not in_the_way:
        return now, plan
    stdin = b"".join(path + b"\0" for path in sorted(in_the_way))
    tree.run("update-index", "-z", "--add", "--stdin", stdin=stdin)
    now = tree.run("write-tree").decode().strip()
    return now, plan_files(tree, now, commit)


def _require_readable(tree: WorkTree, plan: FilePlan) -> None:
    """Check that what goes is saved: git leaves out a file that it cannot read."""
    changed = set(
        tree.run("diff-files", "-z", "--name-only", "--ignore-submodules=all").split(b"\0")
    )
    lost = sorted(changed & (plan.written | plan.removed))
    if lost:
        name = lost[0].decode(errors="replace")
        raise RestoreRefused(
            f"{name} cannot be read",
            user_message=f"`{name}` in the workspace cannot be read or is being changed, so it "
            "cannot be saved first. Nothing was changed.",
            path=name,
        )


def _require_space(tree: WorkTree, plan: FilePlan, commit: str) -> None:
    """Check that the disk has room for the files to be written."""
    if not plan.written:
        return
    paths = sorted(plan.written)
    stdin = b"".join(commit.encode() + b":" + path + b"\n" for path in paths if b"\n" not in path)
    sizes = tree.run("cat-file", "--batch-check=%(objectsize)", stdin=stdin).split(b"\n")
    needed = sum(int(size) for size in sizes if size.isdigit())
    disk = os.statvfs(tree.path)
    if needed + _SPARE_BYTES > disk.f_bavail * disk.f_frsize:
        raise RestoreRefused(
            f"{needed} bytes to write, {disk.f_bavail * disk.f_frsize} free",
            user_message="The disk of the worker has too little room for the files of the "
            "checkpoint. Free some space there, then try again. Nothing was changed.",
        )


def _keep_present(
    tree: WorkTree, state: GitState, now: str, target: Bundle, *, files_only: bool
) -> tuple[str, dict[str, str]]:
    """Put the present files, index and commits onto private references."""
    prefix = f"{BEFORE_PREFIX}{state.folder.name}"
    parents = [state.head] if state.head else []
    references = {
        f"{prefix}/files": commit_tree(tree, now, parents, "Before going back to a checkpoint")
    }
    staged = _staged_tree(tree, state)
    if staged is not None and staged != now:
        references[f"{prefix}/index"] = commit_tree(tree, staged, parents, "The index before")
    kept: dict[str, str] = {}
    tip = state.tip_of(target.branch) if target.branch is not None else None
    if not files_only and target.branch is not None and tip is not None:
        newer = tree.run("rev-list", "--max-count=1", tip,
                         *([f"^{target.head_commit}"] if target.head_commit else []))  # fmt: skip
        if newer.strip():
            name = f"{HEADS}{target.branch}"
            kept[name] = f"{prefix}/commits"
            references[kept[name]] = tip
    lines = "".join(f"update {name} {commit}\n" for name, commit in references.items())
    tree.git.run("update-ref", "--no-deref", "--stdin", cwd=tree.path,
                 env=workspace_env(tree.path), stdin=lines.encode())  # fmt: skip
    return f"{prefix}/files", kept


def _staged_tree(tree: WorkTree, state: GitState) -> str | None:
    """The tree of the agent's index; `None` if there is none, or if it has conflicts."""
    kept = state.folder / "index"
    if not kept.exists():
        return None
    # Git writes what it computes into the index.
    copy = Path(tree.env["GIT_DIR"]) / "staged-index"
    shutil.copy2(kept, copy)
    try:
        env = {**tree.env, "GIT_INDEX_FILE": str(copy)}
        written = tree.git.run("write-tree", cwd=tree.path, env=env)
    except GitFailed as error:
        if error.is_disk_error or error.status is None or error.status < 0:
            raise
        return None
    return written.decode().strip()


def _write_files(tree: WorkTree, commit: str, left: set[bytes]) -> None:
    """Make the files those of a checkpoint; the private index has the present ones."""
    if left:
        stdin = b"".join(path + b"\0" for path in sorted(left))
        tree.run("update-index", "-z", "--force-remove", "--stdin", stdin=stdin)
    tree.run("read-tree", "--reset", "-u", commit)


def _undo(tree: WorkTree, state: GitState, now: str, plan: FilePlan, target: Bundle | None) -> bool:
    """Put everything back as it was; return whether that succeeded.

    Args:
        tree: The work tree.
        state: The state of git before.
        now: The tree of the files before.
        plan: What was to be changed.
        target: The checkpoint; `None` if git's state was not to be changed.
    """
    try:
        if target is not None:
            state.put_back(target)
        # Git removes only files that the index has, and writes only those that differ.
        tree.run("read-tree", "--reset", now)
        if plan.added:
            lines = b"".join(entry + b"\0" for entry in plan.added.values())
            tree.run("update-index", "-z", "--replace", "--index-info", stdin=lines)
        tree.run("update-index", "-q", "--refresh", accept=(0, 1))
        tree.run("read-tree", "--reset", "-u", now)
    except (WorkspaceError, OSError):
        log.exception(
            "workspace %s could not be put back",
            tree.path.name,
            extra={"event": "workspace_restore.undo_failed", "workspace_id": tree.path.name},
        )
        return False
    return True
