"""What to compare a run's work with, so that only its own changes count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from core.domain.runs.work.diff import StartState
from core.workspace.errors import GitFailed
from core.workspace.work.commits import Commits
from core.workspace.work.worktree import WorkTree

# More merges of others than that are compared with the last of these.
_MAX_MERGES = 20
# More branches than that are named with their commits, but without their files.
_MAX_BRANCHES = 20
_AUTHOR = {
    f"GIT_{role}_{name}": value
    for role in ("AUTHOR", "COMMITTER")
    for name, value in (("NAME", "Signalbox"), ("EMAIL", "signalbox@localhost"))
}


@dataclass(frozen=True, kw_only=True)
class Change:
    """A file that differs.

    Attributes:
        path: Its path; for a renamed file the new one.
        shown: Its path as shown to people.
        added: Added lines; `None` for a binary file.
        removed: Removed lines; `None` for a binary file.
    """

    path: str
    shown: str
    added: int | None
    removed: int | None


def compare(
    tree: WorkTree, old: str | None, new: str, *, finds_renames: bool = True
) -> list[Change]:
    """List the files that differ between two commits or trees; `None` is the empty tree."""
    if new == (old or tree.empty_tree):
        return []
    renames = ("-M", "-l400") if finds_renames else ("--no-renames",)
    return _numstat(
        tree.run(
            "diff-tree", "-r", "-z", "--numstat", *renames, "--no-ext-diff", "--no-textconv",
            old or tree.empty_tree, new,
            settings={"core.bigFileThreshold": "32m"},
        )
    )  # fmt: skip


def base_of_head(tree: WorkTree, commits: Commits, start: StartState) -> str | None:
    """The commit or tree with which the work tree is compared.

    It is the commit at which the run started, also after a reset to an older one; or the commit of
    others to which the run moved by a checkout or a pull; with what its merges brought in.
    """
    base = start.commit
    if commits.head is not None:
        stands_on = commits.base_of(commits.head)
        if stands_on is not None and not (base and _is_ancestor(tree, stands_on, base)):
            base = stands_on
        return _with_merges(tree, base, commits, commits.head)
    return base


def changes_elsewhere(
    tree: WorkTree, commits: Commits
) -> Iterator[tuple[str | None, list[Change]]]:
    """The changes of own commits that HEAD does not have, for each branch that has some."""
    head = commits.head
    counted = set() if head is None else {one.sha for one in commits.reachable(head)}
    elsewhere = {name: None for sha, name in commits.branch_of.items() if sha not in counted}
    for name in list(elsewhere)[:_MAX_BRANCHES]:
        tips = commits.loose_tips if name is None else (commits.tips[name],)
        for tip in tips:
            base = _with_merges(tree, commits.base_of(tip), commits, tip)
            # Commits that HEAD or an earlier branch has count there.
            first = _first_shared(commits, tip, counted)
            changes = compare(tree, first or base, tip)
            counted |= {one.sha for one in commits.reachable(tip)}
            if changes:
                yield name, changes


def _first_shared(commits: Commits, tip: str, counted: set[str]) -> str | None:
    """The newest commit of a first-parent line that counts already."""
    while tip in commits.own:
        if tip in counted:
            return tip
        parents = commits.by_sha[tip].parents
        if not parents:
            return None
        tip = parents[0]
    return None


def _with_merges(tree: WorkTree, base: str | None, commits: Commits, tip: str) -> str | None:
    """The base together with the commits of others that own merges brought in."""
    for other in commits.merged_into(tip)[:_MAX_MERGES]:
        if base is None:
            base = other
        elif not _is_ancestor(tree, other, base):
            base = _merge(tree, base, other)
    return base


def _merge(tree: WorkTree, base: str, other: str) -> str:
    """A commit with both; `base` if git cannot merge them.  Conflicts stay in the files."""
    try:
        merged = tree.run("merge-tree", "--write-tree", "--no-messages", base, other,
                          accept=(0, 1))  # fmt: skip
        return (
            tree.git.run(
                "commit-tree", merged.split(b"\n")[0].decode(), "-p", base, "-p", other, "-m", "-",
                cwd=tree.path, env={**tree.env, **_AUTHOR},
            ).decode().strip()
        )  # fmt: skip
    except GitFailed as error:
        # Histories without a common commit, or a git older than 2.38.
        if error.status is None or error.status < 0 or error.is_disk_error:
            raise
        return base


def _is_ancestor(tree: WorkTree, older: str, newer: str) -> bool:
    found = tree.run("rev-list", "--max-count=1", older, f"^{newer}")
    return not found.strip()


def _numstat(output: bytes) -> list[Change]:
    """Parse the output of `--numstat -z`."""
    changes: list[Change] = []
    fields = iter(output.decode(errors="replace").split("\0"))
    for line in fields:
        if not line:
            continue
        added, removed, path = line.split("\t", 2)
        shown = path
        if not path:
            old, path = next(fields), next(fields)
            shown = f"{old} → {path}"
        changes.append(
            Change(path=path, shown=shown, added=_parse_count(added), removed=_parse_count(removed))
        )
    return changes


def _parse_count(text: str) -> int | None:
    return int(text) if text.isdecimal() else None
