"""The card: the first message of a thread, updated in place while the run proceeds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.slack import dates, ids, text
from bot.slack.mrkdwn import MRKDWN
from bot.slack.views import blocks
from bot.slack.views.message import Block, Message
from bot.slack.views.runs.continue_buttons import continue_buttons
from bot.words import counts, money, times
from bot.words.kills import force_question_words, is_unconfirmed, kill_question_words
from bot.words.runs.facts import (
    source_words,
    time_fact,
    tokens_words,
    total_cost_words,
    turns_words,
)
from bot.words.runs.silence import silence_words
from bot.words.runs.states import STEP_ICONS, state_of
from core.domain.kills.termination import Phase
from core.domain.runs.snapshot import RunSnapshot, Thread
from core.domain.runs.step import Step, StepStatus

TASK_LIMIT = 400
_STEPS_SHOWN = 8
_STEP_LIMIT = 160
_DONE = frozenset({StepStatus.COMPLETED, StepStatus.SKIPPED})


def thread_card(thread: Thread, *, now: datetime) -> Message:
    """Draw the card of a thread: its newest run, under the task of its first run."""
    return run_card(thread.legs[-1], now=now, task=thread.legs[0].run.task_input)


def run_card(snapshot: RunSnapshot, *, now: datetime, task: str | None = None) -> Message:
    """Draw a run.  Pure: the same run at the same time gives the same message.

    Args:
        snapshot: The run.
        now: The current time, for elapsed times, which are shown in coarse steps.
        task: The task of the thread, if it is not this run's own task.
    """
    run, state = snapshot.run, state_of(snapshot, MRKDWN)
    about = run.task_input if task is None else task
    drawn: list[Block] = [
        blocks.header(f"{state.icon} {state.title} · {run.workflow_name}"),
        blocks.section(text.quote(about, TASK_LIMIT) or "_No task_"),
    ]
    if about != run.task_input:
        words = text.one_line(run.task_input, 300)
        drawn.append(blocks.context(f"Leg {snapshot.leg}, asked to: {words}"))
    if state.detail:
        drawn.append(blocks.section(state.detail))
    silence = silence_words(snapshot, now, MRKDWN)
    if silence:
        drawn.append(blocks.section(silence))
    drawn.append(blocks.fields(_facts(snapshot, now)))
    steps = step_lines(snapshot)
    if steps:
        drawn.append(blocks.section("\n".join(steps)))
    drawn.append(blocks.context(" · ".join(_small_print(snapshot))))
    buttons = run_buttons(snapshot)
    if buttons:
        drawn.append(blocks.actions(ids.CARD_ACTIONS, buttons))
    return Message(text=summary_line(snapshot, about), blocks=tuple(drawn))


def summary_line(snapshot: RunSnapshot, about: str | None = None) -> str:
    """A run in one line, for notifications."""
    state, run = state_of(snapshot, MRKDWN), snapshot.run
    words = text.one_line(run.task_input if about is None else about, 120)
    return f"{state.icon} {text.escape(state.title)} · {text.escape(run.workflow_name)}: {words}"


def step_lines(snapshot: RunSnapshot) -> list[str]:
    """The plan with the status of each step; only the current part of a long plan."""
    steps = snapshot.steps
    if not steps:
        return []
    done = sum(step.status in _DONE for step in steps)
    lines = [f"*Steps* · {done} of {len(steps)} done"]
    first = _first_shown_step(steps)
    shown = steps[first : first + _STEPS_SHOWN]
    if first:
        lines.append(f"_{first} before_")
    lines += [_step_line(step, is_live=snapshot.run.is_live) for step in shown]
    after = len(steps) - first - len(shown)
    if after:
        lines.append(f"_+{after} more_")
    return lines


def run_buttons(snapshot: RunSnapshot) -> list[Block]:
    """The buttons that apply to a run now; a button that can only fail is left out."""
    run, kill = snapshot.run, snapshot.termination
    if run.is_live:
        if run.kill_requested_at is None:
            return [_kill_button(snapshot)]
        # An unconfirmed kill is retried by force anyway.
        is_forced = kill is not None and (kill.force or is_unconfirmed(kill))
        is_over = kill is not None and kill.phase is Phase.CONFIRMED
        return [] if is_forced or is_over else [_force_button(snapshot)]
    return continue_buttons(run)


def _facts(snapshot: RunSnapshot, now: datetime) -> Sequence[tuple[str, str]]:
    run = snapshot.run
    return (
        ("Owner", MRKDWN.person(snapshot.owner)),
        ("Where", source_words(run, MRKDWN)),
        ("Turns", turns_words(run)),
        ("Cost", money.cost(run.cost_usd, run.cost_source, is_live=run.is_live)),
        ("Tokens", tokens_words(run)),
        time_fact(run, now, MRKDWN),
    )


def _small_print(snapshot: RunSnapshot) -> list[str]:
    run, total = snapshot.run, snapshot.total
    parts = [f"`{run.run_id}`"]
    if total is not None and total.legs > 1:
        total_cost = total_cost_words(total, is_live=run.is_live)
        parts.append(
            f"leg {snapshot.leg} of {total.legs}, together "
            f"{counts.plural(total.turns, 'turn')}, cost {total_cost}"
        )
    if run.session_name:
        parts.append(f"session {text.code(run.session_name, 90)}")
    if run.completed_at is not None:
        parts.append(f"ended {dates.date_time(run.completed_at)}")
    elif run.started_at is not None:
        parts.append(f"started {dates.clock_time(run.started_at)}")
    if run.is_live and run.last_activity:
        at = f" ({dates.clock_time(run.last_activity_at)})" if run.last_activity_at else ""
        parts.append(f"last: {text.one_line(run.last_activity, 160)}{at}")
    return parts


def _first_shown_step(steps: Sequence[Step]) -> int:
    """The index of the first shown step: two before the first open step, if there are more."""
    if len(steps) <= _STEPS_SHOWN:
        return 0
    first_open = next((n for n, step in enumerate(steps) if step.status not in _DONE), len(steps))
    return max(0, min(first_open - 2, len(steps) - _STEPS_SHOWN))


def _step_line(step: Step, *, is_live: bool) -> str:
    is_now = step.status is StepStatus.IN_PROGRESS
    name = step.active_name if is_now and is_live and step.active_name else step.name
    line = text.one_line(name, _STEP_LIMIT) or f"Step {step.step_id}"
    if is_now and not is_live:
        return f"⏸️ {line} _(not finished)_"
    if is_now:
        return f"{STEP_ICONS[step.status]} *{line.replace('*', '∗')}*"
    took = f" · {times.duration(step.duration)}" if step.duration is not None else ""
    return f"{STEP_ICONS[step.status]} {line}{took}"


def _kill_button(snapshot: RunSnapshot) -> Block:
    run = snapshot.run
    return blocks.button(
        "Kill",
        action_id=ids.KILL,
        value=run.run_id,
        style="danger",
        confirm=blocks.confirm(
            title=f"Kill this {run.workflow_name} run?",
            words=kill_question_words(snapshot),
            yes="Kill it",
            no="Let it run",
        ),
    )


def _force_button(snapshot: RunSnapshot) -> Block:
    run = snapshot.run
    return blocks.button(
        "Force kill",
        action_id=ids.FORCE_KILL,
        value=run.run_id,
        style="danger",
        confirm=blocks.confirm(
            title="End it by force?",
            words=force_question_words(snapshot),
            yes="Force kill",
            no="Give it time",
        ),
    )
