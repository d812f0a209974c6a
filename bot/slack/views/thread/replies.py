"""The replies in a run's thread: one for each milestone, in its own slot, updated in place."""

from __future__ import annotations

from bot.slack import dates, markdown, text
from bot.slack.mrkdwn import MRKDWN
from bot.slack.views import blocks
from bot.slack.views.advice import ENDING_ADVICE, ending_advice
from bot.slack.views.message import Block, Message, TextFile
from bot.slack.views.thread.card import TASK_LIMIT
from bot.words import counts, money, texts, times
from bot.words.kills import (
    PROOF_WORDS,
    is_unconfirmed,
    killed_by,
    killed_title,
    saved_work_words,
    survivor_words,
    unconfirmed_title,
    waited_words,
)
from bot.words.runs.endings import ENDINGS, ending_explanation, ending_title, usage_reset
from bot.words.runs.evidence import change_lines, line_about_tests
from bot.words.runs.notices import notice_lines
from bot.words.runs.refused_hosts import refused_hosts_line
from bot.words.runs.states import state_of
from core.domain.kills.termination import Phase, ProofMethod
from core.domain.runs.report import last_words_of
from core.domain.runs.run import Run, RunStatus, StopReason
from core.domain.runs.snapshot import RunSnapshot, Thread

RESULT_LIMIT = 3200
_TASK_SHOWN = 2800
_ERROR_LIMIT = 700
_LAST_WORDS_LIMIT = 1200


def replies(thread: Thread) -> dict[str, Message]:
    """The replies below the card of a thread, by slot, in the order of posting."""
    drawn: dict[str, Message] = {}
    for index, leg in enumerate(thread.legs):
        run_id = leg.run.run_id
        candidates = {
            f"leg:{run_id}": _next_leg(leg) if index else None,
            f"task:{run_id}": _whole_task(leg) if not index else None,
            f"notices:{run_id}": _notices(leg),
            f"kill:{run_id}": _unconfirmed(leg),
            f"proof:{run_id}": _late_confirmation(leg),
            f"result:{run_id}": result_message(leg),
        }
        drawn |= {slot: message for slot, message in candidates.items() if message is not None}
    return drawn


def result_message(snapshot: RunSnapshot) -> Message | None:
    """How a run ended, what it changed, and what to do next; `None` while it is live."""
    run = snapshot.run
    if run.is_live or run.stop_reason is None:
        return None
    if run.stop_reason is StopReason.SUCCESS:
        return _completed(snapshot)
    if run.status is RunStatus.KILLED:
        return _killed(snapshot)
    return _failed(snapshot, run.stop_reason)


def file_for(snapshot: RunSnapshot) -> TextFile | None:
    """The whole report as a file, if the message contains only its beginning."""
    run = snapshot.run
    if run.is_live or not run.result or not _is_clipped(run.result):
        return None
    return TextFile(
        name=f"{run.run_id}-report.md",
        title=f"Report of {run.run_id}",
        content=texts.clean(run.result).strip() + "\n",
    )


def owner_notice(thread: Thread) -> Message:
    """A direct message about the end of a run whose thread can no longer be written to."""
    leg = thread.legs[-1]
    where = text.channel(thread.channel_id) or "its channel"
    ended = result_message(leg)
    lead = (
        f"I can't write in {where} any more (archived, or I was removed), so here is how your "
        f"run `{leg.run.run_id}` ended. To have threads again, use `/invite @signalbox` there."
    )
    return Message(
        text=_summary(leg),
        blocks=(blocks.context(lead), *(ended.blocks if ended is not None else ())),
    )


def _completed(snapshot: RunSnapshot) -> Message:
    run = snapshot.run
    ending = ENDINGS[StopReason.SUCCESS]
    drawn = [_headline(snapshot, ending.icon, ending_title(run))]
    drawn += _report(run)
    drawn += _changes(run)
    drawn.append(blocks.context(f"`{run.run_id}` · {ENDING_ADVICE[StopReason.SUCCESS]}"))
    return Message(text=_summary(snapshot), blocks=tuple(drawn))


def _failed(snapshot: RunSnapshot, reason: StopReason) -> Message:
    run, ending = snapshot.run, ENDINGS[reason]
    drawn = [
        _headline(snapshot, ending.icon, ending_title(run)),
        blocks.section(f"{ending_explanation(run)} {_reset(snapshot)}*Next:* {ending_advice(run)}"),
    ]
    error = text.quote(run.error_message or "", _ERROR_LIMIT)
    if error:
        drawn.append(blocks.section(error))
    drawn += _report(run, lead="*What the agent said last*")
    drawn += _changes(run)
    drawn.append(blocks.context(f"`{run.run_id}`"))
    return Message(text=_summary(snapshot), blocks=tuple(drawn))


def _killed(snapshot: RunSnapshot) -> Message:
    run, kill = snapshot.run, snapshot.termination
    drawn = [_headline(snapshot, "🛑", killed_title(run, kill))]
    drawn.append(blocks.section("\n".join(_kill_lines(snapshot))))
    drawn += _report(run, lead="*What the agent said last*")
    drawn += _changes(run)
    drawn.append(blocks.context(f"`{run.run_id}`"))
    return Message(text=_summary(snapshot), blocks=tuple(drawn))


