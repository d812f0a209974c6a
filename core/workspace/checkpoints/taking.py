"""Taking a checkpoint of a workspace, without changing anything that the agent sees."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.domain.runs.checkpoint import CheckpointDiff
from core.workspace.checkpoints.index import prepare_index
from core.workspace.command import Git
from core.workspace.work.carry import START_REF, bundle_size, write_bundle
from core.workspace.work.changes import AUTHOR
from core.workspace.work.comparison import compare
from core.workspace.work.references import start_state
from core.workspace.work.worktree import WorkTree, branch_of, open_worktree, workspace_env


@dataclass(frozen=True, kw_only=True)
class TakenFiles:
    """The state of a workspace at a checkpoint; the fields are explained at `Checkpoint`.

    Attributes:
        tree: The tree of `commit`.
        start: The commit at which the run started, with which `diff` compares.
        is_new: Whether anything differs from the checkpoint before.
    """

    commit: str
    tree: str
    head_commit: str | None
    branch: str | None
    references: Mapping[str, str] = field(default_factory=dict)
    start: str | None = None
    diff: CheckpointDiff | None = None
    is_new: bool = True

    @property
    def commits(self) -> list[str]:
        """All commits of the checkpoint, each once."""
        heads = [self.commit, *([self.head_commit] if self.head_commit else [])]
        return sorted({*heads, *self.references.values()})


def take(
    git: Git,
    path: Path,
    *,
    start: str | None,
    previous: TakenFiles | None,
    max_bytes: int | None,
) -> TakenFiles:
    """Commit all files that are not ignored, on no reference yet.

    Args:
        git: Runs the commands.
        path: The workspace.
        start: The commit at which the run started.
        previous: The checkpoint before, if it was taken in this workspace.  If nothing has
            changed, its commit is used again.
        max_bytes: The most that changed and new files may have together.

    Raises:
        CheckpointTooLarge: If they have more.
        WorkspaceError: If the repository is gone or damaged.
    """
    head, references = start_state(git, path)
    branch = branch_of(git, path)
    with open_worktree(git, path, known_id=head) as tree:
        prepare_index(tree, max_bytes=max_bytes)
        now = tree.write_tree()
        references = tree.existing(references | ({START_REF: start} if start else {}))
        found = TakenFiles(
            commit="",
            tree=now,
            head_commit=head,
            branch=branch,
            references=references,
            start=start,
        )
        if previous is not None and _is_same(found, previous):
            return replace(previous, is_new=False)
        commit = commit_tree(tree, now, [head] if head else [], "Checkpoint")
        is_start_known = start is None or START_REF in references
        return replace(
            found, commit=commit, diff=_diff(tree, start, now) if is_start_known else None
        )


def keep(git: Git, path: Path, taken: TakenFiles, reference: str) -> None:
    """Keep the objects of a checkpoint on a private reference."""
    git.run("update-ref", "--no-deref", reference, taken.commit,
            cwd=path, env=workspace_env(path))  # fmt: skip


def pack(
    git: Git,
    path: Path,
    taken: TakenFiles,
    *,
    known: Collection[str],
    max_bytes: int,
) -> bytes:
    """Bundle what is not known yet; empty if that is nothing.

    Args:
        git: Runs the commands.
        path: The workspace.
        taken: The checkpoint.
        known: The commits that are left out, with all that they have.
        max_bytes: The largest bundle to return.

    Raises:
        BundleTooLarge: If the bundle would be larger than `max_bytes`.
        WorkspaceError: If the repository is gone or damaged.
    """
    with open_worktree(git, path, known_id=taken.commit) as tree:
        known = sorted(set(tree.existing({commit: commit for commit in known})))
        wanted = [commit for commit in taken.commits if commit not in known]
        if not wanted or bundle_size(tree, wanted, known, max_bytes=max_bytes) == 0:
            return b""
        return write_bundle(tree, wanted, known, max_bytes)


def prune(git: Git, path: Path, prefix: str, keep: frozenset[str]) -> int:
    """Delete the private references below a prefix that are not among those to keep.

    Returns:
        How many were deleted.
    """
    env = workspace_env(path)
    listed = git.run("for-each-ref", "--format=%(refname)", prefix, cwd=path, env=env)
    names = [name for name in listed.decode(errors="replace").splitlines() if name not in keep]
    if names:
        stdin = "".join(f"delete {name}\n" for name in names).encode()
        git.run("update-ref", "--no-deref", "--stdin", cwd=path, env=env, stdin=stdin)
    return len(names)


def commit_tree(tree: WorkTree, now: str, parents: list[str], message: str) -> str:
    """Commit a tree on no reference."""
    options = [part for parent in parents for part in ("-p", parent)]
    return (
        tree.git.run(
            "commit-tree", now, *options, "-F", "-",
            cwd=tree.path, env={**tree.env, **AUTHOR}, stdin=f"{message}\n".encode(),
        ).decode().strip()
    )  # fmt: skip


def _is_same(found: TakenFiles, previous: TakenFiles) -> bool:
    return found == replace(previous, commit="", diff=None, is_new=True)


def _diff(tree: WorkTree, start: str | None, now: str) -> CheckpointDiff:
    changes = compare(tree, start, now, finds_renames=False)
    return CheckpointDiff(
        files=len(changes),
        added=sum(change.added or 0 for change in changes),
        removed=sum(change.removed or 0 for change in changes),
    )
