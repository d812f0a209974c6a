"""Lines about what a run changed, and about its test results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bot.words import counts
from bot.words.markup import Markup
from core.domain.runs.outcome import TESTS_KEY
from core.domain.runs.run import Run, RunStatus
from core.domain.runs.work.diff import DiffStat, FileChange

_FILES_SHOWN = 12
_COMMITS_SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class TestResults:
    """The counts of the last test runs, and the command that ran them, if known.

    Attributes:
        passed: `None` if the program tells only that tests passed, not how many.
    """

    __test__ = False  # keeps pytest from collecting it as a test class

    passed: int | None
    failed: int
    skipped: int
    command: str


def change_lines(run: Run, markup: Markup, *, has_total: bool = True) -> list[str]:
    """Lines about changed files and commits; empty if there was no workspace.

    Args:
        run: The run.
        markup: The surface's.
        has_total: Whether the first line sums up; without it, there are no lines of no changes.
    """
    diff = run.diff
    label = markup.strong("Changes:")
    if diff is None:
        if run.is_work_pending:
            return [f"{label} saving the work… What changed is shown here in a moment."]
        if run.changes_unknown:
            return [f"{label} unknown. {markup.inline(run.changes_unknown, 400)}"]
        return []
    if not diff.files and not diff.commits:
        nothing = f"{label} none. No file differs and nothing was committed."
        return [*([nothing] if has_total else []), *_merged_lines(diff, markup)]
    lines = [_total(diff, markup)] if has_total else []
    lines += [_file_line(change, markup) for change in diff.files[:_FILES_SHOWN]]
    if diff.file_count > _FILES_SHOWN:
        more = counts.plural(diff.file_count - _FILES_SHOWN, "more file")
        lines.append(markup.quiet(f"+{more}"))
    lines += _commit_lines(diff, markup, has_total=has_total)
    lines += _merged_lines(diff, markup)
    # What a kill kept, and where, is said with its proof.
    if diff.has_uncommitted and run.status is not RunStatus.KILLED:
        lines.append("✎ is not committed; it stays in the workspace.")
    return lines


def line_about_tests(run: Run, markup: Markup) -> str:
    """A line with the test results; empty if no test run was seen."""
    tests = tests_of(run)
    if tests is None:
        return ""
    parts = [] if tests.passed is None else [f"{tests.passed:,} passed"]
    parts.append(f"{tests.failed:,} failed")
    if tests.skipped:
        parts.append(f"{tests.skipped:,} skipped")
    command = tests.command
    by = f" ({markup.code(command, 120)})" if command.strip() else ""
    return f"{'❌' if tests.failed else '✅'} {markup.strong('Tests:')} {', '.join(parts)}{by}"


def tests_of(run: Run) -> TestResults | None:
    """The results of the last test run that was seen; `None` if there is none with counts."""
    results = run.metadata.get(TESTS_KEY)
    if not isinstance(results, Mapping):
        return None
    passed, failed = _number(results, "passed"), _number(results, "failed")
    is_uncounted = "passed" in results and results["passed"] is None
    if failed is None or (passed is None and not is_uncounted):
        return None
    command = results.get("command")
    return TestResults(
        passed=passed,
        failed=failed,
        skipped=_number(results, "skipped") or 0,
        command=command if isinstance(command, str) else "",
    )


def _commit_lines(diff: DiffStat, markup: Markup, *, has_total: bool) -> list[str]:
    if not diff.commits:
        return []
    total = f"{markup.strong(counts.plural(diff.commit_count, 'commit'))}{_on(diff, markup)}"
    lines = [total] if has_total else []
    # With several branches, or without a line that names it, each commit says on which one it is.
    branches = {commit.branch for commit in diff.commits}
    names_each = len(branches) > 1 or (not has_total and branches != {diff.branch})
    for commit in diff.commits[:_COMMITS_SHOWN]:
        words = f"{markup.code(commit.sha[:7])} {markup.inline(commit.subject, 100)}"
        where = f" · {_branch_words(commit.branch, markup)}" if names_each else ""
        lines.append(f"{words}{where}")
    if diff.commit_count > _COMMITS_SHOWN:
        lines.append(markup.quiet(f"+{diff.commit_count - _COMMITS_SHOWN} more"))
    return lines


def _on(diff: DiffStat, markup: Markup) -> str:
    """Where the commits are, if that is not the branch that the first line names."""
    branches = {commit.branch for commit in diff.commits}
    if len(branches) != 1 or branches == {diff.branch}:
        return ""
    return f" {_branch_words(branches.pop(), markup)}"


def _merged_lines(diff: DiffStat, markup: Markup) -> list[str]:
    if not diff.merged_commits:
        return []
    count = counts.plural(diff.merged_commits, "commit")
    return [markup.quiet(f"{count} of others came with a merge or a pull, and do not count.")]


def _total(diff: DiffStat, markup: Markup) -> str:
    branch = f" on {markup.code(diff.branch, 80)}" if diff.branch else ""
    files = counts.plural(diff.file_count, "file")
    lines = f"+{diff.added_lines:,} −{diff.removed_lines:,}"
    return f"{markup.strong('Changes:')} {files}, {lines}{branch}"


def _branch_words(branch: str | None, markup: Markup) -> str:
    return f"on {markup.code(branch, 80)}" if branch else "on no branch"


def _file_line(change: FileChange, markup: Markup) -> str:
    if change.added is None or change.removed is None:
        lines = "binary"
    else:
        lines = f"+{change.added:,} −{change.removed:,}"
    mark = "" if change.committed else " ✎"
    where = f" on {markup.code(change.branch, 80)}" if change.branch else ""
    return f"{markup.code(change.path, 110)} {lines}{mark}{where}"


def _number(results: Mapping[str, object], key: str) -> int | None:
    value = results.get(key)
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if is_count and isinstance(value, int) else None
