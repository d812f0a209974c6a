"""What a run changed, as JSON."""

from __future__ import annotations

from bot.web.route import Answer
from core.domain.runs.run import Run
from core.domain.runs.work.diff import DiffStat


class FileChangeAnswer(Answer):
    """A changed file; `added` and `removed` are `null` for a binary one."""

    path: str
    added: int | None
    removed: int | None
    committed: bool
    branch: str | None


class CommitAnswer(Answer):
    """A commit of the run; `branch` is one that has it."""

    sha: str
    subject: str
    branch: str | None


class DiffAnswer(Answer):
    """What a run changed.

    Attributes:
        state: `measured`, `pending` while the run is live or its work is being saved, `unknown`
            if it cannot be measured (`why` says why).
        files: At most a thousand, and then one entry that adds up the others.
    """

    run_id: str
    state: str
    why: str | None
    start_commit: str | None
    end_commit: str | None
    branch: str | None
    file_count: int | None
    commit_count: int | None
    added_lines: int | None
    removed_lines: int | None
    files: list[FileChangeAnswer]
    commits: list[CommitAnswer]
    omitted_files: int
    omitted_commits: int
    merged_commits: int


def diff_answer(run: Run) -> DiffAnswer:
    """The changes of a run as JSON.  Pure."""
    diff = run.diff
    known = diff or DiffStat()
    return DiffAnswer(
        run_id=run.run_id,
        state=_state_of(run),
        why=run.changes_unknown,
        start_commit=run.initial_commit_hash,
        end_commit=run.final_commit_hash,
        branch=known.branch,
        file_count=None if diff is None else diff.file_count,
        commit_count=None if diff is None else diff.commit_count,
        added_lines=None if diff is None else diff.added_lines,
        removed_lines=None if diff is None else diff.removed_lines,
        files=[
            FileChangeAnswer(
                path=one.path,
                added=one.added,
                removed=one.removed,
                committed=one.committed,
                branch=one.branch,
            )
            for one in known.files
        ],
        commits=[
            CommitAnswer(sha=one.sha, subject=one.subject, branch=one.branch)
            for one in known.commits
        ],
        omitted_files=known.omitted_files,
        omitted_commits=known.omitted_commits,
        merged_commits=known.merged_commits,
    )


def _state_of(run: Run) -> str:
    if run.diff is not None:
        return "measured"
    return "pending" if run.is_live or run.is_work_pending else "unknown"
