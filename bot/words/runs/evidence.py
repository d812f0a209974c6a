"""Lines about what a run changed, and about its test results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bot.words import counts
from bot.words.markup import Markup
from core.domain.runs.run import DiffStat, FileChange, Run, RunStatus

_FILES_SHOWN = 12
_COMMITS_SHOWN = 8
# The key of the test results in a run's metadata:
# {"passed": 12, "failed": 0, "skipped": 1, "command": "…"}.
TESTS_KEY = "tests"


@dataclass(frozen=True, kw_only=True)
class TestResults:
    """The counts of one test run, and the command that ran it, if known."""

    __test__ = False  # keeps pytest from collecting it as a test class

    passed: int
    failed: int
    skipped: int
    command: str


def change_lines(run: Run, markup: Markup, *, has_total: bool = True) -> list[str]:
    """Lines about changed files and commits; empty if the changes are unknown.

    Args:
        run: The run.
        markup: The surface's.
        has_total: Whether the first line sums up; without it, there are no lines of no changes.
    """
    diff = run.diff
    if diff is None:
        return []
    if not diff.files and not diff.commits:
        none = f"{markup.strong('Changes:')} none. No file differs and nothing was committed."
        return [none] if has_total else []
    lines = [_total(run, diff, markup)] if has_total else []
    lines += [_file_line(change, markup) for change in diff.files[:_FILES_SHOWN]]
    if len(diff.files) > _FILES_SHOWN:
        more = counts.plural(len(diff.files) - _FILES_SHOWN, "more file")
        lines.append(markup.quiet(f"+{more}"))
    if diff.commits:
        if has_total:
            lines.append(markup.strong(counts.plural(len(diff.commits), "commit")))
        lines += [
            f"{markup.code(commit.sha[:7])} {markup.inline(commit.subject, 100)}"
            for commit in diff.commits[:_COMMITS_SHOWN]
        ]
        if len(diff.commits) > _COMMITS_SHOWN:
            lines.append(markup.quiet(f"+{len(diff.commits) - _COMMITS_SHOWN} more"))
    # What a kill kept, and where, is said with its proof.
    if diff.has_uncommitted and run.status is not RunStatus.KILLED:
        lines.append("✎ is not committed; it stays in the workspace.")
    return lines


def line_about_tests(run: Run, markup: Markup) -> str:
    """A line with the test results; empty if no test run was seen."""
    tests = tests_of(run)
    if tests is None:
        return ""
    parts = [f"{tests.passed:,} passed", f"{tests.failed:,} failed"]
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
    if passed is None or failed is None:
        return None
    command = results.get("command")
    return TestResults(
        passed=passed,
        failed=failed,
        skipped=_number(results, "skipped") or 0,
        command=command if isinstance(command, str) else "",
    )


def _total(run: Run, diff: DiffStat, markup: Markup) -> str:
    branch = f" on {markup.code(run.git_branch, 80)}" if run.git_branch else ""
    files = counts.plural(len(diff.files), "file")
    lines = f"+{diff.added_lines:,} −{diff.removed_lines:,}"
    return f"{markup.strong('Changes:')} {files}, {lines}{branch}"


def _file_line(change: FileChange, markup: Markup) -> str:
    if change.added is None or change.removed is None:
        lines = "binary"
    else:
        lines = f"+{change.added:,} −{change.removed:,}"
    return f"{markup.code(change.path, 110)} {lines}{'' if change.committed else ' ✎'}"


def _number(results: Mapping[str, object], key: str) -> int | None:
    value = results.get(key)
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if is_count and isinstance(value, int) else None
