"""Answers to `status`, `list`, `kill` and `workflows`, seen only by the person who asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.slack import markdown, text
from bot.slack.commands.kill_command import kill_command_text
from bot.slack.mrkdwn import MRKDWN
from bot.slack.views import blocks
from bot.slack.views.details import detail_blocks
from bot.slack.views.message import Block, Message
from bot.slack.views.runs.links import NO_LINKS, ThreadLinks
from bot.slack.views.runs.rows import kill_listed_button, may_kill, owned_by, run_line, run_rows
from bot.slack.views.thread.card import run_card
from bot.words import counts, money, times
from bot.words.runs.facts import filter_words
from core.domain.actor import Actor
from core.domain.runs.report import last_words_of
from core.domain.runs.request import KillRequest, RunFilter
from core.domain.runs.snapshot import RunSnapshot
from core.domain.workflow import WorkflowDefinition

# Nobody reads longer lists, and a message could not hold them.
MAX_ROWS = 15
_LIVE_ROWS = 12
_RECENT_ROWS = 4
_RESULT_LIMIT = 1200
_LAST_WORDS_LIMIT = 600
# The most characters of all lines of a list together, and of those of live runs.
_LINES_LIMIT = 6500
_LIVE_LIMIT = 4700


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Who reads an answer: decides which buttons it has, and how it links to threads."""

    actor: Actor
    links: ThreadLinks = NO_LINKS


def status_message(
    snapshot: RunSnapshot, *, now: datetime, links: ThreadLinks = NO_LINKS
) -> Message:
    """One run: its card, all its figures, and for an ended run its report, shortened."""
    card = run_card(snapshot, now=now, task=snapshot.about)
    run = snapshot.run
    more = detail_blocks(snapshot, now=now)
    if not run.is_live and run.result:
        more += _report(run.result) or [blocks.section("_No words_")]
    channel_link = text.channel(run.slack_channel_id)
    if channel_link:
        thread = links.to_thread(snapshot.card, "Its thread")
        more.append(blocks.context(f"{thread} is in {channel_link}."))
    return Message(text=card.text, blocks=(*card.blocks, *more))


def _report(result: str) -> list[Block]:
    """The beginning of a report, and the last words below it."""
    drawn = markdown.mrkdwn_blocks(result, _RESULT_LIMIT)
    last_words = last_words_of(result)
    if last_words != result.strip() and markdown.is_clipped(result, _RESULT_LIMIT):
        drawn += markdown.mrkdwn_blocks(last_words, _LAST_WORDS_LIMIT)
    return drawn


def overview_message(
    live: Sequence[RunSnapshot],
    recent: Sequence[RunSnapshot],
    *,
    reader: Reader,
    now: datetime,
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
    drawn = [blocks.section(lead), *_rows(live[:_LIVE_ROWS], reader, now, limit=_LIVE_LIMIT)]
    if ended:
        limit = _LINES_LIMIT - _LIVE_LIMIT
        drawn += [blocks.section("*Ended last*"), *_rows(ended, reader, now, limit=limit)]
    drawn.append(
        blocks.context(
            text.escape(
                "`/workflow status <run>` shows one; `/workflow kill` offers yours to stop."
            )
        )
    )
    return Message(text=lead.replace("*", ""), blocks=tuple(drawn))


def run_list_message(
    snapshots: Sequence[RunSnapshot],
    *,
    run_filter: RunFilter,
    reader: Reader,
    now: datetime,
) -> Message:
    """`list`: the newest runs that match, a line each."""
    kind = filter_words(run_filter, MRKDWN)
    if not snapshots:
        words = f"No {kind} yet. `/workflow run` starts one; `/workflow list` lists all."
        return Message(text=words, blocks=(blocks.section(words),))
    shown = snapshots[:MAX_ROWS]
    drawn = [
        blocks.section(f"*{kind.capitalize()}*, newest first"),
        *_rows(shown, reader, now, limit=_LINES_LIMIT),
    ]
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


def kill_offer(
    snapshots: Sequence[RunSnapshot], *, force: bool, reader: Reader, now: datetime
) -> Message:
    """`kill` without a run: the reader's live runs, each with a button."""
    if not snapshots:
        words = (
            "You have no live run to stop. `/workflow list live` shows everybody's; "
            "`/workflow kill <run>` stops one that you may stop."
        )
        return Message(text=words, blocks=(blocks.section(text.escape(words)),))
    lead = "Which run shall I stop?" if len(snapshots) > 1 else "Shall I stop this run?"
    shown = snapshots[:MAX_ROWS]
    lines = blocks.fit_lines(
        [run_line(one, now=now, links=reader.links) for one in shown], _LINES_LIMIT
    )
    drawn = [blocks.section(f"*{lead}* Nothing has been stopped yet.")]
    for number, line in enumerate(lines):
        is_run = not line.startswith("_+")
        drawn.append(_offer_row(shown[number], line, force) if is_run else blocks.section(line))
    drawn.append(
        blocks.context(text.escape("`/workflow kill --all mine` lists all of yours in one form."))
    )
    return Message(text=lead, blocks=tuple(drawn))


def _offer_row(snapshot: RunSnapshot, line: str, force: bool) -> Block:
    run = snapshot.run
    if run.kill_requested_at is not None and not force:
        return blocks.section(f"{line} · _being stopped already_")
    command = kill_command_text(KillRequest(target=run.run_id, force=force))
    return blocks.section_with(line, kill_listed_button(snapshot, is_own=True, command=command))


def _rows(
    snapshots: Sequence[RunSnapshot], reader: Reader, now: datetime, *, limit: int
) -> list[Block]:
    return run_rows(
        snapshots,
        now=now,
        links=reader.links,
        can_kill=may_kill(reader.actor),
        is_own=owned_by(reader.actor),
        limit=limit,
    )


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
