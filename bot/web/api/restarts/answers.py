"""What a restart would do, as JSON."""

from __future__ import annotations

from bot.web.api.diff_answers import CommitAnswer, FileChangeAnswer
from bot.web.api.run_checkpoints import CheckpointAnswer, checkpoint_answer
from bot.web.api.values import money
from bot.web.route import Answer
from bot.words.markup import PLAIN
from bot.words.restarts import preview_lines
from core.domain.runs.restarts.preview import ProblemKind, RestartPreview
from core.domain.runs.restarts.request import DefinitionChoice, RestartMode
from core.domain.runs.step import StepStatus


class DiscardedStepAnswer(Answer):
    """A step that was begun or finished after the point."""

    step_id: int
    name: str
    status: StepStatus


class ProblemAnswer(Answer):
    """A finding of the checks; a blocking one is in the way."""

    kind: ProblemKind
    message: str
    is_blocking: bool


class PreviewAnswer(Answer):
    """What a restart would do.

    Attributes:
        run_id: The run to restart.
        origin_run_id: The run that the point belongs to.
        checkpoint: `null` is the start.
        text: All of it in words.
        discarded_files: What was changed since the point, measured in the workspace; `null` if
            that is not on a disk of this process.
        spent: US dollars that the runs of the session cost, and `spent_after` the part of it after
            the point; `null` if unknown.
        checkpoints: All from which one can restart, oldest first.
    """

    run_id: str
    origin_run_id: str
    mode: RestartMode
    checkpoint: int | None
    base_commit: str | None
    task: str
    text: str
    is_possible: bool
    problems: list[ProblemAnswer]
    discarded_runs: list[str]
    discarded_steps: list[DiscardedStepAnswer]
    discarded_messages: list[str]
    discarded_commits: list[CommitAnswer]
    omitted_commits: int
    discarded_files: list[FileChangeAnswer] | None
    spent: float | None
    spent_after: float | None
    definition: DefinitionChoice
    has_both_definitions: bool
    checkpoints: list[CheckpointAnswer]


def preview_answer(preview: RestartPreview) -> PreviewAnswer:
    """What a restart would do, as JSON.  Pure."""
    gone = preview.discarded
    return PreviewAnswer(
        run_id=preview.run.run_id,
        origin_run_id=preview.origin.run_id,
        mode=preview.mode,
        checkpoint=None if preview.checkpoint is None else preview.checkpoint.number,
        base_commit=preview.base_commit,
        task=preview.task,
        text="\n".join(preview_lines(preview, PLAIN)),
        is_possible=not preview.blocking,
        problems=[
            ProblemAnswer(kind=one.kind, message=one.sentence, is_blocking=one.is_blocking)
            for one in preview.problems
        ],
        discarded_runs=[run.run_id for run in gone.runs],
        discarded_steps=[
            DiscardedStepAnswer(step_id=step.step_id, name=step.name, status=step.status)
            for step in gone.steps
        ],
        discarded_messages=[message.text_content for message in gone.messages],
        discarded_commits=[
            CommitAnswer(sha=one.sha, subject=one.subject, branch=one.branch)
            for one in gone.commits
        ],
        omitted_commits=gone.omitted_commits,
        discarded_files=None
        if gone.files is None
        else [
            FileChangeAnswer(
                path=one.path,
                added=one.added,
                removed=one.removed,
                committed=one.committed,
                branch=one.branch,
            )
            for one in gone.files.files
        ],
        spent=money(gone.total_usd),
        spent_after=money(gone.spent_usd),
        definition=preview.definition,
        has_both_definitions=preview.has_both_definitions,
        checkpoints=[checkpoint_answer(one) for one in preview.checkpoints],
    )
