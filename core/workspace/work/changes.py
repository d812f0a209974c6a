"""The changes in a work tree: shown as a diff, and saved as a commit on a private reference."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.domain.runs.work.diff import DiffStat, FileChange, StartState
from core.domain.runs.work.patch import WorkPatch
from core.workspace.command import Git
from core.workspace.errors import WorkspaceError
from core.workspace.work.commits import find_commits
from core.workspace.work.comparison import base_of_head, changes_elsewhere, compare
from core.workspace.work.patches import patch_of
from core.workspace.work.worktree import (
    WorkTree,
    branch_of,
    head_of,
    open_worktree,
    workspace_env,
)

MAX_FILES = 1_000
_PLAIN_LABEL = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
AUTHOR = {
    "GIT_AUTHOR_NAME": "Signalbox",
    "GIT_AUTHOR_EMAIL": "signalbox@localhost",
    "GIT_COMMITTER_NAME": "Signalbox",
    "GIT_COMMITTER_EMAIL": "signalbox@localhost",
}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a run changed.

    Attributes:
        patch: The changed lines of the work tree; `None` if they cannot be told.
    """

    diff: DiffStat
    patch: WorkPatch | None


def measure(
    git: Git, path: Path, start: StartState, saved: Mapping[str, object] | None = None
) -> Measured:
    """Return the changes since the start; see `Workspaces.measure`."""
    head, saved_tree = _saved(saved) or (head_of(git, path), None)
    branch = branch_of(git, path)
    with open_worktree(git, path, known_id=head or saved_tree) as tree:
        if start.commit is not None and not tree.has_commit(start.commit):
            raise WorkspaceError(
                f"start commit {start.commit[:12]} is gone from {path}",
                user_message="The commit this run started from is gone from the workspace, so "
                "what changed since cannot be told.",
            )
        commits = find_commits(git, tree, start, head=head, branch=branch)
        now = saved_tree if saved_tree is not None else tree.write_tree()
        base = base_of_head(tree, commits, start)
        changes = compare(tree, base, now)
        uncommitted, undone = {one.path for one in changes}, set[str]()
        if base != head:
            from_head = _differing(tree, head, now)
            uncommitted &= from_head
            undone = from_head - _differing(tree, base, now) if from_head else undone
        files = [
            FileChange(
                path=one.shown,
                added=one.added,
                removed=one.removed,
                committed=one.path not in uncommitted,
            )
            for one in changes
        ]
        # The same as at the start, and not as in the commit checked out: a commit of the run was
        # undone, and that is not committed.
        files += [
            FileChange(path=path, added=0, removed=0, committed=False) for path in sorted(undone)
        ]
        for name, others in changes_elsewhere(tree, commits):
            files += [
                FileChange(path=one.shown, added=one.added, removed=one.removed, branch=name)
                for one in others
            ]
        infos = commits.infos()
        stat = DiffStat(
            files=_bounded(files),
            commits=infos,
            branch=branch,
            omitted_files=max(len(files) - MAX_FILES, 0),
            omitted_commits=len(commits.own) - len(infos),
            merged_commits=commits.merged_count,
        )
        return Measured(diff=stat, patch=patch_of(tree, base, now))


def save(
    git: Git, path: Path, label: str, *, only_if_uncommitted: bool = False
) -> dict[str, object]:
    """Commit all files that are not ignored on `refs/signalbox/<label>`; see `Workspaces.save`."""
    reference = f"refs/signalbox/{label}"
    if not _PLAIN_LABEL.fullmatch(label):
        git.run("check-ref-format", reference, cwd=path, env=workspace_env(path))
    head = head_of(git, path)
    with open_worktree(git, path, known_id=head) as tree:
        now = tree.write_tree()
        if only_if_uncommitted and now == (tree.tree_of(head) if head else tree.empty_tree):
            return {"head": head, "tree": now, "uncommitted_files": 0}
        parents = ["-p", head] if head else []
        commit = git.run(
            "commit-tree", now, *parents, "-F", "-",
            cwd=path, env={**tree.env, **AUTHOR}, stdin=f"Work saved for {label}\n".encode(),
        ).decode().strip()  # fmt: skip
        changes = compare(tree, head, now, finds_renames=False)
    git.run("update-ref", "--no-deref", reference, commit, cwd=path, env=workspace_env(path))
    return {
        "ref": reference,
        "commit": commit,
        "head": head,
        "tree": now,
        "uncommitted_files": len(changes),
        "uncommitted_added": sum(change.added or 0 for change in changes),
        "uncommitted_removed": sum(change.removed or 0 for change in changes),
    }


def _saved(saved: Mapping[str, object] | None) -> tuple[str | None, str] | None:
    """The commit checked out and the tree of a result of `save`; `None` without a tree."""
    values = saved or {}
    head, tree = values.get("head"), values.get("tree")
    return (str(head) if head else None, str(tree)) if tree else None


def _differing(tree: WorkTree, old: str | None, now: str) -> set[str]:
    """The paths that differ from a commit; `None` is the empty tree."""
    listed = tree.run("diff-tree", "-r", "-z", "--name-only", "--no-renames",
                      old or tree.empty_tree, now)  # fmt: skip
    return set(listed.decode(errors="replace").split("\0")) - {""}


def _bounded(files: list[FileChange]) -> tuple[FileChange, ...]:
    """Return at most `MAX_FILES` changes, plus a last one that adds up the rest."""
    omitted = files[MAX_FILES:]
    if not omitted:
        return tuple(files)
    omitted_line = FileChange(
        path=f"… and {len(omitted):,} more files",
        added=sum(change.added or 0 for change in omitted),
        removed=sum(change.removed or 0 for change in omitted),
        committed=all(change.committed for change in omitted),
    )
    return (*files[:MAX_FILES], omitted_line)
