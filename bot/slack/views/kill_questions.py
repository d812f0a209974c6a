"""Questions before a kill, with the run's owner and cost, and answers after a bulk kill."""

from __future__ import annotations

from datetime import datetime

from bot.slack import ids, text
from bot.slack.commands.kill_command import kill_command_text
from bot.slack.mrkdwn import MRKDWN
from bot.slack.views import blocks
from bot.slack.views.message import Block, Message, View
from bot.slack.views.modals import field, modal, text_input
from bot.words import counts, money, texts, times
from bot.words.kills import (
    FORCED,
    WORK_IS_KEPT,
    WORK_IS_KEPT_MANY,
    kill_question_words,
)
from bot.words.runs.names import leg_suffix, task_name
from core.domain.kills.bulk_kill import MAX_REASON_CHARS, BulkKillResult, KillPreview
from core.domain.runs.request import KillRequest, RunFilter
from core.domain.runs.run import RUN_ID_PREFIX, Run, RunStatus
from core.domain.runs.snapshot import RunSnapshot

_IDS_SHOWN = 12


def kill_form(
    snapshot: RunSnapshot, request: KillRequest, *, channel_id: str, now: datetime
) -> View:
    """The form that asks before somebody else's run is killed."""
    run = snapshot.run
    return modal(
        callback_id=ids.KILL_FORM,
        title="Stop this run?",
        submit="Force kill it" if request.force else "Stop it",
        close="Let it run",
        metadata={"channel_id": channel_id, "run_id": run.run_id, "force": request.force},
        drawn=[*_run_details(snapshot, request, now), _reason_field(request.reason)],
    )


def kill_question(snapshot: RunSnapshot, request: KillRequest, *, now: datetime) -> Message:
    """The same question as a private message, where no form can be opened."""
    run = snapshot.run
    exact = KillRequest(target=run.run_id, force=request.force, reason=request.reason)
    drawn = _run_details(snapshot, request, now)
    if request.reason:
        drawn.append(blocks.context(f"Reason: {text.one_line(request.reason, MAX_REASON_CHARS)}"))
    drawn.append(
        blocks.actions(
            ids.KILL_QUESTION,
            [
                blocks.button(
                    "Force kill it" if request.force else "Stop it",
                    action_id=ids.KILL_ANYWAY,
                    value=kill_command_text(exact),
                    style="danger",
                )
            ],
        )
    )
    return Message(
        text=text.escape(f"{kill_question_words(snapshot)} Nothing has been stopped yet."),
        blocks=tuple(drawn),
    )


def kill_many_form(preview: KillPreview, *, channel_id: str, now: datetime) -> View:
    """The form that lists the runs it would kill."""
    count = len(preview.runs)
    these = "this run" if count == 1 else f"these {count} runs"
    return modal(
        callback_id=ids.KILL_MANY_FORM,
        title=f"Stop {these}?",
        submit=f"{'Force kill' if preview.selection.force else 'Stop'} "
        + counts.plural(count, "run"),
        close="Let them run" if count > 1 else "Let it run",
        metadata={
            "channel_id": channel_id,
            "runs": " ".join(one.run.run_id.removeprefix(RUN_ID_PREFIX) for one in preview.runs),
            "force": preview.selection.force,
        },
        drawn=[
            blocks.section(_lead_words(preview)),
            *blocks.paragraphs([_row(one, now) for one in preview.runs]),
            *(blocks.context(line) for line in _left_out_lines(preview)),
            _reason_field(preview.selection.reason),
        ],
    )


def kill_many_question(preview: KillPreview) -> Message:
    """A private message with a button that opens that form, where none can be opened yet."""
    words = f"{_lead_words(preview)} Nothing has been stopped yet."
    return Message(
        text=words.replace("*", ""),
        blocks=(
            blocks.section(words),
            blocks.actions(
                ids.KILL_QUESTION,
                [
                    blocks.button(
                        "Look and decide…",
                        action_id=ids.KILL_MANY_ASK,
                        value=kill_command_text(preview.selection),
                        style="danger",
                    )
                ],
            ),
        ),
    )


def nothing_to_kill(preview: KillPreview) -> Message:
    """A message for a selection without runs to kill, and what it left out."""
    words = f"Nothing to stop: there are no live {_selection_words(preview.selection.run_filter)}."
    lines = [text.escape(words), *_left_out_lines(preview)]
    return Message(text=lines[0], blocks=tuple(blocks.paragraphs(lines)))


