"""What is asked before a kill, and what is said of it: whose run, and what it has cost so far."""

from __future__ import annotations

from datetime import datetime

from bot.slack import figures, ids, text
from bot.slack.commands.kill_text import kill_words
from bot.slack.views import blocks
from bot.slack.views.kills.wording import KEPT, question
from bot.slack.views.message import Block, Message, View
from bot.slack.views.modals import field, modal, text_input
from core.domain.kills.selection import MAX_REASON_CHARS, KillManyOutcome, KillOffer
from core.domain.runs.request import KillRequest, RunFilter
from core.domain.runs.run import RUN_ID_PREFIX, Run, RunStatus
from core.domain.runs.snapshot import RunSnapshot

_KEPT_MANY = "Their work so far is kept, and each can be continued later."
FORCED = "By force: no time is given to finish what is being written."
_IDS_SHOWN = 12


def kill_form(snapshot: RunSnapshot, wish: KillRequest, *, channel_id: str, now: datetime) -> View:
    """The form that asks before somebody else's run is killed."""
    run = snapshot.run
    return modal(
        callback_id=ids.KILL_FORM,
        title="Stop this run?",
        submit="Force kill it" if wish.force else "Stop it",
        close="Let it run",
        metadata={"channel_id": channel_id, "run_id": run.run_id, "force": wish.force},
        drawn=[*_one(snapshot, wish, now), _reason_field(wish.reason)],
    )


def kill_question(snapshot: RunSnapshot, wish: KillRequest, *, now: datetime) -> Message:
    """The same question as a private message, where no form can be opened."""
    run = snapshot.run
    exact = KillRequest(named=run.run_id, force=wish.force, reason=wish.reason)
    drawn = _one(snapshot, wish, now)
    if wish.reason:
        drawn.append(blocks.context(f"Reason: {text.one_line(wish.reason, MAX_REASON_CHARS)}"))
    drawn.append(
        blocks.actions(
            ids.KILL_QUESTION,
            [
                blocks.button(
                    "Force kill it" if wish.force else "Stop it",
                    action_id=ids.KILL_ANYWAY,
                    value=kill_words(exact),
                    style="danger",
                )
            ],
        )
    )
    return Message(
        text=text.escape(f"{question(snapshot)} Nothing has been stopped yet."),
        blocks=tuple(drawn),
    )


def kill_many_form(offer: KillOffer, *, channel_id: str, now: datetime) -> View:
    """The form that lists the runs it would kill."""
    count = len(offer.listed)
    these = "this run" if count == 1 else f"these {count} runs"
    return modal(
        callback_id=ids.KILL_MANY_FORM,
        title=f"Stop {these}?",
        submit=f"{'Force kill' if offer.selection.force else 'Stop'} "
        + figures.plural(count, "run"),
        close="Let them run" if count > 1 else "Let it run",
        metadata={
            "channel_id": channel_id,
            "runs": " ".join(one.run.run_id.removeprefix(RUN_ID_PREFIX) for one in offer.listed),
            "force": offer.selection.force,
        },
        drawn=[
            blocks.section(_lead(offer)),
            *blocks.paragraphs([_row(one, now) for one in offer.listed]),
            *(blocks.context(line) for line in _left_out(offer)),
            _reason_field(offer.selection.reason),
        ],
    )


def kill_many_question(offer: KillOffer) -> Message:
    """The way to that form, where none can be opened yet."""
    words = f"{_lead(offer)} Nothing has been stopped yet."
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
                        value=kill_words(offer.selection),
                        style="danger",
                    )
                ],
            ),
        ),
    )


def nothing_to_kill(offer: KillOffer) -> Message:
    """That a selection is empty, and what else there is."""
    words = f"Nothing to stop: there are no live {_kind(offer.selection.wanted)}."
    lines = [text.escape(words), *_left_out(offer)]
    return Message(text=lines[0], blocks=tuple(blocks.paragraphs(lines)))


