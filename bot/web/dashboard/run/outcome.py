"""What came out of a run: its changes, its tests, and why it needs a look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.words import counts
from bot.words.markup import PLAIN
from bot.words.repository_pages import commit_page
from bot.words.runs.outcomes import REASON_PHRASES
from bot.words.runs.refused_hosts import refused_hosts_line
from bot.words.runs.work.evidence import TestResults, tests_of
from core.domain.runs.run import Run
from core.domain.runs.work.diff import CommitInfo, FileChange

_FILES_SHOWN = 8
_COMMITS_SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class LinkedCommit:
    """A commit, and its page on the repository's host; `None` if that is not known."""

    commit: CommitInfo
    address: str | None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came out of a run.

    Attributes:
        attention: Why it needs a look, each reason in a few words.
        changes: The changes in a few words; empty if there is nothing to say yet.
        more_files: How many files are not among `files`, and so for `more_commits`.
        refused_hosts: Which hosts it could not reach; empty for none.
    """

    attention: Sequence[str]
    tests: TestResults | None
    changes: str
    files: Sequence[FileChange]
    more_files: int
    commits: Sequence[LinkedCommit]
    more_commits: int
    refused_hosts: str


def outcome(run: Run) -> Outcome:
    """What came out of a run.  Pure."""
    diff = run.diff
    files = () if diff is None else diff.files[:_FILES_SHOWN]
    commits = () if diff is None else diff.commits[:_COMMITS_SHOWN]
    return Outcome(
        attention=[
            words for reason in run.outcome_reasons if (words := REASON_PHRASES[reason](run))
        ],
        tests=tests_of(run),
        changes=_changes(run),
        files=files,
        more_files=0 if diff is None else diff.file_count - len(files),
        commits=[
            LinkedCommit(commit=one, address=commit_page(run.git_repo, one.sha)) for one in commits
        ],
        more_commits=0 if diff is None else diff.commit_count - len(commits),
        refused_hosts=refused_hosts_line(run, PLAIN),
    )


def _changes(run: Run) -> str:
    diff = run.diff
    if diff is None:
        if run.is_work_pending:
            return "Saving the work… What changed is shown here in a moment."
        return f"Unknown. {PLAIN.inline(run.changes_unknown, 400)}" if run.changes_unknown else ""
    if not diff.files and not diff.commits:
        return "None. No file differs and nothing was committed."
    files = counts.plural(diff.file_count, "file")
    branch = f" on {PLAIN.code(diff.branch, 80)}" if diff.branch else ""
    commits = f", {counts.plural(diff.commit_count, 'commit')}" if diff.commits else ""
    return f"{files}, +{diff.added_lines:,} −{diff.removed_lines:,}{commits}{branch}"