def killed_many(outcome: BulkKillResult) -> Message:
    """The results of a bulk kill, grouped by what happened to each run."""
    count = counts.plural
    results = (
        (
            outcome.requested,
            f"Asked {count(len(outcome.requested), 'run')} to stop",
            " Each card shows the proof when nothing of its run is left.",
        ),
        (
            outcome.already_stopping,
            f"{count(len(outcome.already_stopping), 'run is', 'runs are')} being stopped already",
            "",
        ),
        (
            outcome.already_ended,
            f"{count(len(outcome.already_ended), 'run')} had ended meanwhile",
            "",
        ),
        (
            outcome.forbidden,
            f"{count(len(outcome.forbidden), 'run')} left alone",
            " Somebody else's: the owner or an operator can stop that.",
        ),
    )
    lines = [f"*{words}*: {_run_id_list(found)}.{then}" for found, words, then in results if found]
    if not outcome.requested:
        lines.insert(0, "Nothing more was stopped.")
    return Message(text=lines[0].replace("*", ""), blocks=tuple(blocks.paragraphs(lines)))


def _run_details(snapshot: RunSnapshot, request: KillRequest, now: datetime) -> list[Block]:
    run = snapshot.run
    mention = MRKDWN.person(snapshot.owner)
    about = run.task_input if snapshot.about is None else snapshot.about
    task = text.quote(f"{about}{leg_suffix(snapshot)}", 400) or "_No task_"
    pairs = [
        ("Owner", mention),
        ("Cost so far", _cost(run)),
        ("Workflow", text.one_line(run.workflow_name, 60)),
        ("Now", _age_words(run, now)),
    ]
    return [
        blocks.section(f"*{text.escape(kill_question_words(snapshot))}*"),
        blocks.section(task),
        blocks.fields(pairs),
        blocks.context(f"`{run.run_id}`" + (f" · ⚠️ {FORCED}" if request.force else "")),
    ]


def _reason_field(reason: str | None) -> Block:
    return field(
        ids.FIELD_REASON,
        "Why?",
        text_input(
            "wrong branch",
            max_length=MAX_REASON_CHARS,
            initial=texts.clip(texts.clean(reason or ""), MAX_REASON_CHARS),
        ),
        hint="The owner reads it on the card.",
        optional=True,
    )


def _lead_words(preview: KillPreview) -> str:
    count = len(preview.runs)
    kind = _selection_words(preview.selection.run_filter)
    live = f"*{count} live {kind.replace('runs', 'run', 1) if count == 1 else kind}*"
    forced = f" {FORCED}" if preview.selection.force else ""
    then = WORK_IS_KEPT if count == 1 else WORK_IS_KEPT_MANY
    return f"{live} would be stopped.{forced} {then}"


def _left_out_lines(preview: KillPreview) -> list[str]:
    """Runs of the selection that the form does not list, each group with what to do."""
    lines = []
    if preview.omitted_count:
        more = counts.plural(preview.omitted_count, "more run")
        lines.append(
            f"{more} of the kind: only the oldest {len(preview.runs)} are listed and would be "
            "stopped. Type the command again for the rest."
        )
    if preview.stopping_count:
        lines.append(
            f"{counts.plural(preview.stopping_count, 'run is', 'runs are')} being stopped "
            "already; "
            "`--force` hurries that."
        )
    if preview.forbidden_count:
        lines.append(
            f"{counts.plural(preview.forbidden_count, 'run', 'runs')} of other people would be "
            "left alone; "
            "an operator can stop those."
        )
    return lines


def _row(snapshot: RunSnapshot, now: datetime) -> str:
    run = snapshot.run
    facts = [
        f"*{text.one_line(run.workflow_name, 40)}*",
        MRKDWN.person(snapshot.owner),
        _age_words(run, now),
        _cost(run),
        f"`{run.run_id}`",
    ]
    if run.kill_requested_at is not None:
        facts.append("being stopped already")
    return f"{' · '.join(facts)}\n> {task_name(snapshot, MRKDWN, 100)}{leg_suffix(snapshot)}"


def _age_words(run: Run, now: datetime) -> str:
    if run.status is RunStatus.RUNNING and run.started_at is not None:
        return f"running {times.elapsed(run.started_at, now)}"
    return f"waiting {times.elapsed(run.created_at, now)}"


def _cost(run: Run) -> str:
    if run.cost_usd is None:
        return "no cost, not begun" if run.started_at is None else "cost not reported yet"
    return money.cost(run.cost_usd, run.cost_source, is_live=True)


def _selection_words(run_filter: RunFilter) -> str:
    """The selected runs in words, as mrkdwn: `runs of yours of the workflow fix`."""
    of = f" of the workflow {text.code(run_filter.workflow, 42)}" if run_filter.workflow else ""
    return ("runs of yours" if run_filter.mine else "runs") + of


def _run_id_list(found: tuple[str, ...]) -> str:
    shown = ", ".join(f"`{run_id}`" for run_id in found[:_IDS_SHOWN])
    more = len(found) - _IDS_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
