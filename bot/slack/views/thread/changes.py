"""What a run changed, and what its tests said, in lines of mrkdwn."""

from __future__ import annotations

from collections.abc import Mapping

from bot.slack import figures, text
from core.domain.runs.run import DiffStat, FileChange, Run

_FILES_SHOWN = 12
_COMMITS_SHOWN = 8
# Where evidence of a test run is kept: {"passed": 12, "failed": 0, "skipped": 1, "command": "…"}.
TESTS_KEY = "tests"


def change_lines(run: Run) -> list[str]:
    """Files and commits; says so if nothing changed, and nothing if that is not known."""
    diff = run.diff
    if diff is None:
        return []
    if not diff.files and not diff.commits:
        return ["*Changes:* none. No file differs and nothing was committed."]
    lines = [_total(run, diff)]
    lines += [_file_line(change) for change in diff.files[:_FILES_SHOWN]]
    if len(diff.files) > _FILES_SHOWN:
        lines.append(f"_+{figures.plural(len(diff.files) - _FILES_SHOWN, 'more file')}_")
    if diff.commits:
        lines.append(f"*{figures.plural(len(diff.commits), 'commit')}*")
        lines += [
            f"{text.code(commit.sha[:7])} {text.one_line(commit.subject, 100)}"
            for commit in diff.commits[:_COMMITS_SHOWN]
        ]
        if len(diff.commits) > _COMMITS_SHOWN:
            lines.append(f"_+{len(diff.commits) - _COMMITS_SHOWN} more_")
    if diff.has_uncommitted:
        lines.append("Some of it is not committed (marked ✎); it stays in the workspace.")
    return lines


def line_about_tests(run: Run) -> str:
    """The outcome of the tests, only if a test run was seen; else empty."""
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
    by = f" ({text.code(command, 120)})" if isinstance(command, str) and command.strip() else ""
    return f"{'❌' if failed else '✅'} *Tests:* {', '.join(parts)}{by}"


def _total(run: Run, diff: DiffStat) -> str:
    branch = f" on {text.code(run.git_branch, 80)}" if run.git_branch else ""
    files = figures.plural(len(diff.files), "file")
    return f"*Changes:* {files}, +{diff.added_lines:,} −{diff.removed_lines:,}{branch}"


def _file_line(change: FileChange) -> str:
    if change.added is None or change.removed is None:
        lines = "binary"
    else:
        lines = f"+{change.added:,} −{change.removed:,}"
    return f"{text.code(change.path, 110)} {lines}{'' if change.committed else ' ✎'}"


def _number(results: Mapping[str, object], key: str) -> int | None:
    value = results.get(key)
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if is_count and isinstance(value, int) else None
