"""Words about restarts: the point, what the new run begins without, and what is in the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from bot.words import counts, money
from bot.words.markup import Markup
from core.domain.runs.event import EventRecord
from core.domain.runs.restarts.origin import RestartOrigin
from core.domain.runs.restarts.preview import RestartPreview
from core.domain.runs.restarts.request import DefinitionChoice, RestartMode
from core.domain.runs.run import CostSource
from core.domain.runs.step import Step, StepStatus
from core.domain.runs.work.diff import DiffStat

_MAX_NAMED = 5
_NAME_LIMIT = 80
_SHA_CHARS = 8
# What a person chooses between.
RESTART_AGAIN = "The start: the same task again"
MODE_LABELS: Mapping[RestartMode, str] = MappingProxyType(
    {
        RestartMode.FORK: "Conversation and files, as a new run",
        RestartMode.FILES: "Only the files; the conversation stays",
    }
)
DEFINITION_LABELS: Mapping[DefinitionChoice, str] = MappingProxyType(
    {
        DefinitionChoice.CURRENT: "The workflow as it is now",
        DefinitionChoice.STORED: "The instructions that the old run had",
    }
)
_STEP_MARKS = {
    StepStatus.COMPLETED: "✔",
    StepStatus.IN_PROGRESS: "⏸",
    StepStatus.FAILED: "✗",
    StepStatus.SKIPPED: "–",
    StepStatus.PENDING: "⏸",
}


def point_words(number: int | None, step: str | None, markup: Markup) -> str:
    """The point of a restart, to complete "restarted from …"."""
    if number is None:
        return "the start"
    name = f" (step {markup.inline(step, _NAME_LIMIT)})" if step else ""
    return f"checkpoint {number}{name}"


def restarted_words(origin: RestartOrigin, markup: Markup) -> str:
    """Where a run comes from: `Restarted from checkpoint 2 (step Add tests) of run run_…`."""
    point = point_words(origin.checkpoint, origin.step, markup)
    if origin.mode is RestartMode.FILES:
        return f"Files put back to {point} of run {markup.code(origin.run_id)}"
    return f"Restarted from {point} of run {markup.code(origin.run_id)}"


def preview_title(preview: RestartPreview, markup: Markup) -> str:
    """What would be done, as a question."""
    checkpoint = preview.checkpoint
    point = point_words(
        None if checkpoint is None else checkpoint.number,
        None if checkpoint is None else checkpoint.step_name,
        markup,
    )
    if preview.mode is RestartMode.FILES:
        return f"Put the files of {markup.code(preview.run.run_id)} back to {point}?"
    return f"Restart {markup.code(preview.run.run_id)} from {point}?"


def kept_words(preview: RestartPreview) -> str:
    """What the restart does to what there is: nothing is lost."""
    if preview.mode is RestartMode.FILES:
        return (
            "The conversation goes on in the same session, and the files of its workspace go back. "
            "The present files and all commits are kept on a private reference first."
        )
    if preview.checkpoint is None:
        return (
            "The new run has the same first message, an empty conversation, and a new workspace at "
            "the commit where the old one began. The old session and its workspace stay."
        )
    return (
        "The new run has the conversation and the files as they were then, in a session and a "
        "workspace of its own. The old session and its workspace stay. What git ignores, such as "
        "installed packages, is not brought along."
    )


def without_lines(preview: RestartPreview, markup: Markup) -> list[str]:
    """What the new run begins without, a line for each kind; empty if that is nothing."""
    gone = preview.discarded
    lines: list[str] = []
    if gone.steps:
        names = [_step_words(step, markup) for step in gone.steps]
        lines.append(f"{counts.plural(len(gone.steps), 'step')}: {_listed(names, len(names))}")
    files = _file_words(preview, markup)
    if files:
        lines.append(files)
    commit_count = len(gone.commits) + gone.omitted_commits
    if commit_count:
        names = [
            f"{markup.code(commit.sha[:_SHA_CHARS])} {markup.inline(commit.subject, _NAME_LIMIT)}"
            for commit in gone.commits
        ]
        lines.append(f"{counts.plural(commit_count, 'commit')}: {_listed(names, commit_count)}")
    if gone.messages:
        names = [f"“{markup.inline(one.text_content, _NAME_LIMIT)}”" for one in gone.messages]
        lines.append(f"{counts.plural(len(names), 'message')}: {_listed(names, len(names))}")
    if gone.runs and preview.mode is RestartMode.FORK:
        names = [markup.code(run.run_id) for run in gone.runs]
        lines.append(f"{counts.plural(len(names), 'later run')}: {_listed(names, len(names))}")
    return lines


def spent_words(preview: RestartPreview) -> str:
    """The money that was spent already, which a restart does not bring back."""
    gone = preview.discarded
    if gone.total_usd is None:
        return "What was spent so far is not known."
    mark = "" if gone.cost_source is CostSource.REPORTED else "~"
    after = "" if gone.spent_usd is None else f", {money.dollars(gone.spent_usd)} of it after this"
    return f"Already spent: {mark}{money.dollars(gone.total_usd)}{after}. That stays spent."


def definition_words(preview: RestartPreview, markup: Markup) -> str:
    """Which definition the new run follows, if there is a choice."""
    if not preview.has_both_definitions:
        return ""
    name = markup.code(preview.run.workflow_name, 60)
    if preview.definition is DefinitionChoice.STORED:
        return f"It follows the instructions of {name} as the old run had them."
    return f"It follows {name} as it is now; the instructions of the old run can be chosen instead."


def put_back_lines(events: Sequence[EventRecord], markup: Markup) -> list[str]:
    """What was done when files were put back, and where the ones before are kept."""
    lines = []
    for event in events:
        kept = event.data.get("kept")
        if not isinstance(kept, str):
            # A new workspace: nothing was there before.
            continue
        number, left = event.data.get("checkpoint"), event.data.get("left") or ()
        stayed = f" {counts.plural(len(left), 'ignored file')} stayed." if left else ""
        lines.append(
            f"⏮️ {markup.clock_time(event.at)}: the files are as at checkpoint {number} again. "
            f"What was there before is kept in the workspace, on {markup.code(kept)}.{stayed}"
        )
    return lines


def preview_lines(preview: RestartPreview, markup: Markup) -> list[str]:
    """A preview in full, for surfaces that show lines."""
    without = without_lines(preview, markup)
    lead = "It begins without:" if without else "Nothing came after this point."
    told = [problem.sentence for problem in preview.problems]
    return [
        preview_title(preview, markup),
        kept_words(preview),
        lead,
        *(f"• {line}" for line in without),
        spent_words(preview),
        *[line for line in [definition_words(preview, markup)] if line],
        *(f"⚠️ {sentence}" for sentence in told),
    ]


def _step_words(step: Step, markup: Markup) -> str:
    name = markup.inline(step.name, _NAME_LIMIT) or f"step {step.step_id}"
    return f"{_STEP_MARKS[step.status]} {name}"


def _file_words(preview: RestartPreview, markup: Markup) -> str:
    """The files that differ; measured, or else the totals of the rows side by side."""
    gone = preview.discarded
    if gone.files is not None:
        if not gone.files.file_count:
            return ""
        total = _diff_totals(gone.files)
        names = [
            f"{markup.code(change.path, _NAME_LIMIT)} {_lines(change.added, change.removed)}"
            for change in gone.files.files
        ]
        return f"{total}: {_listed(names, gone.files.file_count)}"
    if gone.diff_now is None or not gone.diff_now.file_count:
        return ""
    now = _diff_totals(gone.diff_now)
    if gone.diff_then is None:
        return f"changes of files: {now} in the end"
    then = _totals(gone.diff_then.files, gone.diff_then.added, gone.diff_then.removed)
    return "" if then == now else f"changes of files: {now} in the end, {then} at this point"


def _diff_totals(diff: DiffStat) -> str:
    return _totals(diff.file_count, diff.added_lines, diff.removed_lines)


def _totals(files: int, added: int, removed: int) -> str:
    return f"{counts.plural(files, 'file')} +{added:,} −{removed:,}"


def _lines(added: int | None, removed: int | None) -> str:
    return "(binary)" if added is None or removed is None else f"+{added:,} −{removed:,}"


def _listed(names: Sequence[str], count: int) -> str:
    shown = ", ".join(names[:_MAX_NAMED])
    more = count - min(len(names), _MAX_NAMED)
    return f"{shown} and {more:,} more" if more > 0 else shown
