"""Words about kills: the question before one, what it waits for, what would not die."""

from __future__ import annotations

from datetime import timedelta

from bot.slack import figures, text
from core.domain.kills.termination import Phase, Termination
from core.domain.runs.run import Run
from core.domain.runs.snapshot import RunSnapshot

WORK_IS_KEPT = "Its work so far is kept, and it can be continued later."
_SURVIVORS_SHOWN = 6
_WAITED_SHOWN = 3


def owned_run_words(snapshot: RunSnapshot) -> str:
    """Whose run it is, as plain words: `@Ann's run`."""
    owner = snapshot.owner
    return f"@{text.plain(owner.name, 80)}'s run" if owner else "nobody's run"


def cost_so_far(run: Run) -> str:
    """What it has cost, as a plain sentence; an unknown cost is never 0."""
    if run.cost_usd is not None:
        source = f" ({run.cost_source.value})" if run.cost_source else ""
        return f"It has cost {figures.money(run.cost_usd)}{source} so far."
    if run.started_at is None:
        return "It has not begun, so it has cost nothing."
    return "What it has cost so far is not known yet."


def kill_question_words(snapshot: RunSnapshot) -> str:
    """The question before a run is killed, as plain words."""
    outlook = WORK_IS_KEPT if snapshot.run.started_at is not None else "It can be continued later."
    return f"Stop {owned_run_words(snapshot)}? {cost_so_far(snapshot.run)} {outlook}"


def is_unconfirmed(kill: Termination) -> bool:
    """Whether it could not be proven that nothing is left, also while it is tried again."""
    return Phase.UNCONFIRMED in kill.phases and kill.phase is not Phase.CONFIRMED


def has_visible_survivors(snapshot: RunSnapshot, kill: Termination) -> bool:
    """Whether a worker is there that sees what would not die; else nobody can look."""
    return bool(kill.survivors) and snapshot.run.is_live


def survivor_words(snapshot: RunSnapshot, kill: Termination) -> str:
    """What would not die, where, what happens by itself, and what to do; mrkdwn."""
    if not has_visible_survivors(snapshot, kill):
        return _unverified_words(snapshot, kill)
    count = len(kill.survivors)
    pids = ",".join(str(process.pid) for process in kill.survivors[:_SURVIVORS_SHOWN])
    return (
        f"{figures.plural(count, 'process', 'processes')} would not die, not even by SIGKILL: "
        f"{_survivor_names(kill)} on {_machine_words(snapshot)}.\n"
        "*By itself:* the worker tries again by force, after 5 seconds and then at least once a "
        "minute, and so does the next one that starts on that machine. The run counts as running "
        "until nothing is left of it.\n"
        "*To do:* wait a minute or two. If it stays, an admin looks "
        f"there with {text.code(f'ps -o pid,stat,wchan,cmd -p {pids}', 160)}: a process in state "
        "`D` hangs on a disk or a network mount and ends when that answers or is unmounted."
    )


def _unverified_words(snapshot: RunSnapshot, kill: Termination) -> str:
    """What is to be said while no worker is where the processes were."""
    known = (
        f"At the last look these were alive: {_survivor_names(kill)}. " if kill.survivors else ""
    )
    if snapshot.run.is_live:
        limit = (
            " If none does within 10 minutes of the kill, the run is given up as `worker_lost`, "
            "so that its session is free."
        )
    else:
        limit = " The run was given up, so its session is free already."
    return (
        f"{known}Nobody could look on {_machine_words(snapshot)} whether anything of it is "
        "left: no worker "
        "is heard of there.\n"
        "*By itself:* a worker that starts there ends what is left, and the kill is confirmed "
        f"here.{limit}\n"
        "*To do:* start a worker on that machine, with the same home as before."
    )


def _machine_words(snapshot: RunSnapshot) -> str:
    return (
        f"the machine {text.code(snapshot.kill_machine, 80)}"
        if snapshot.kill_machine
        else "its machine"
    )


def _survivor_names(kill: Termination) -> str:
    """What survived, by name; mrkdwn."""
    named = ", ".join(
        f"{text.code(process.name or 'process', 40)} (pid {process.pid})"
        for process in kill.survivors[:_SURVIVORS_SHOWN]
    )
    more = len(kill.survivors) - _SURVIVORS_SHOWN
    return f"{named} and {more} more" if more > 0 else named


def waited_words(kill: Termination) -> str:
    """What a kill waited for, in a sentence; mrkdwn, empty if for nothing."""
    waits = []
    for one in kill.waited_for[:_WAITED_SHOWN]:
        took = figures.duration(timedelta(milliseconds=one.milliseconds))
        end = "" if one.finished else ", which did not finish in that time"
        waits.append(f"{took} for {text.code(one.summary or one.tool, 120)}{end}")
    more = len(kill.waited_for) - _WAITED_SHOWN
    if more > 0:
        waits.append(f"for {more} more")
    return f"Waited {', '.join(waits)}." if waits else ""


def draining_words(run: Run, kill: Termination) -> str:
    """What it waits for, so that a commit is not cut in half."""
    limit = "a few seconds at most"
    open_calls = [one.summary for one in kill.waited_for if not one.finished]
    # What it waited for is written down afterwards; meanwhile the last thing seen is told as such.
    if open_calls:
        return f"Waiting for {text.code(open_calls[-1], 120)} to finish, {limit}."
    seen = f" (last seen: {text.code(run.last_activity, 120)})" if run.last_activity else ""
    return f"Waiting for a command that must not be cut in half to finish, {limit}{seen}."
