"""Compares a run's work with the script's account: files, commits, branches, tests, outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from core.domain.runs.work.diff import DiffStat
from tests.truth.account import Figures
from tests.truth.effects import COMPLETED, DELETED
from tests.truth.plan import End
from tests.truth.repository import Changes, named
from tests.truth.seen import SeenLeg
from tests.truth.surfaces import card_text, details_text, list_text, result_text

# A surface shows so many, and counts the others.
_FILES_SHOWN = 12
_COMMITS_SHOWN = 8


def reasons_of(figures: Figures) -> list[str]:
    """Why a run that ended by itself needs a look."""
    changes, tests = figures.changes, figures.tests
    found = {
        "tests_failed": tests is not None and tests.failed > 0,
        "nothing_committed": not changes.commits,
        "steps_left": _has_tasks_left(figures),
        "uncommitted_changes": changes.uncommitted > 0,
    }
    return [reason for reason, is_found in found.items() if is_found]


def attention_words(figures: Figures) -> str:
    """How a run that ended by itself, and needs a look, is called; empty if it needs none."""
    changes, tests = figures.changes, figures.tests
    parts = []
    if tests is not None and tests.failed:
        parts.append(f"{_count(tests.failed, 'test')} {'fails' if tests.failed == 1 else 'fail'}")
    if not changes.commits:
        parts.append("nothing committed" if changes.files else "nothing changed")
    if _has_tasks_left(figures):
        parts.append("steps left")
    if changes.commits and changes.uncommitted:
        parts.append(f"{_count(changes.uncommitted, 'file')} not committed")
    return ", ".join(["Finished", *parts]) if parts else ""


def _has_tasks_left(figures: Figures) -> bool:
    return any(task.status not in (COMPLETED, DELETED) for task in figures.tasks.values())


def diff_differences(diff: DiffStat, true: Changes, *, run_branch: str) -> Iterator[str]:
    """What differs between measured changes and those of the script's account."""
    shown_files = {
        (one.path, one.added, one.removed, one.committed, one.branch) for one in diff.files
    }
    true_files = {
        (one.path, one.added, one.removed, one.is_committed, named(one.branch, run_branch))
        for one in true.files
    }
    if shown_files != true_files:
        yield (
            f"the row has files {sorted(shown_files - true_files, key=str)}, "
            f"and lacks {sorted(true_files - shown_files, key=str)}"
        )
    figures = (diff.file_count, diff.added_lines, diff.removed_lines, diff.merged_commits)
    if figures != (len(true.files), true.added, true.removed, true.merged):
        yield (
            f"the row has (files, added, removed, merged) {figures}, not "
            f"{(len(true.files), true.added, true.removed, true.merged)}"
        )
    if sorted(one.subject for one in diff.commits) != sorted(true.commits):
        shown = [one.subject for one in diff.commits]
        yield f"the row has commits {shown}, not {sorted(true.commits)}"
    for one in diff.commits:
        branches = {named(name, run_branch) for name in true.commits.get(one.subject, ())}
        if branches and one.branch not in branches:
            yield f"commit {one.subject!r} is said to be on {one.branch}, not on {branches}"
    if diff.branch != named(true.branch, run_branch):
        yield f"the row has branch {diff.branch}, not {named(true.branch, run_branch)}"


def _row_changes(seen: SeenLeg) -> Iterator[str]:
    true, diff = seen.figures.changes, seen.run.diff
    if diff is None:
        yield f"the row has no changes ({seen.run.changes_unknown})"
        return
    yield from diff_differences(diff, true, run_branch=seen.run_branch)
    if seen.run.git_branch != seen.branch_name(true.branch):
        yield f"the row is on {seen.run.git_branch}, not on {seen.branch_name(true.branch)}"


def _row_evidence(seen: SeenLeg) -> Iterator[str]:
    tests, found = seen.figures.tests, seen.run.metadata.get("tests")
    shown = found and tuple(found.get(name) for name in ("passed", "failed", "skipped"))
    true = tests and (tests.passed, tests.failed, tests.skipped)
    if shown != true:
        yield f"the row has tests {found}, not {true}"
    is_finished = seen.leg.end is End.FINISHED
    reasons = reasons_of(seen.figures) if is_finished else []
    if [reason.value for reason in seen.run.outcome_reasons] != reasons:
        yield f"the row has outcome reasons {seen.run.outcome_reasons}, not {reasons}"
    outcome = ("attention" if reasons else "clean") if is_finished else None
    if seen.run.outcome != outcome:
        yield f"the row has outcome {seen.run.outcome}, not {outcome}"


