"""Lines about what a run changed, and about its test results."""

from __future__ import annotations

from collections.abc import Mapping

from bot.words import counts
from bot.words.markup import Markup
from core.domain.runs.diff import DiffStat, FileChange
from core.domain.runs.run import Run

_FILES_SHOWN = 12
_COMMITS_SHOWN = 8
# The key of the test results in a run's metadata:
# {"passed": 12, "failed": 0, "skipped": 1, "command": "…"}.
TESTS_KEY = "tests"


def change_lines(run: Run, markup: Markup) -> list[str]:
    """Lines about changed files and commits; empty if the changes are unknown."""
    diff = run.diff
    if diff is None:
        return []
    if not diff.files and not diff.commits:
        return [f"{markup.strong('Changes:')} none. No file differs and nothing was committed."]
    lines = [_total(run, diff, markup)]
    lines += [_file_line(change, markup) for change in diff.files[:_FILES_SHOWN]]
    if len(diff.files) > _FILES_SHOWN:
        more = counts.plural(len(diff.files) - _FILES_SHOWN, "more file")
        lines.append(markup.quiet(f"+{more}"))
    if diff.commits:
        lines.append(markup.strong(counts.plural(len(diff.commits), "commit")))
        lines += [
            f"{markup.code(commit.sha[:7])} {markup.inline(commit.subject, 100)}"
            for commit in diff.commits[:_COMMITS_SHOWN]
        ]
        if len(diff.commits) > _COMMITS_SHOWN:
            lines.append(markup.quiet(f"+{len(diff.commits) - _COMMITS_SHOWN} more"))
    if diff.has_uncommitted:
        lines.append("Some of it is not committed (marked ✎); it stays in the workspace.")
    return lines


def line_about_tests(run: Run, markup: Markup) -> str:
    """A line with the test results; empty if no test run was seen."""
    results = run.metadata.get(TESTS_KEY)
    if not isinstance(results, Mapping):
        return ""
    passed, failed = _number(results, "passed"), _number(results, "failed")
    if passed is None or failed is None:
        return ""
    parts = [f"{passed:,} passed", f"{failed:,} failed"]
    skipped = _number(results, "skipped")
    if skipped:
        parts.append(f"{skipped:,} skipped")
    command = results.get("command")
    by = f" ({markup.code(command, 120)})" if isinstance(command, str) and command.strip() else ""
    return f"{'❌' if failed else '✅'} {markup.strong('Tests:')} {', '.join(parts)}{by}"


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
