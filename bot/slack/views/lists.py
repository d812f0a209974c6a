"""Answers to `status`, `list` and `workflows`, seen only by the person who asked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.slack import dates, markdown, text
from bot.slack.mrkdwn import MRKDWN
from bot.slack.views import blocks
from bot.slack.views.message import Block, Message
from bot.slack.views.thread.card import run_card
from bot.words import counts, money, times
from bot.words.runs.endings import turns_made
from bot.words.runs.evidence import change_lines
from bot.words.runs.facts import filter_words, short_title, turns_words
from bot.words.runs.refused_hosts import refused_hosts_line
from bot.words.runs.states import state_of
from core.domain.runs.request import RunFilter
from core.domain.runs.run import RunStatus
from core.domain.runs.snapshot import RunSnapshot
from core.domain.workflow import WorkflowDefinition

# Nobody reads longer lists, and a message could not hold them.
MAX_ROWS = 15
_LIVE_ROWS = 12
_RECENT_ROWS = 4
_RESULT_LIMIT = 1200
# The most characters of all lines of a list together.
_LINES_LIMIT = 6500


def status_message(snapshot: RunSnapshot, *, now: datetime) -> Message:
    """One run: its card, and for an ended run also its report and changes, shortened."""
    card = run_card(snapshot, now=now)
    run = snapshot.run
    more: list[Block] = []
    if not run.is_live and run.error_message:
        more.append(blocks.section(text.quote(run.error_message, 500) or "_No error text_"))
    if not run.is_live and run.result:
        report = markdown.mrkdwn_blocks(run.result, _RESULT_LIMIT)
        more += report or [blocks.section("_No words_")]
    if not run.is_live:
        more += [blocks.section(line) for line in change_lines(run, MRKDWN)[:1]]
    refused = refused_hosts_line(run, MRKDWN)
    if refused:
        more.append(blocks.section(refused))
    channel_link = text.channel(run.slack_channel_id)
    if channel_link:
        more.append(blocks.context(f"Its thread is in {channel_link}."))
    return Message(text=card.text, blocks=(*card.blocks, *more))


def overview_message(
    live: Sequence[RunSnapshot], recent: Sequence[RunSnapshot], *, now: datetime
) -> Message:
    """`status` without a run: what is live, and what ended last."""
    ended = [snapshot for snapshot in recent if not snapshot.run.is_live][:_RECENT_ROWS]
    count = len(live)
    live_words = (
        f"{count} runs (newest {_LIVE_ROWS} shown) are"
        if count > _LIVE_ROWS
        else counts.plural(count, "run is", "runs are")
    )
    lead = "Nothing is running or waiting." if not live else f"*{live_words} live*"
    drawn = blocks.paragraphs([lead, *(run_lines(one, now=now) for one in live[:_LIVE_ROWS])])
    if ended:
        drawn += blocks.paragraphs(["*Ended last*", *(run_lines(one, now=now) for one in ended)])
    drawn.append(
        blocks.context(
            text.escape("`/workflow status <run>` shows one; `/workflow kill <run>` stops one.")
        )
    )
    return Message(text=lead.replace("*", ""), blocks=tuple(drawn))


def run_list_message(
    snapshots: Sequence[RunSnapshot], *, run_filter: RunFilter, now: datetime
) -> Message:
    """`list`: the newest runs that match, a line or two each."""
    kind = filter_words(run_filter, MRKDWN)
    if not snapshots:
        words = f"No {kind} yet. `/workflow run` starts one; `/workflow list` lists all."
        return Message(text=words, blocks=(blocks.section(words),))
    shown = snapshots[:MAX_ROWS]
    lead = f"*{kind.capitalize()}*, newest first"
    drawn = blocks.paragraphs(
        [
            lead,
            *blocks.fit_lines([run_lines(snapshot, now=now) for snapshot in shown], _LINES_LIMIT),
        ]
    )
    note = f"The newest {len(shown)} are shown. " if len(shown) >= MAX_ROWS else ""
    drawn.append(
        blocks.context(
            note
            + text.escape(
                "`/workflow status <run>` shows one. Filters: `mine`, `live`, `failed`, "
                "`workflow=<name>`."
            )
        )
    )
    return Message(text=f"{counts.plural(len(shown), 'run')} listed", blocks=tuple(drawn))


def run_lines(snapshot: RunSnapshot, *, now: datetime) -> str:
    """A run in two lines: its task, and its state."""
    run = snapshot.run
    state = state_of(snapshot, MRKDWN)
    words = text.one_line(run.task_input, 90)
    facts = [text.escape(short_title(run, state.title))]
    if run.status is RunStatus.RUNNING:
        facts.append(f"turn {turns_words(run)}")
    elif run.turns and not run.is_live:
        facts.append(counts.plural(turns_made(run), "turn"))
    if run.duration is not None:
        facts.append(times.duration(run.duration))
    elif run.status is RunStatus.RUNNING and run.started_at is not None:
        facts.append(times.elapsed(run.started_at, now))
    if run.cost_usd is not None:
        facts.append(money.cost(run.cost_usd, run.cost_source, is_live=run.is_live))
    facts += [MRKDWN.person(snapshot.owner), dates.date_time(run.created_at)]
    lead = f"{state.icon} `{run.run_id}` *{text.one_line(run.workflow_name, 40)}* {words}"
    return f"{lead}\n{' · '.join(facts)}"


def workflow_list_message(definitions: Sequence[WorkflowDefinition]) -> Message:
    """`workflows`: the available workflows."""
    if not definitions:
        words = "There are no workflows. Ask an admin to look at `SIGNALBOX_WORKFLOWS`."
        return Message(text=words, blocks=(blocks.section(words),))
    lines = blocks.fit_lines(
        [_workflow_line(definition) for definition in definitions], _LINES_LIMIT
    )
    example = text.escape("`/workflow run <workflow> <task>` starts one, `/workflow run` asks.")
    return Message(
        text=f"{counts.plural(len(definitions), 'workflow')} to run",
        blocks=(
            *blocks.paragraphs(["*Workflows*", *lines]),
            blocks.context(example),
        ),
    )


def _workflow_line(definition: WorkflowDefinition) -> str:
    limits = [counts.plural(definition.max_turns, "turn"), times.time_limit(definition.timeout)]
    if definition.budget_usd is not None:
        limits.append(money.dollars(definition.budget_usd))
    aliases = ", ".join(text.code(alias, 42) for alias in definition.aliases[:4])
    also = f" · also {aliases}" if aliases else ""
    return (
        f"{text.code(definition.name, 42)} {text.one_line(definition.description, 200)}\n"
        f"up to {', '.join(limits)}{also}"
    )