def _card_work(seen: SeenLeg) -> Iterator[str]:
    text = card_text(seen.snapshot, now=seen.now).replace("\u00a0", " ")
    true, tests = seen.figures.changes, seen.figures.tests
    words = []
    if true.files or true.commits:
        words.append(f"{_count(len(true.files), 'file')} +{true.added:,} −{true.removed:,}")
    elif seen.leg.end is not End.FINISHED:
        words.append("no file changed")
    if true.commits:
        words.append(_count(len(true.commits), "commit"))
    elif true.files and seen.leg.end is not End.FINISHED:
        words.append("not committed")
    if tests is not None:
        words.append(
            f"tests {tests.passed:,} ✅" + (f" {tests.failed:,} ❌" if tests.failed else "")
        )
    if seen.leg.end is End.FINISHED:
        words.append(attention_words(seen.figures) or "Completed")
    if seen.plan.branch is not None:
        words.append(f"repository@{seen.branch_name(true.branch)}"[:59])
    yield from _missing("card", words, text)
    if tests is None and "tests " in text:
        yield f"the card has tests, and none ran: {text!r}"


def _details_work(seen: SeenLeg) -> Iterator[str]:
    text = details_text(seen.snapshot, now=seen.now)
    true, tests = seen.figures.changes, seen.figures.tests
    words = list(_change_words(seen))
    if true.files or true.commits:
        total = f"{_count(len(true.files), 'file')}, +{true.added:,} −{true.removed:,}"
        words.append(f"*Changes:* {total} on `{seen.branch_name(true.branch)}`")
    else:
        words.append("*Changes:* none. No file differs and nothing was committed.")
    if true.commits:
        words.append(f"*{_count(len(true.commits), 'commit')}*")
    if tests is not None:
        skipped = f", {tests.skipped:,} skipped" if tests.skipped else ""
        words.append(f"*Tests:* {tests.passed:,} passed, {tests.failed:,} failed{skipped}")
    yield from _missing("details", words, text)


def _reply_work(seen: SeenLeg) -> Iterator[str]:
    yield from _missing("reply", list(_change_words(seen)), result_text(seen.snapshot))


def _change_words(seen: SeenLeg) -> Iterator[str]:
    """What both the details and the reply say of files and commits."""
    true = seen.figures.changes
    if len(true.files) <= _FILES_SHOWN:
        for file in true.files:
            lines = "binary" if file.added is None else f"+{file.added:,} −{file.removed:,}"
            mark = "" if file.is_committed else " ✎"
            where = f" on `{seen.branch_name(file.branch)}`" if file.branch else ""
            yield f"`{file.path}` {lines}{mark}{where}\n"
    else:
        yield f"+{_count(len(true.files) - _FILES_SHOWN, 'more file')}"
    if len(true.commits) <= _COMMITS_SHOWN:
        yield from true.commits
    else:
        yield f"+{len(true.commits) - _COMMITS_SHOWN} more"
    if true.merged:
        yield f"{_count(true.merged, 'commit')} of others came with a merge or a pull"


def _list_work(seen: SeenLeg) -> Iterator[str]:
    words = attention_words(seen.figures)
    if seen.leg.end is End.FINISHED and words:
        yield from _missing("list", [words], list_text(seen.snapshot, now=seen.now))


def _missing(surface: str, words: list[str], text: str) -> Iterator[str]:
    # The end of a line can be the end of a text.
    whole = text.replace('"', "\n")
    for word in words:
        if word not in whole:
            yield f"the {surface} does not have {word!r}: {text!r}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


WORK_CHECKS: tuple[Callable[[SeenLeg], Iterator[str]], ...] = (
    _row_changes,
    _row_evidence,
    _card_work,
    _details_work,
    _reply_work,
    _list_work,
)
