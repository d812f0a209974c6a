"""A run in a list: one line, the task first, and for a live run a button that stops it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from bot.slack import dates, ids, text
from bot.slack.mrkdwn import MRKDWN
from bot.slack.views import blocks
from bot.slack.views.message import Block
from bot.slack.views.runs.links import ThreadLinks
from bot.words import counts, money, times
from bot.words.kills import kill_question_words
from bot.words.runs.names import leg_suffix, task_name
from bot.words.runs.states import state_of, state_words
from core.domain.actor import Action, Actor, is_allowed
from core.domain.runs.run import CostSource, Run, RunStatus
from core.domain.runs.snapshot import RunSnapshot

_TASK_LIMIT = 90
# What the icon says already.
_SAID_BY_ICON = frozenset({"Running", "Completed"})


def run_rows(
    snapshots: Sequence[RunSnapshot],
    *,
    now: datetime,
    links: ThreadLinks,
    can_kill: Callable[[Run], bool],
    is_own: Callable[[Run], bool],
    limit: int,
) -> list[Block]:
    """Runs, a line each; a live one that the reader may stop has a button.

    Args:
        snapshots: The runs, in the order to be shown.
        now: The current time, for elapsed times.
        links: Makes the tasks links to the threads.
        can_kill: Whether the reader may stop a run.
        is_own: Whether a run is the reader's own: then the button asks.  Otherwise a form does.
        limit: The most characters of all lines together.
    """
    lines = blocks.fit_lines([run_line(one, now=now, links=links) for one in snapshots], limit)
    drawn: list[Block] = []
    waiting: list[str] = []
    # The line after the last run says how many are left out.
    for number, line in enumerate(lines):
        snapshot = snapshots[number] if number < len(snapshots) else None
        is_run = snapshot is not None and not line.startswith("_+")
        if snapshot is None or not is_run or not _has_button(snapshot.run, can_kill):
            waiting.append(line)
            continue
        drawn += blocks.paragraphs(waiting)
        waiting = []
        button = kill_listed_button(snapshot, is_own=is_own(snapshot.run))
        drawn.append(blocks.section_with(line, button))
    return drawn + blocks.paragraphs(waiting)


def run_line(snapshot: RunSnapshot, *, now: datetime, links: ThreadLinks) -> str:
    """A run in one line: its state, its task, and what else there is to know."""
    run = snapshot.run
    state = state_of(snapshot, MRKDWN)
    task = links.to_thread(snapshot.card, task_name(snapshot, MRKDWN, _TASK_LIMIT))
    facts = [
        f"{task}{leg_suffix(snapshot)}",
        text.escape("" if state.title in _SAID_BY_ICON else state_words(snapshot, MRKDWN)),
        text.one_line(run.workflow_name, 40),
        *_measures(run, now),
        MRKDWN.person(snapshot.owner),
        f"`{run.run_id}`",
    ]
    return f"{state.icon} {' · '.join(fact for fact in facts if fact)}"


def kill_listed_button(snapshot: RunSnapshot, *, is_own: bool, command: str | None = None) -> Block:
    """The button of a live run in a list.

    Args:
        snapshot: The run.
        is_own: Whether it is the reader's own.
        command: The kill as a command, if the button is that of a private question.
    """
    return blocks.button(
        "Kill" if is_own else "Kill…",
        action_id=ids.KILL_LISTED if command is None else ids.KILL_ANYWAY,
        value=snapshot.run.run_id if command is None else command,
        style="danger",
        confirm=blocks.confirm(
            title=f"Kill this {snapshot.run.workflow_name} run?",
            words=kill_question_words(snapshot),
            yes="Kill it",
            no="Let it run",
        )
        if is_own
        else None,
    )


def may_kill(actor: Actor) -> Callable[[Run], bool]:
    """Whether a person may stop a run."""
    return lambda run: is_allowed(actor, Action.KILL, run)


def owned_by(actor: Actor) -> Callable[[Run], bool]:
    """Whether a run is a person's own."""
    return lambda run: actor.user_id is not None and run.user_id == actor.user_id


def _has_button(run: Run, can_kill: Callable[[Run], bool]) -> bool:
    return run.is_live and run.kill_requested_at is None and can_kill(run)


def _measures(run: Run, now: datetime) -> list[str]:
    facts = []
    if run.status is RunStatus.RUNNING:
        limit = f"/{run.max_turns}" if run.max_turns is not None else ""
        facts.append(f"{run.turns}{limit} turns")
    elif not run.is_live and run.turns:
        facts.append(counts.plural(run.turns, "turn"))
    if run.duration is not None:
        facts.append(times.duration(run.duration))
    elif run.status is RunStatus.RUNNING and run.started_at is not None:
        facts.append(times.elapsed(run.started_at, now))
    if run.cost_usd is not None:
        estimated = "" if run.cost_source is CostSource.REPORTED else "~"
        facts.append(f"{estimated}{money.dollars(run.cost_usd)}")
    if not run.is_live:
        facts.append(dates.date_time(run.completed_at or run.created_at))
    return facts
