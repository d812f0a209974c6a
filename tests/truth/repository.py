"""The repository of a session as the script knows it: kept by bookkeeping, never read from git.

Each line of each file is another number, so the lines that a change adds and removes are counted
without comparing texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

# The branch that Signalbox makes for a run; only the run knows its name.
RUN_BRANCH = "{run}"
# The branch of a workspace without a repository.
FIRST_BRANCH = "main"


@dataclass(frozen=True)
class Content:
    """A file: the lines `first` to `stop - 1`, each a number; a binary file has no lines."""

    first: int
    stop: int
    is_binary: bool = False

    @property
    def lines(self) -> int:
        """The number of lines."""
        return self.stop - self.first

    def lines_beside(self, other: Content | None) -> int:
        """The number of its lines that another content does not have."""
        if other is None:
            return self.lines
        return self.lines - max(min(self.stop, other.stop) - max(self.first, other.first), 0)


Tree = Mapping[str, Content]


@dataclass(frozen=True, eq=False, kw_only=True)
class Commit:
    """A commit of the agent or of others; each is equal to itself only."""

    subject: str
    tree: Tree
    parents: tuple[Commit, ...] = ()
    is_own: bool = True

    def history(self) -> Iterator[Commit]:
        """The commit and all before it, each once."""
        seen, waiting = {self}, [self]
        while waiting:
            commit = waiting.pop()
            yield commit
            waiting += [parent for parent in commit.parents if parent not in seen]
            seen.update(commit.parents)


@dataclass(frozen=True, kw_only=True)
class ChangedFile:
    """A file that a run changed; no counts of a binary one.

    Attributes:
        branch: The branch with the change, if it is not in the work tree.
    """

    path: str
    added: int | None
    removed: int | None
    is_committed: bool
    branch: str | None = None


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What a run changed.

    Attributes:
        commits: Subject to the names of the branches that may be named for it.
        merged: The number of commits of others.
    """

    files: frozenset[ChangedFile] = frozenset()
    commits: Mapping[str, frozenset[str]] = field(default_factory=dict)
    merged: int = 0
    branch: str = RUN_BRANCH

    @property
    def added(self) -> int:
        """All added lines."""
        return sum(file.added or 0 for file in self.files)

    @property
    def removed(self) -> int:
        """All removed lines."""
        return sum(file.removed or 0 for file in self.files)

    @property
    def uncommitted(self) -> int:
        """The number of files with a change that is not committed."""
        return sum(not file.is_committed for file in self.files)


@dataclass
class Repository:
    """The state of a session's workspace.

    Attributes:
        branch: The branch checked out.
        tips: Each branch to its commit; a branch without one is missing.
        files: The work tree.
        offered: The branches of the repository itself.
    """

    branch: str = FIRST_BRANCH
    tips: dict[str, Commit] = field(default_factory=dict)
    files: dict[str, Content] = field(default_factory=dict)
    offered: Mapping[str, Commit] = field(default_factory=dict)

    @property
    def head(self) -> Commit | None:
        """The commit checked out."""
        return self.tips.get(self.branch)

    @property
    def committed(self) -> Tree:
        """The files of the commit checked out."""
        return self.head.tree if self.head is not None else {}

    def copy(self) -> Repository:
        """The present state, which later work leaves alone."""
        return Repository(self.branch, dict(self.tips), dict(self.files), self.offered)

    def dirty(self) -> set[str]:
        """The files that differ from the commit checked out."""
        names = {*self.files, *self.committed}
        return {name for name in names if self.files.get(name) != self.committed.get(name)}

    def has_new_commits(self, begin: Repository) -> bool:
        """Whether some branch has a commit that none had at the beginning."""
        return not set(self.tips.values()) <= set(begin.tips.values())

    def lose_disk(self, begin: Repository) -> None:
        """The workspace is rebuilt elsewhere, from the commits alone.

        Without a new commit nothing is stored, so it is as at the beginning.
        """
        if not self.has_new_commits(begin):
            self.branch, self.tips = begin.branch, dict(begin.tips)
        self.files = dict(self.committed)

    def commit(self, subject: str, names: Iterable[str], *, amends: bool = False) -> None:
        """Commit some files as they are; amending replaces the commit checked out."""
        tree = dict(self.committed)
        for name in names:
            tree.pop(name, None)
            if name in self.files:
                tree[name] = self.files[name]
        parents: tuple[Commit, ...] = () if self.head is None else (self.head,)
        if amends and self.head is not None:
            parents = self.head.parents
        self.tips[self.branch] = Commit(subject=subject, tree=tree, parents=parents)

    def switch(self, branch: str, *, is_new: bool) -> None:
        """Check out a branch; what is not committed stays."""
        before, dirty = self.head, self.dirty()
        if is_new and before is not None:
            self.tips[branch] = before
        kept = {name: self.files.get(name) for name in dirty}
        self.branch = branch
        self.files = dict(self.committed)
        for name, content in kept.items():
            self.files.pop(name, None)
            if content is not None:
                self.files[name] = content

    def rename(self, name: str) -> None:
        """Rename the branch checked out."""
        if self.branch in self.tips:
            self.tips[name] = self.tips.pop(self.branch)
        self.branch = name

    def merge(self, branch: str, subject: str | None) -> None:
        """Merge a branch of the repository; without a subject the branch only moves forward."""
        theirs, ours = self.offered[branch], self.head
        if ours is None:
            raise ValueError("nothing to merge into")
        brought = foreign_files(set(theirs.history()) - set(ours.history()))
        if subject is None:
            self.tips[self.branch] = theirs
        else:
            tree = {**ours.tree, **brought}
            self.tips[self.branch] = Commit(subject=subject, tree=tree, parents=(ours, theirs))
        self.files |= brought


def foreign_files(commits: Iterable[Commit]) -> dict[str, Content]:
    """The files that commits of others brought, as the newest of them has each."""
    brought: dict[str, Content] = {}
    for commit in sorted(commits, key=lambda one: sum(1 for _ in one.history())):
        before = commit.parents[0].tree if commit.parents else {}
        if not commit.is_own:
            brought |= {
                name: content for name, content in commit.tree.items()
                if before.get(name) != content
            }  # fmt: skip
    return brought


def named(branch: str | None, run_branch: str) -> str | None:
    """The full name of a branch; the one of the run is called `run_branch`."""
    return run_branch if branch == RUN_BRANCH else branch
