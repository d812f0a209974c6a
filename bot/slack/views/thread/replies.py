"""The replies in a run's thread: one for each milestone, in its own slot, updated in place."""

from __future__ import annotations

from bot.slack import text
from bot.slack.mrkdwn import MRKDWN
from bot.slack.views import blocks
from bot.slack.views.message import Message
from bot.slack.views.thread.card import is_task_clipped
from bot.slack.views.thread.progress import progress_message
from bot.slack.views.thread.result import result_message
from bot.words import counts, texts, times
from bot.words.failures.retries import automatic_leg_words
from bot.words.kills import is_unconfirmed, survivor_words, unconfirmed_title
from bot.words.runs.names import leg_suffix, task_name
from bot.words.runs.notices import notice_lines
from bot.words.runs.recovery import RECOVERY_BEGUN
from core.domain.kills.termination import Phase
from core.domain.runs.snapshot import RunSnapshot, Thread
from core.domain.sessions.recovery import is_recovery

_TASK_SHOWN = 2800


def replies(thread: Thread) -> dict[str, Message]:
    """The replies below the card of a thread, by slot, in the order of posting."""
    drawn: dict[str, Message] = {}
    for index, leg in enumerate(thread.legs):
        run_id = leg.run.run_id
        candidates = {
            f"leg:{run_id}": _next_leg(leg) if index else None,
            f"task:{run_id}": _whole_task(leg) if not index else None,
            f"notices:{run_id}": _notices(leg),
            f"progress:{run_id}": progress_message(leg),
            f"kill:{run_id}": _unconfirmed(leg),
            f"proof:{run_id}": _late_confirmation(leg),
            f"result:{run_id}": result_message(leg, is_on_card=leg is thread.legs[-1]),
        }
        drawn |= {slot: message for slot, message in candidates.items() if message is not None}
    return drawn


def _next_leg(snapshot: RunSnapshot) -> Message:
    run = snapshot.run
    limit = f", up to {counts.plural(run.max_turns, 'turn')}" if run.max_turns else ""
    owner = MRKDWN.person(snapshot.owner)
    lead = f"↩️ *Continued* by {owner} as leg {snapshot.leg}{limit} · `{run.run_id}`"
    automatic = automatic_leg_words(run)
    if automatic is not None:
        lead = (
            f"↩️ *Continued automatically* as leg {snapshot.leg} ({automatic}){limit} · "
            f"`{run.run_id}`"
        )
    drawn = [
        blocks.section(lead),
        blocks.section(text.quote(run.task_input, _TASK_SHOWN) or "_No message_"),
    ]
    if is_recovery(run):
        drawn.append(blocks.section(f"⚠️ {text.escape(RECOVERY_BEGUN)}"))
    what = f"{task_name(snapshot, MRKDWN, 80)}{leg_suffix(snapshot)}"
    return Message(
        text=f"Continued: {what}: {text.one_line(run.task_input, 120)}", blocks=tuple(drawn)
    )


def _whole_task(snapshot: RunSnapshot) -> Message | None:
    task = snapshot.run.task_input
    if not is_task_clipped(task):
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
