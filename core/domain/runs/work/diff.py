"""What a run changed: files, commits and the branches that have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class FileChange:
    """The lines that a run added to and removed from a file; both `None` for a binary file.

    Attributes:
        branch: The branch with the change, if it is not in the work tree.
    """

    path: str
    added: int | None
    removed: int | None
    committed: bool = True
    branch: str | None = None


@dataclass(frozen=True, kw_only=True)
class CommitInfo:
    """A commit the run made.

    Attributes:
        branch: A branch that has it, the one checked out at the end first; `None` if none has.
    """

    sha: str
    subject: str
    branch: str | None = None


@dataclass(frozen=True, kw_only=True)
class DiffStat:
    """The changes since a run started: its commits on all branches, and its files.

    Attributes:
        files: At most a thousand, and then one entry that adds up the others.
        commits: The commits that the run made, on any branch; at most the newest 200.
        branch: The branch checked out at the end; `None` if HEAD is detached, or unknown.
        omitted_files: How many files the last entry of `files` adds up; 0 if it is a file.
        omitted_commits: How many older commits of the run are not in `commits`.
        merged_commits: Commits of others that came by a merge or a pull.  Their changes do not
            count as the run's.
    """

    files: tuple[FileChange, ...] = ()
    commits: tuple[CommitInfo, ...] = ()
    branch: str | None = None
    omitted_files: int = 0
    omitted_commits: int = 0
    merged_commits: int = 0

    @property
    def file_count(self) -> int:
        """The number of changed files; one that differs on two branches counts for both."""
        return len(self.files) + max(self.omitted_files - 1, 0)

    @property
    def commit_count(self) -> int:
        """The number of commits that the run made."""
        return len(self.commits) + self.omitted_commits

    @property
    def added_lines(self) -> int:
        """The number of added lines in all text files."""
        return sum(change.added or 0 for change in self.files)

    @property
    def removed_lines(self) -> int:
        """The number of removed lines in all text files."""
        return sum(change.removed or 0 for change in self.files)

    @property
    def has_uncommitted(self) -> bool:
        """Whether some change is not committed."""
        return any(not change.committed for change in self.files)


@dataclass(frozen=True, kw_only=True)
class StartState:
    """The state of a repository when a run started, with which its end is compared.

    Attributes:
        commit: The commit checked out; `None` if there was none.
        branches: Full name of each local branch to its commit.
        at: The time; `None` if it is unknown.
        identities: Addresses with which agents commit, besides that of the workspace.
    """

    commit: str | None
    branches: Mapping[str, str] = field(default_factory=dict)
    at: datetime | None = None
    identities: frozenset[str] = frozenset()