def _kill_lines(snapshot: RunSnapshot) -> list[str]:
    run, kill = snapshot.run, snapshot.termination
    advice = ENDING_ADVICE[StopReason.KILLED]
    if kill is None:
        return [f"{ENDINGS[StopReason.KILLED].explanation} *Next:* {advice}"]
    lines = [killed_by(kill, MRKDWN)]
    waited = waited_words(kill, MRKDWN)
    if kill.phase is Phase.CONFIRMED and run.started_at is not None:
        proof = f"*Proof:* {PROOF_WORDS[kill.proof_by or ProofMethod.PROCESS_SCAN]} {waited}"
        lines.append(proof.rstrip())
    elif waited:
        lines.append(waited)
    saved = saved_work_words(kill, MRKDWN)
    if saved:
        lines.append(f"*Work kept:* {saved}")
    lines.append(f"*Next:* {advice}")
    return lines


def _headline(snapshot: RunSnapshot, icon: str, title: str) -> Block:
    run = snapshot.run
    facts = [f"{icon} *{text.escape(title)}*"]
    if run.duration is not None:
        facts.append(times.duration(run.duration))
    if run.turns:
        facts.append(counts.plural(run.turns, "turn"))
    if run.started_at is not None:
        facts.append(f"cost {money.cost(run.cost_usd, run.cost_source, is_live=False)}")
    facts.append(MRKDWN.person(snapshot.owner))
    return blocks.section(" · ".join(facts))


def _report(run: Run, *, lead: str | None = None) -> list[Block]:
    words = run.result or ""
    shown = markdown.report_blocks(words, RESULT_LIMIT)
    if not shown:
        return []
    drawn = [*([blocks.section(lead)] if lead else []), *shown]
    if _is_clipped(words):
        drawn.append(blocks.context("This is the beginning; the whole report follows as a file."))
        last_words = last_words_of(words)
        if last_words != words.strip():
            drawn += markdown.report_blocks(last_words, _LAST_WORDS_LIMIT)
    return drawn


def _is_clipped(words: str) -> bool:
    return markdown.is_clipped(words, RESULT_LIMIT)


def _changes(run: Run) -> list[Block]:
    lines = change_lines(run, MRKDWN)
    tests = line_about_tests(run, MRKDWN)
    refused = refused_hosts_line(run, MRKDWN)
    lines += [line for line in (tests, refused) if line]
    return blocks.paragraphs(lines) if lines else []


def _reset(snapshot: RunSnapshot) -> str:
    at = usage_reset(snapshot)
    is_limit = snapshot.run.stop_reason is StopReason.USAGE_LIMIT
    return f"It resets {dates.date_time(at)}. " if is_limit and at is not None else ""


def _next_leg(snapshot: RunSnapshot) -> Message:
    run = snapshot.run
    limit = f", up to {counts.plural(run.max_turns, 'turn')}" if run.max_turns else ""
    owner = MRKDWN.person(snapshot.owner)
    lead = f"↩️ *Continued* by {owner} as leg {snapshot.leg}{limit} · `{run.run_id}`"
    return Message(
        text=f"Continued as leg {snapshot.leg}: {text.one_line(run.task_input, 120)}",
        blocks=(
            blocks.section(lead),
            blocks.section(text.quote(run.task_input, _TASK_SHOWN) or "_No message_"),
        ),
    )


def _whole_task(snapshot: RunSnapshot) -> Message | None:
    task = snapshot.run.task_input
    if not text.quote(task, TASK_LIMIT).endswith(texts.ELLIPSIS):
        return None
    # Not a quote: that would show only the first lines.
    shown = text.escape(task, _TASK_SHOWN)
    lead = "*The whole task*" if not shown.endswith(texts.ELLIPSIS) else "*More of the task*"
    return Message(
        text=f"The task: {text.one_line(task, 120)}",
        blocks=(blocks.section(lead), blocks.section(shown)),
    )


def _notices(snapshot: RunSnapshot) -> Message | None:
    lines = notice_lines(snapshot, MRKDWN)
    if not lines:
        return None
    return Message(text=lines[-1], blocks=tuple(blocks.paragraphs(lines)))


def _unconfirmed(snapshot: RunSnapshot) -> Message | None:
    """The warning that a kill is not proven; after the proof, the same slot says so."""
    kill = snapshot.termination
    if kill is None or Phase.UNCONFIRMED not in kill.phases:
        return None
    if not is_unconfirmed(kill):
        words = (
            "⚠️ For a while it was not proven that nothing of this run is left. That is over: "
            "nothing is left running."
        )
        return Message(text=words, blocks=(blocks.section(words),))
    # Also for a run that was abandoned: its card shows the end, but the kill is still open.
    title = unconfirmed_title(snapshot, kill)
    words = survivor_words(snapshot, kill, MRKDWN)
    return Message(
        text=f"⚠️ `{snapshot.run.run_id}`: {text.escape(title)}.",
        blocks=(blocks.section(f"⚠️ *{text.escape(title)}*\n{words}"),),
    )


def _late_confirmation(snapshot: RunSnapshot) -> Message | None:
    """The late proof of a kill: a new reply, because Slack sends no notification for an edit."""
    kill = snapshot.termination
    if kill is None or Phase.UNCONFIRMED not in kill.phases or is_unconfirmed(kill):
        return None
    took = f", {times.duration(kill.elapsed)} after the request" if kill.elapsed else ""
    words = f"✅ The kill is confirmed after all{took}: nothing of the run is left running."
    return Message(text=words, blocks=(blocks.section(words),))


def _summary(snapshot: RunSnapshot) -> str:
    state, run = state_of(snapshot, MRKDWN), snapshot.run
    last_words = markdown.first_words(last_words_of(run.result or ""), 160)
    report_words = last_words or text.one_line(run.task_input, 120)
    title = f"{state.icon} {text.escape(state.title)} · {text.escape(run.workflow_name)}"
    return f"{title}: {report_words}"
