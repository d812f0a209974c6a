"""What going back to a checkpoint would discard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.domain.runs.work.carried_work import Bundle
from core.domain.runs.work.diff import CommitInfo, FileChange
from core.workspace.checkpoints.index import prepare_index
from core.workspace.checkpoints.restoring import require_objects
from core.workspace.command import Git
from core.workspace.work.comparison import compare
from core.workspace.work.references import HEADS, start_state
from core.workspace.work.worktree import WorkTree, open_worktree, require_usable

_MAX_FILES = 1_000
_MAX_COMMITS = 200


@dataclass(frozen=True, kw_only=True)
class RestorePreview:
    """What going back to a checkpoint would discard.

    Attributes:
        files: The files that would change, with the lines that were added and removed since the
            checkpoint; at most a thousand.
        commits: The commits made since then, newest first, which a private reference keeps; at
            most 200.
        omitted_files: How many further files would change.
        omitted_commits: How many further commits there are.
    """

    files: tuple[FileChange, ...] = ()
    commits: tuple[CommitInfo, ...] = ()
    omitted_files: int = 0
    omitted_commits: int = 0


def preview(
    git: Git, path: Path, target: Bundle, *, earlier: Sequence[bytes] | None
) -> RestorePreview:
    """Compare a workspace with a checkpoint.  Nothing that the agent sees is changed.

    Args:
        git: Runs the commands.
        path: The workspace.
        target: The checkpoint, as `restore_here` takes it.
        earlier: The bundles on which it stands; `None` if the database does not have all objects.

    Raises:
        CheckpointGone: If the checkpoint's objects are nowhere.
        WorkspaceError: If the workspace cannot be read.
    """
    require_usable(git, path)
    head, branches = start_state(git, path)
    with open_worktree(git, path, known_id=target.newest_commit) as tree:
        require_objects(tree, target, earlier)
        prepare_index(tree)
        changes = compare(tree, target.newest_commit, tree.write_tree())
        tip = None if target.branch is None else branches.get(f"{HEADS}{target.branch}")
        tips = sorted({commit for commit in (head, tip) if commit is not None})
        commits = _commits_since(tree, tips, target.head_commit)
    files = [FileChange(path=one.shown, added=one.added, removed=one.removed) for one in changes]
    return RestorePreview(
        files=tuple(files[:_MAX_FILES]),
        commits=tuple(commits[:_MAX_COMMITS]),
        omitted_files=max(len(files) - _MAX_FILES, 0),
        omitted_commits=max(len(commits) - _MAX_COMMITS, 0),
    )


def _commits_since(tree: WorkTree, tips: list[str], since: str | None) -> list[CommitInfo]:
    if not tips:
        return []
    revisions = [*tips, *([f"^{since}"] if since is not None else [])]
    listed = tree.run("log", "-z", "--format=%H %s", "--no-show-signature", *revisions, "--")
    lines = [line for line in listed.decode(errors="replace").split("\0") if line]
    return [CommitInfo(sha=sha, subject=subject)
            for sha, _, subject in (line.partition(" ") for line in lines)]  # fmt: skip
