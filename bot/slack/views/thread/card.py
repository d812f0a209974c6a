"""The card: the first message of a thread, updated in place while the run proceeds.

It is about six lines, so that a person understands it on a phone: a title, what came out or what
happens now, and one line of context.  The thread and the details have the rest.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from bot.slack import ids, text
from bot.slack.mrkdwn import MRKDWN
from bot.slack.views import blocks
from bot.slack.views.message import Block, Message
from bot.slack.views.runs.links import NO_LINKS, ThreadLinks
from bot.slack.views.runs.restart_lines import restart_lines
from bot.slack.views.thread.buttons import run_buttons
from bot.words.runs.figures import (
    NO_CHANGE,
    context_facts,
    current_step_words,
    ended_steps_words,
    outcome_figures,
)
from bot.words.runs.states import StateWords, state_of
from bot.words.runs.waiting.silence import is_worrying, silence_of, silence_title, waiting_words
from core.domain.runs.run import Run, RunStatus, StopReason
from core.domain.runs.snapshot import RunSnapshot, Thread

# A longer task is shown in full below the card.
TASK_LIMIT = 100
_WORKFLOW_LIMIT = 40
# The ends whose card shows the error; a longer one is shown in full below.
REASONS_WITH_ERROR = frozenset({StopReason.API_ERROR, StopReason.AGENT_ERROR})
ERROR_LIMIT = 200


def thread_card(thread: Thread, *, now: datetime, links: ThreadLinks = NO_LINKS) -> Message:
    """Draw the card of a thread: its newest run, under the task of its first run."""
    first, newest = thread.legs[0], thread.legs[-1]
    restarts = tuple(link for leg in thread.legs for link in leg.restarts)
    shown = replace(newest, restarted_from=first.restarted_from, restarts=restarts)
    return run_card(shown, now=now, task=first.run.task_input, links=links, first=first.run)


def run_card(
    snapshot: RunSnapshot,
    *,
    now: datetime,
    task: str | None = None,
    links: ThreadLinks = NO_LINKS,
    first: Run | None = None,
) -> Message:
    """Draw a run.  Pure: the same run at the same time gives the same message.

    Args:
        snapshot: The run.
        now: The current time, for elapsed times, which are shown in coarse steps.
        task: The task of the thread, if it is not this run's own task.
        links: Makes links to the threads of other runs.
        first: The first run of the thread, if it is another one.
    """
    state = state_of(snapshot, MRKDWN)
    about = snapshot.run.task_input if task is None else task
    silence = silence_of(snapshot, now)
    if silence is not None and is_worrying(snapshot, now):
        state = StateWords(icon="🕐", title=silence_title(silence))
    drawn: list[Block] = [blocks.section(_title(snapshot, state, about))]
    lines = _lines(snapshot, state, now)
    lines += restart_lines(snapshot, snapshot.run if first is None else first, links)
    if lines:
        drawn.append(blocks.section("\n".join(lines)))
    drawn.append(blocks.context(" · ".join(context_facts(snapshot, now, MRKDWN))))
    buttons = run_buttons(snapshot, links)
    if buttons:
        drawn.append(blocks.actions(ids.CARD_ACTIONS, buttons))
    return Message(text=summary_line(snapshot, about), blocks=tuple(drawn))


def summary_line(snapshot: RunSnapshot, about: str | None = None) -> str:
    """A run in one line, for notifications."""
    state, run = state_of(snapshot, MRKDWN), snapshot.run
    words = text.one_line(run.task_input if about is None else about, 120)
    return f"{state.icon} {text.escape(state.title)} · {text.escape(run.workflow_name)}: {words}"


def is_task_clipped(task: str) -> bool:
    """Whether the card shows only the beginning of a task."""
    # No character of a text becomes more than five by escaping.
    return len(text.one_line(task, 5 * len(task))) > TASK_LIMIT


def _title(snapshot: RunSnapshot, state: StateWords, about: str) -> str:
    """The task, if all is well; otherwise what is the matter, above the task."""
    task = _bold_safe(text.one_line(about, TASK_LIMIT)) or "No task"
    workflow = text.one_line(snapshot.run.workflow_name, _WORKFLOW_LIMIT)
    if state.is_calm:
        return f"{state.icon} *{task}* · {workflow}"
    return f"{state.icon} *{_bold_safe(text.escape(state.title))}*\n{task} · {workflow}"


def _lines(snapshot: RunSnapshot, state: StateWords, now: datetime) -> list[str]:
    run = snapshot.run
    if run.is_live:
        return _live_lines(snapshot, state, now)
    facts = [f"*{text.escape(state.title)}*"] if state.is_calm else []
    if run.status is RunStatus.KILLED and state.detail:
        facts.append(state.detail)
    figures, steps = outcome_figures(run), ended_steps_words(snapshot.steps, MRKDWN)
    if not facts and figures == [NO_CHANGE]:
        lines = [" · ".join(part for part in (steps, NO_CHANGE) if part)]
    else:
        lines = [" · ".join(facts + figures), steps]
    if run.stop_reason in REASONS_WITH_ERROR and run.error_message:
        lines.insert(0, text.one_line(run.error_message, ERROR_LIMIT))
    return [line for line in lines if line]


def _live_lines(snapshot: RunSnapshot, state: StateWords, now: datetime) -> list[str]:
    run = snapshot.run
    is_stopping = run.kill_requested_at is not None
    is_working = run.status is RunStatus.RUNNING and not is_stopping
    step = current_step_words(snapshot.steps, MRKDWN) if is_working else ""
    facts = [f"*{text.escape(state.title)}*"] if state.is_calm else []
    facts += [part for part in (state.detail, step) if part]
    silence = silence_of(snapshot, now)
    if silence is None:
        return [" · ".join(facts)] if facts else []
    # A long silence is the title already.
    silent = [] if is_worrying(snapshot, now) else [f"🕐 {silence_title(silence)}"]
    awaited = snapshot.awaited
    if awaited is not None:
        silent.append(waiting_words(awaited, now, MRKDWN, told=silence))
    waits = ", ".join(silent)
    return [line for line in (" · ".join(facts), waits[:1].upper() + waits[1:]) if line]


def _bold_safe(escaped: str) -> str:
    """Keep an asterisk from ending the bold text around it."""
    return escaped.replace("*", "∗")
