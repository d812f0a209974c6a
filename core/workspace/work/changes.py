"""The changes in a work tree: shown as a diff, and saved as a commit on a private reference."""

from __future__ import annotations

from pathlib import Path

from core.domain.runs.run import CommitInfo, DiffStat, FileChange
from core.workspace.command import Git
from core.workspace.errors import WorkspaceError
from core.workspace.work.worktree import WorkTree, head_of, open_worktree, workspace_env

MAX_FILES = 1_000
MAX_COMMITS = 200
_MAX_SUBJECT_CHARS = 200
_AUTHOR = {
    "GIT_AUTHOR_NAME": "Signalbox",
    "GIT_AUTHOR_EMAIL": "signalbox@localhost",
    "GIT_COMMITTER_NAME": "Signalbox",
    "GIT_COMMITTER_EMAIL": "signalbox@localhost",
}


def diff(git: Git, path: Path, base: str | None) -> DiffStat:
    """Return the changes since `base`; see `Workspaces.diff`."""
    head = head_of(git, path)
    with open_worktree(git, path) as tree:
        if base is not None and not tree.has_commit(base):
            raise WorkspaceError(
                f"start commit {base[:12]} is gone from {path}",
                user_message="The commit this run started from is gone from the workspace, so "
                "what changed since cannot be told.",
            )
        empty = tree.empty_tree()
        now = tree.write_tree()
        changes = _numstat(tree.run(
            "diff-tree", "-r", "-z", "--numstat", "-M", "-l400", "--no-ext-diff", "--no-textconv",
            base or empty, now,
        ))  # fmt: skip
        uncommitted = tree.run("diff-tree", "-r", "-z", "--name-only", "--no-renames",
                           head or empty, now)  # fmt: skip
        return DiffStat(
            files=_file_changes(changes, set(uncommitted.decode(errors="replace").split("\0"))),
            commits=_list_commits(tree, base, head),
        )


def save(git: Git, path: Path, label: str) -> dict[str, object]:
    """Commit all files that are not ignored on `refs/signalbox/<label>`; see `Workspaces.save`."""
    reference = f"refs/signalbox/{label}"
    git.run("check-ref-format", reference, cwd=path, env=workspace_env(path))
    head = head_of(git, path)
    with open_worktree(git, path) as tree:
        now = tree.write_tree()
        parents = ["-p", head] if head else []
        commit = git.run(
            "commit-tree", now, *parents, "-F", "-",
            cwd=path, env={**tree.env, **_AUTHOR}, stdin=f"Work saved for {label}\n".encode(),
        ).decode().strip()  # fmt: skip
        changes = _numstat(tree.run(
            "diff-tree", "-r", "-z", "--numstat", "--no-renames", "--no-ext-diff", "--no-textconv",
            head or tree.empty_tree(), now,
        ))  # fmt: skip
    git.run("update-ref", "--no-deref", reference, commit, cwd=path, env=workspace_env(path))
    return {
        "ref": reference,
        "commit": commit,
        "head": head,
        "uncommitted_files": len(changes),
        "uncommitted_added": sum(change[2] or 0 for change in changes),
        "uncommitted_removed": sum(change[3] or 0 for change in changes),
    }


def _numstat(output: bytes) -> list[tuple[str, str, int | None, int | None]]:
    """Parse the output of `--numstat -z`.

    Returns:
        Path, path as shown, added and removed lines for each file; no counts for a binary file.
    """
    changes: list[tuple[str, str, int | None, int | None]] = []
    fields = iter(output.decode(errors="replace").split("\0"))
    for line in fields:
        if not line:
            continue
        added, removed, path = line.split("\t", 2)
        display_path = path
        if not path:
            old, path = next(fields), next(fields)
            display_path = f"{old} → {path}"
        changes.append((path, display_path, _parse_count(added), _parse_count(removed)))
    return changes


def _parse_count(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _file_changes(
    changes: list[tuple[str, str, int | None, int | None]], uncommitted: set[str]
) -> tuple[FileChange, ...]:
    """Return at most `MAX_FILES` changes, plus a last one that adds up the rest."""
    files = [
        FileChange(
            path=display_path, added=added, removed=removed, committed=path not in uncommitted
        )
        for path, display_path, added, removed in changes
    ]
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


def _list_commits(tree: WorkTree, base: str | None, head: str | None) -> tuple[CommitInfo, ...]:
    """Return the commits since `base`, oldest first, but only the newest `MAX_COMMITS`."""
    if head is None:
        return ()
    revisions = [head, *([f"^{base}"] if base else [])]
    listed = tree.run(
        "log", "-z", "--format=%H %s", f"--max-count={MAX_COMMITS}", "--no-show-signature",
        "--end-of-options", *revisions,
    )  # fmt: skip
    lines = [line for line in listed.decode(errors="replace").split("\0") if line]
    return tuple(
        CommitInfo(sha=line.partition(" ")[0], subject=line.partition(" ")[2][:_MAX_SUBJECT_CHARS])
        for line in reversed(lines)
    )
