"""What a run changed, by the script's own account of the repository before and after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tests.truth.repository import ChangedFile, Changes, Commit, Repository, Tree, foreign_files


def changes_between(start: Repository, end: Repository) -> Changes:
    """What changed from one state of a repository to a later one."""
    known = _histories([*start.tips.values()])
    new = _histories([*end.tips.values()]) - known
    own = {commit for commit in new if commit.is_own}
    at_head = _histories([end.head] if end.head is not None else []) & new
    base = {**start.committed, **foreign_files(at_head - own)}
    dirty = end.dirty()
    files = {
        ChangedFile(path=shown, added=added, removed=removed, is_committed=name not in dirty)
        for name, shown, added, removed in differing(base, end.files)
    }
    # What a commit changed and the work tree undoes is no difference, but it is not committed.
    files |= {
        ChangedFile(path=name, added=0, removed=0, is_committed=False)
        for name in dirty
        if base.get(name) == end.files.get(name)
    }
    return Changes(
        files=frozenset({*files, *_files_elsewhere(end, own, at_head)}),
        commits={commit.subject: _branches_of(commit, end) for commit in own},
        merged=len(new - own),
        branch=end.branch,
    )


def differing(old: Tree, new: Tree) -> Iterator[tuple[str, str, int | None, int | None]]:
    """The files that differ: name, shown name, added and removed lines."""
    gone = {content: name for name, content in old.items() if name not in new}
    for name, content in new.items():
        before = old.get(name)
        if before is None and content in gone:
            yield name, f"{gone.pop(content)} → {name}", 0, 0
        elif content.is_binary and content != before:
            yield name, name, None, None
        elif content != before:
            removed = 0 if before is None else before.lines_beside(content)
            yield name, name, content.lines_beside(before), removed
    for content, name in gone.items():
        if content.is_binary:
            yield name, name, None, None
        else:
            yield name, name, 0, content.lines


def _files_elsewhere(
    end: Repository, own: set[Commit], at_head: set[Commit]
) -> Iterator[ChangedFile]:
    """The files of own commits that the branch checked out does not have."""
    counted = set(at_head)
    for branch, tip in sorted(end.tips.items()):
        there = _histories([tip])
        if not (there & own) - counted:
            continue
        stands_on: Commit | None = tip
        while stands_on is not None and stands_on in own and stands_on not in counted:
            stands_on = stands_on.parents[0] if stands_on.parents else None
        before = _histories([stands_on] if stands_on is not None else [])
        base = {} if stands_on is None else dict(stands_on.tree)
        base |= foreign_files({one for one in there - before if not one.is_own})
        for _name, shown, added, removed in differing(base, tip.tree):
            yield ChangedFile(
                path=shown, added=added, removed=removed, is_committed=True, branch=branch
            )
        counted |= there


def _branches_of(commit: Commit, end: Repository) -> frozenset[str]:
    """The branches that have a commit; only the one checked out, if that is among them."""
    found = {name for name, tip in end.tips.items() if commit in _histories([tip])}
    return frozenset({end.branch} if end.branch in found else found)


def _histories(tips: Iterable[Commit]) -> set[Commit]:
    return {commit for tip in tips for commit in tip.history()}
