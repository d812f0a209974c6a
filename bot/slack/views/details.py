"""All figures of a run: the modal behind Details, and the answer to `status`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.slack import dates, ids, text
from bot.slack.mrkdwn import MRKDWN
from bot.slack.views import blocks
from bot.slack.views.message import Block, View
from bot.words import counts, money, times
from bot.words.failures.retries import attempts_lines, automatic_leg_words
from bot.words.kills import killed_by, saved_work_words
from bot.words.runs.facts import source_words, time_fact, tokens_words, turns_words
from bot.words.runs.names import leg_suffix, task_name
from bot.words.runs.recovery import RECOVERY_LABEL
from bot.words.runs.refused_hosts import refused_hosts_line
from bot.words.runs.states import STEP_ICONS, state_of
from bot.words.runs.work.checkpoints import checkpoint_lines
from bot.words.runs.work.evidence import change_lines, line_about_tests
from bot.words.spending import spent_words
from core.domain.runs.run import Run
from core.domain.runs.snapshot import RunSnapshot
from core.domain.runs.step import Step, StepStatus
from core.domain.sessions.recovery import is_recovery

_STEPS_SHOWN = 20
_STEP_LIMIT = 120
_TOOLS_SHOWN = 12
_ERROR_LIMIT = 700
_TASK_LIMIT = 1000


def details_view(snapshot: RunSnapshot, *, now: datetime) -> View:
    """The modal with all figures of a run."""
    run, state = snapshot.run, state_of(snapshot, MRKDWN)
    lead = f"{state.icon} *{text.escape(state.title)}* · {text.one_line(run.workflow_name, 40)}"
    task = text.quote(run.task_input, _TASK_LIMIT) or "_No task_"
    drawn = [blocks.section(lead)]
    if snapshot.about is not None:
        about = task_name(snapshot, MRKDWN, _TASK_LIMIT)
        drawn.append(blocks.section(f"*{about}*{leg_suffix(snapshot)}"))
    drawn += [blocks.section(task), *detail_blocks(snapshot, now=now)]
    return {
        "type": "modal",
        "callback_id": ids.DETAILS_VIEW,
        "title": blocks.plain("Details of a run", 24),
        "close": blocks.plain("Close", 24),
        "blocks": drawn,
    }


def detail_blocks(snapshot: RunSnapshot, *, now: datetime) -> list[Block]:
    """The figures of a run that its card leaves out or shortens."""
    run = snapshot.run
    drawn = [blocks.fields(_facts(snapshot, now)), blocks.context(" · ".join(_dates(snapshot)))]
    steps = step_lines(snapshot)
    if steps:
        drawn += blocks.paragraphs(steps)
    checkpoints = checkpoint_lines(run, snapshot.checkpoints, MRKDWN)
    if checkpoints:
        drawn += blocks.paragraphs(checkpoints)
    error = text.quote(run.error_message or "", _ERROR_LIMIT)
    if error and not run.is_live:
        drawn.append(blocks.section(error))
    lines = [line_about_tests(run, MRKDWN), *change_lines(run, MRKDWN)]
    lines += attempts_lines(run, MRKDWN)
    lines += [refused_hosts_line(run, MRKDWN), *_kill_lines(snapshot)]
    return drawn + blocks.paragraphs([line for line in lines if line])


def step_lines(snapshot: RunSnapshot) -> list[str]:
    """The plan with the status of each step; only the current part of a long plan."""
    steps = snapshot.steps
    if not steps:
        return []
    done = sum(step.status is StepStatus.COMPLETED for step in steps)
    lines = [f"*Steps* · {done} of {len(steps)} done"]
    first = _first_shown_step(steps)
    shown = steps[first : first + _STEPS_SHOWN]
    if first:
        lines.append(f"_{first} before_")
    lines += [_step_line(step) for step in shown]
    after = len(steps) - first - len(shown)
    if after:
        lines.append(f"_+{after} more_")
    return lines


def _facts(snapshot: RunSnapshot, now: datetime) -> Sequence[tuple[str, str]]:
    run = snapshot.run
    return (
        ("Run", text.code(run.run_id)),
        ("Owner", MRKDWN.person(snapshot.owner)),
        ("Where", source_words(run, MRKDWN)),
        ("Model", text.code(run.ai_model or "", 80) or "the workflow's own"),
        ("Turns", turns_words(run)),
        ("Cost", _cost_words(snapshot)),
        ("Tokens", tokens_words(run)),
        ("Tool calls", _tool_words(run)),
        time_fact(run, now, MRKDWN),
        ("Limits", _limit_words(run)),
    )


def _cost_words(snapshot: RunSnapshot) -> str:
    """The cost of a run; of one with several agent processes what each kind adds up to."""
    run, spent = snapshot.run, snapshot.spent
    if spent is not None and spent.processes > 1:
        return spent_words(spent)
    return money.cost(run.cost_usd, run.cost_source, is_live=run.is_live)


def _tool_words(run: Run) -> str:
    if not run.tools_used:
        return f"{run.tool_calls:,}"
    names = ", ".join(text.code(name, 60) for name in run.tools_used[:_TOOLS_SHOWN])
    more = len(run.tools_used) - _TOOLS_SHOWN
    return f"{run.tool_calls:,}: {names}" + (f" and {more} more" if more > 0 else "")


def _limit_words(run: Run) -> str:
    limits = []
    if run.max_turns is not None:
        limits.append(counts.plural(run.max_turns, "turn"))
    if run.timeout is not None:
        limits.append(times.time_limit(run.timeout))
    if run.budget_usd is not None:
        limits.append(money.dollars(run.budget_usd))
    return ", ".join(limits) or "none"


def _dates(snapshot: RunSnapshot) -> list[str]:
    run, total = snapshot.run, snapshot.total
    parts = [f"requested {dates.date_time(run.created_at)}"]
    if run.started_at is not None:
        parts.append(f"started {dates.clock_time(run.started_at)}")
    if run.completed_at is not None:
        parts.append(f"ended {dates.date_time(run.completed_at)}")
    if run.attempt > 1:
        parts.append(f"attempt {run.attempt}")
    automatic = automatic_leg_words(run)
    if automatic is not None:
        parts.append(automatic)
    if run.session_name:
        parts.append(f"session {text.code(run.session_name, 90)}")
    if total is not None and total.legs > 1:
        label = f" ({RECOVERY_LABEL})" if is_recovery(run) else ""
        turns = counts.plural(total.turns, "turn")
        spent = spent_words(total.spent)
        parts.append(f"leg {snapshot.leg} of {total.legs}{label}, together {turns}, cost {spent}")
    if run.is_live and run.last_activity:
        at = f" ({dates.clock_time(run.last_activity_at)})" if run.last_activity_at else ""
        parts.append(f"last: {text.one_line(run.last_activity, 160)}{at}")
    return parts


def _first_shown_step(steps: Sequence[Step]) -> int:
    """The index of the first shown step: two before the first open step, if there are more."""
    if len(steps) <= _STEPS_SHOWN:
        return 0
    settled = (StepStatus.COMPLETED, StepStatus.SKIPPED)
    first_open = next((n for n, step in enumerate(steps) if step.status not in settled), len(steps))
    return max(0, min(first_open - 2, len(steps) - _STEPS_SHOWN))


def _step_line(step: Step) -> str:
    line = text.one_line(step.name, _STEP_LIMIT) or f"Step {step.step_id}"
    icon = "⏸️" if step.is_interrupted else STEP_ICONS[step.status]
    took = f" · {times.duration(step.duration)}" if step.duration is not None else ""
    error = f": {text.one_line(step.error, 200)}" if step.error else ""
    return f"{icon} {line}{took}{error}"


def _kill_lines(snapshot: RunSnapshot) -> list[str]:
    kill = snapshot.termination
    if kill is None:
        return []
    phases = ", ".join(
        f"{phase.value} {times.milliseconds(at)}" for phase, at in kill.phases.items()
    )
    saved = saved_work_words(snapshot.run, kill, MRKDWN)
    kept = [f"*Work kept:* {saved}"] if saved else []
    return [f"*Kill:* {killed_by(kill, MRKDWN)}", phases, *kept]
