"""The reply at the end of a run: changes and what to do next, then the agent's words.

The card of the thread shows the newest run's end and figures, so its result repeats none of them.
The result of an earlier run begins with them, since the card shows them no more.
"""

from __future__ import annotations

from bot.slack import dates, markdown, text
from bot.slack.mrkdwn import MRKDWN
from bot.slack.views import blocks
from bot.slack.views.advice import ENDING_ADVICE, ending_advice
from bot.slack.views.message import Block, Message, TextFile
from bot.slack.views.thread.card import ERROR_LIMIT, REASONS_WITH_ERROR
from bot.words import counts, money, texts, times
from bot.words.failures import retries
from bot.words.kills import PROOF_WORDS, ended_words, killed_by, saved_work_words, waited_words
from bot.words.runs.endings import ENDINGS, ending_explanation, usage_reset
from bot.words.runs.names import leg_suffix, task_name
from bot.words.runs.refused_hosts import refused_hosts_line
from bot.words.runs.states import state_of
from bot.words.runs.work.evidence import change_lines, line_about_tests
from core.domain.kills.termination import Phase, ProofMethod
from core.domain.runs.report import last_words_of
from core.domain.runs.run import Run, RunStatus, StopReason
from core.domain.runs.snapshot import RunSnapshot

RESULT_LIMIT = 3200
_ERROR_LIMIT = 700
_LAST_WORDS_LIMIT = 1200
_LAST_WORDS = "*What the agent said last*"
# The errors of other reasons say no more than the title.
_REASONS_WITH_ERROR = frozenset(
    {
        StopReason.API_ERROR,
        StopReason.AGENT_ERROR,
        StopReason.WORKER_LOST,
        StopReason.WORKSPACE_ERROR,
        StopReason.SETUP_ERROR,
    }
)


def result_message(snapshot: RunSnapshot, *, is_on_card: bool = True) -> Message | None:
    """What a run changed, what to do next, and what the agent said; `None` while it is live.

    Args:
        snapshot: The run.
        is_on_card: Whether the card above shows how this run ended.
    """
    run = snapshot.run
    if run.is_live or run.stop_reason is None:
        return None
    drawn = [] if is_on_card else [_headline(snapshot)]
    if run.stop_reason is not StopReason.SUCCESS:
        drawn += _what_happened(snapshot, run.stop_reason, is_on_card=is_on_card)
    drawn += _changes(run, is_on_card=is_on_card)
    if run.stop_reason is StopReason.SUCCESS:
        drawn += _report(run) or [blocks.section("_The agent ended without a word._")]
        advice = f" · {ending_advice(run)}" if is_on_card else ""
        drawn.append(blocks.context(f"`{run.run_id}`{advice}"))
    else:
        drawn += _report(run, lead=_LAST_WORDS)
        drawn.append(blocks.context(f"`{run.run_id}`"))
    return Message(text=result_summary(snapshot), blocks=tuple(drawn))


def result_summary(snapshot: RunSnapshot) -> str:
    """The end of a run in one line, for notifications."""
    state, run = state_of(snapshot, MRKDWN), snapshot.run
    report_words = (
        markdown.first_words(last_words_of(run.result or ""), 160)
        or f"{task_name(snapshot, MRKDWN, 120)}{leg_suffix(snapshot)}"
    )
    title = f"{state.icon} {text.escape(state.title)} · {text.escape(run.workflow_name)}"
    return f"{title}: {report_words}"


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


def _headline(snapshot: RunSnapshot) -> Block:
    """How a run ended, with the figures that the card showed while it was the newest."""
    run, state = snapshot.run, state_of(snapshot, MRKDWN)
    facts = [f"{state.icon} *{text.escape(state.title)}*"]
    if run.duration is not None:
        facts.append(times.duration(run.duration))
    if run.turns and run.stop_reason is not StopReason.MAX_TURNS:
        facts.append(counts.plural(run.turns, "turn"))
    if run.cost_usd is not None:
        facts.append(f"cost {money.cost(run.cost_usd, run.cost_source, is_live=False)}")
    facts.append(MRKDWN.person(snapshot.owner))
    return blocks.section(" · ".join(facts))


def _what_happened(snapshot: RunSnapshot, reason: StopReason, *, is_on_card: bool) -> list[Block]:
    run = snapshot.run
    if run.status is RunStatus.KILLED:
        return [blocks.section("\n".join(_kill_lines(snapshot, is_on_card=is_on_card)))]
    # Why nothing more is done by itself.
    why_over = " ".join(filter(None, [retries.ended_words(run), retries.not_continued_words(run)]))
    over = f"{text.escape(why_over)} " if why_over else ""
    words = f"{ending_explanation(run)} {_reset(snapshot)}{over}*Next:* {ending_advice(run)}"
    drawn = [blocks.section(words)]
    error = text.quote(run.error_message or "", _ERROR_LIMIT)
    is_told = reason not in _REASONS_WITH_ERROR or (is_on_card and _is_error_on_card(run))
    return drawn if is_told or not error else [*drawn, blocks.section(error)]


def _is_error_on_card(run: Run) -> bool:
    """Whether the card shows the whole error."""
    message = (run.error_message or "").strip()
    is_line = "\n" not in message and len(text.escape(message)) <= ERROR_LIMIT
    return run.stop_reason in REASONS_WITH_ERROR and is_line


def _kill_lines(snapshot: RunSnapshot, *, is_on_card: bool) -> list[str]:
    run, kill = snapshot.run, snapshot.termination
    advice = ENDING_ADVICE[StopReason.KILLED]
    if kill is None:
        return [f"{ENDINGS[StopReason.KILLED].explanation} *Next:* {advice}"]
    lines = [] if is_on_card else [killed_by(kill, MRKDWN)]
    waited = waited_words(kill, MRKDWN)
    if kill.phase is Phase.CONFIRMED and run.started_at is not None:
        proof = PROOF_WORDS[kill.proof_by or ProofMethod.PROCESS_SCAN]
        parts = (f"*Proof:* {proof}", ended_words(kill), waited)
        lines.append(" ".join(part for part in parts if part))
    elif waited:
        lines.append(waited)
    saved = saved_work_words(run, kill, MRKDWN)
    if saved:
        lines.append(f"*Work kept:* {saved}")
    lines.append(f"*Next:* {advice}")
    return lines


def _changes(run: Run, *, is_on_card: bool) -> list[Block]:
    lines = change_lines(run, MRKDWN, has_total=not is_on_card)
    tests = "" if is_on_card else line_about_tests(run, MRKDWN)
    refused = refused_hosts_line(run, MRKDWN)
    lines += [line for line in (tests, refused) if line]
    return blocks.paragraphs(lines) if lines else []


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


def _reset(snapshot: RunSnapshot) -> str:
    at = usage_reset(snapshot)
    is_limit = snapshot.run.stop_reason is StopReason.USAGE_LIMIT
    return f"It resets {dates.date_time(at)}. " if is_limit and at is not None else ""