def killed_many(outcome: KillManyOutcome) -> Message:
    """What came of it, run by run."""
    count = figures.plural
    told = (
        (
            outcome.asked,
            f"Asked {count(len(outcome.asked), 'run')} to stop",
            " Each card shows the proof when nothing of its run is left.",
        ),
        (
            outcome.stopping,
            f"{count(len(outcome.stopping), 'run is', 'runs are')} being stopped already",
            "",
        ),
        (
            outcome.ended,
            f"{count(len(outcome.ended), 'run')} had ended meanwhile",
            "",
        ),
        (
            outcome.refused,
            f"{count(len(outcome.refused), 'run')} left alone",
            " Somebody else's: the owner or an operator can stop that.",
        ),
    )
    lines = [f"*{words}*: {_ids(found)}.{then}" for found, words, then in told if found]
    if not outcome.asked:
        lines.insert(0, "Nothing more was stopped.")
    return Message(text=lines[0].replace("*", ""), blocks=tuple(blocks.paragraphs(lines)))


def _one(snapshot: RunSnapshot, wish: KillRequest, now: datetime) -> list[Block]:
    run, owner = snapshot.run, snapshot.owner
    mention = text.person(owner.slack_user_id, owner.name) if owner else "nobody known"
    task = text.quote(run.task_input, 400) or "_No task_"
    pairs = [
        ("Owner", mention),
        ("Cost so far", _cost(run)),
        ("Workflow", text.one_line(run.workflow_name, 60)),
        ("Now", _since(run, now)),
    ]
    return [
        blocks.section(f"*{text.escape(question(snapshot))}*"),
        blocks.section(task),
        blocks.fields(pairs),
        blocks.context(f"`{run.run_id}`" + (f" · ⚠️ {FORCED}" if wish.force else "")),
    ]


def _reason_field(reason: str | None) -> Block:
    return field(
        ids.FIELD_REASON,
        "Why?",
        text_input(
            "wrong branch",
            longest=MAX_REASON_CHARS,
            initial=text.clip(text.clean(reason or ""), MAX_REASON_CHARS),
        ),
        hint="The owner reads it on the card.",
        optional=True,
    )


def _lead(offer: KillOffer) -> str:
    count = len(offer.listed)
    kind = _kind(offer.selection.wanted)
    live = f"*{count} live {kind.replace('runs', 'run', 1) if count == 1 else kind}*"
    forced = f" {FORCED}" if offer.selection.force else ""
    then = KEPT if count == 1 else _KEPT_MANY
    return f"{live} would be stopped.{forced} {then}"


def _left_out(offer: KillOffer) -> list[str]:
    """What a selection means and the form does not hold, each with what to do."""
    lines = []
    if offer.not_listed:
        more = figures.plural(offer.not_listed, "more run")
        lines.append(
            f"{more} of the kind: only the oldest {len(offer.listed)} are listed and would be "
            "stopped. Type the command again for the rest."
        )
    if offer.stopping:
        lines.append(
            f"{figures.plural(offer.stopping, 'run is', 'runs are')} being stopped already; "
            "`--force` hurries that."
        )
    if offer.others:
        lines.append(
            f"{figures.plural(offer.others, 'run', 'runs')} of other people would be left alone; "
            "an operator can stop those."
        )
    return lines


def _row(snapshot: RunSnapshot, now: datetime) -> str:
    run, owner = snapshot.run, snapshot.owner
    facts = [
        f"*{text.one_line(run.workflow_name, 40)}*",
        text.person(owner.slack_user_id, owner.name) if owner else "nobody known",
        _since(run, now),
        _cost(run),
        f"`{run.run_id}`",
    ]
    if run.kill_requested_at is not None:
        facts.append("being stopped already")
    return f"{' · '.join(facts)}\n> {text.one_line(run.task_input, 100) or '_No task_'}"


def _since(run: Run, now: datetime) -> str:
    if run.status is RunStatus.RUNNING and run.started_at is not None:
        return f"running {figures.elapsed(run.started_at, now)}"
    return f"waiting {figures.elapsed(run.created_at, now)}"


def _cost(run: Run) -> str:
    if run.cost_usd is None:
        return "no cost, not begun" if run.started_at is None else "cost not reported yet"
    return figures.cost(run.cost_usd, run.cost_source, is_live=True)


def _kind(wanted: RunFilter) -> str:
    """Which runs, as mrkdwn without marks: `runs of yours of the workflow fix`."""
    of = f" of the workflow {text.code(wanted.workflow, 42)}" if wanted.workflow else ""
    return ("runs of yours" if wanted.mine else "runs") + of


def _ids(found: tuple[str, ...]) -> str:
    shown = ", ".join(f"`{run_id}`" for run_id in found[:_IDS_SHOWN])
    more = len(found) - _IDS_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
