"""Words about kills: the question, the phases, the proof, and processes that survive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from bot.words import counts, money, texts, times
from bot.words.markup import Markup
from core.domain.failures.failed_attempt import is_waiting_to_retry
from core.domain.kills.termination import Phase, ProofMethod, Termination
from core.domain.runs.run import Run
from core.domain.runs.snapshot import RunSnapshot

WORK_IS_KEPT = "Its work so far is kept, and it can be continued later."
WORK_IS_KEPT_MANY = "Their work so far is kept, and each can be continued later."
FORCE_KILL = "Force kill"
FORCED = "By force: no time is given to finish what is being written."
_SURVIVORS_SHOWN = 6
_WAITED_SHOWN = 3

STOPPING_TITLES: Mapping[Phase, str] = MappingProxyType(
    {
        Phase.REQUESTED: "Stopping: notifying its worker…",
        Phase.ACKNOWLEDGED: "Stopping: its worker has the request…",
        Phase.DRAINING: "Stopping: letting a critical command finish…",
        Phase.INTERRUPTED: "Stopping: waiting for the interrupt…",
        Phase.TERMINATED: "Stopping: asking its processes to end…",
        Phase.KILLED: "Stopping: ending what is left by force…",
        Phase.CONFIRMED: "Stopped, nothing left running: recording it…",
        Phase.UNCONFIRMED: "Not stopped yet: some processes survive",
    }
)

# What a kill does in each phase, for the table of durations.
PHASE_WORDS: Mapping[Phase, str] = MappingProxyType(
    {
        Phase.REQUESTED: "until its worker knows",
        Phase.ACKNOWLEDGED: "looking at its processes",
        Phase.DRAINING: "critical command finishes",
        Phase.INTERRUPTED: "agent asked to stop",
        Phase.TERMINATED: "SIGTERM to the tree",
        Phase.KILLED: "SIGKILL to the rest",
        Phase.CONFIRMED: "proven",
        Phase.UNCONFIRMED: "not proven yet",
    }
)

PROOF_WORDS: Mapping[ProofMethod, str] = MappingProxyType(
    {
        ProofMethod.KERNEL_NAMESPACE: (
            "the kernel has ended this run's own process namespace, so nothing of it can be left "
            f"(by: {ProofMethod.KERNEL_NAMESPACE})."
        ),
        ProofMethod.PROCESS_SCAN: (
            f"the last check found no live process of this run (by: {ProofMethod.PROCESS_SCAN})."
        ),
    }
)


def owned_run_words(snapshot: RunSnapshot) -> str:
    """The run and its owner, as plain text: `@Ann's run`."""
    owner = snapshot.owner
    return f"@{texts.plain_line(owner.name, 80)}'s run" if owner else "nobody's run"


def cost_so_far(run: Run) -> str:
    """The cost so far, as plain text; an unknown cost is not shown as 0."""
    if run.cost_usd is not None:
        source = f" ({run.cost_source.value})" if run.cost_source else ""
        return f"It has cost {money.dollars(run.cost_usd)}{source} so far."
    if run.started_at is None:
        return "It has not begun, so it has cost nothing."
    return "What it has cost so far is not known yet."


@dataclass(frozen=True, kw_only=True)
class KillQuestion:
    """What is asked before a run is killed; plain text.

    Attributes:
        label: Of the button that asks.
        yes: Of the button that kills it.
        no: Of the button that does not.
    """

    label: str
    title: str
    words: str
    yes: str
    no: str


def kill_question(snapshot: RunSnapshot) -> KillQuestion:
    """The question before a run is killed."""
    run = snapshot.run
    is_waiting = is_waiting_to_retry(run)
    # What waits for its next attempt has no process that could be killed.
    label = "Cancel" if is_waiting else "Kill"
    return KillQuestion(
        label=label,
        title=f"{label} this {run.workflow_name} run?",
        words=kill_question_words(snapshot),
        yes=f"{label} it",
        no="Let it wait" if is_waiting else "Let it run",
    )


def force_question(snapshot: RunSnapshot) -> KillQuestion:
    """The question before a run is killed by force."""
    return KillQuestion(
        label=FORCE_KILL,
        title="End it by force?",
        words=force_question_words(snapshot),
        yes=FORCE_KILL,
        no="Give it time",
    )


def may_force_kill(kill: Termination | None) -> bool:
    """Whether force hurries a kill that was requested; an unconfirmed one is retried so anyway."""
    if kill is None:
        return True
    return not (kill.force or is_unconfirmed(kill) or kill.phase is Phase.CONFIRMED)


def kill_question_words(snapshot: RunSnapshot) -> str:
    """The question before a run is killed, as plain text."""
    outlook = WORK_IS_KEPT if snapshot.run.started_at is not None else "It can be continued later."
    return f"Stop {owned_run_words(snapshot)}? {cost_so_far(snapshot.run)} {outlook}"


def force_question_words(snapshot: RunSnapshot) -> str:
    """The question before a run is killed by force, as plain text."""
    return (
        f"This is {owned_run_words(snapshot)}. {cost_so_far(snapshot.run)} Its processes are ended "
        "without any time to finish what they are writing. Work in the workspace is still kept."
    )


def is_unconfirmed(kill: Termination) -> bool:
    """Whether there is still no proof that nothing is left, also during a retry."""
    return Phase.UNCONFIRMED in kill.phases and kill.phase is not Phase.CONFIRMED


def has_visible_survivors(snapshot: RunSnapshot, kill: Termination) -> bool:
    """Whether a worker on the machine sees the surviving processes."""
    return bool(kill.survivors) and snapshot.run.is_live


def unconfirmed_title(snapshot: RunSnapshot, kill: Termination) -> str:
    """Why a kill is not proven, as plain text."""
    if has_visible_survivors(snapshot, kill):
        return STOPPING_TITLES[Phase.UNCONFIRMED]
    return "Not confirmed: no worker could check its machine"


def killed_title(run: Run, kill: Termination | None) -> str:
    """That a run was killed, and what proves it, as plain text."""
    if kill is None or kill.phase is not Phase.CONFIRMED:
        return "Killed"
    if run.started_at is None:
        return "Killed before it started, nothing was running"
    return "Killed, nothing left running"


def ended_words(kill: Termination) -> str:
    """How many processes a kill ended, and how fast, as a sentence; empty if there were none."""
    if not kill.processes_seen:
        return ""
    ended = counts.plural(kill.processes_seen, "process", "processes")
    took = f" in {times.duration(kill.elapsed)}" if kill.elapsed is not None else ""
    return f"{ended} ended{took}."


def killed_by(kill: Termination, markup: Markup) -> str:
    """The person who killed a run, and why."""
    end = "" if kill.reason else "."
    return f"Killed by {_person_and_reason(kill, markup)}{end}"


def killer_words(kill: Termination, markup: Markup) -> str:
    """The same below a title that says that the run was killed."""
    return f"By {_person_and_reason(kill, markup)}"


def _person_and_reason(kill: Termination, markup: Markup) -> str:
    by = markup.inline(kill.requested_by_name or "Signalbox", 80)
    return f"{by}: {markup.inline(kill.reason, 300)}" if kill.reason else by


def survivor_words(snapshot: RunSnapshot, kill: Termination, markup: Markup) -> str:
    """Three lines: the surviving processes, what happens automatically, and what to do."""
    if not has_visible_survivors(snapshot, kill):
        return _unverified_words(snapshot, kill, markup)
    count = len(kill.survivors)
    pids = ",".join(str(process.pid) for process in kill.survivors[:_SURVIVORS_SHOWN])
    return (
        f"{counts.plural(count, 'process', 'processes')} would not die, not even by SIGKILL: "
        f"{_survivor_names(kill, markup)} on {_machine_words(snapshot, markup)}.\n"
        f"{markup.strong('Automatically:')} the worker tries again by force, after 5 seconds and "
        "then at least once a minute, and so does the next one that starts on that machine. The "
        "run counts as running until nothing is left of it.\n"
        f"{markup.strong('To do:')} wait a minute or two. If it stays, an admin looks "
        f"there with {markup.code(f'ps -o pid,stat,wchan,cmd -p {pids}', 160)}: a process in state "
        f"{markup.code('D')} hangs on a disk or a network mount and ends when that answers or is "
        "unmounted."
    )


def waited_words(kill: Termination, markup: Markup) -> str:
    """The tool calls that a kill waited for, as a sentence; empty if there were none."""
    waits = []
    for one in kill.waited_for[:_WAITED_SHOWN]:
        took = times.duration(timedelta(milliseconds=one.milliseconds))
        end = "" if one.finished else ", which did not finish in that time"
        waits.append(f"{took} for {markup.code(one.summary or one.tool, 120)}{end}")
    more = len(kill.waited_for) - _WAITED_SHOWN
    if more > 0:
        waits.append(f"for {more} more")
    return f"Waited {', '.join(waits)}." if waits else ""


def draining_words(run: Run, kill: Termination, markup: Markup) -> str:
    """The critical command that a kill waits for at present."""
    limit = "a few seconds at most"
    open_calls = [one.summary for one in kill.waited_for if not one.finished]
    # The waits are recorded afterwards; until then only the last activity is known.
    if open_calls:
        return f"Waiting for {markup.code(open_calls[-1], 120)} to finish, {limit}."
    seen = f" (last seen: {markup.code(run.last_activity, 120)})" if run.last_activity else ""
    return f"Waiting for a command that must not be cut in half to finish, {limit}{seen}."


def saved_work_words(run: Run, kill: Termination, markup: Markup) -> str:
    """What was saved of the workspace; empty if there was none."""
    if run.is_work_pending:
        return "saving the work…"
    saved = kill.work_saved
    commit = saved.get("commit")
    if isinstance(commit, str) and commit:
        files = saved.get("uncommitted_files")
        if files == 0:
            # What was committed is on its branch.
            return ""
        what = counts.plural(files, "file") if isinstance(files, int) else "all changes"
        return f"{what} as a checkpoint ({markup.code(commit[:12])}), not on the branch."
    if saved.get("kept_in"):
        problem = saved.get("problem")
        why = f" {markup.inline(problem, 300)}" if isinstance(problem, str) and problem else ""
        return f"not as a checkpoint: the files stay in the workspace on its worker.{why}"
    return ""


def _unverified_words(snapshot: RunSnapshot, kill: Termination, markup: Markup) -> str:
    """The same three lines while there is no worker on the machine of the processes."""
    known = (
        f"At the last check these were alive: {_survivor_names(kill, markup)}. "
        if kill.survivors
        else ""
    )
    if snapshot.run.is_live:
        limit = (
            " If none does within 10 minutes of the kill, the run is given up as "
            f"{markup.code('worker_lost')}, so that its session is free."
        )
    else:
        limit = " The run was given up, so its session is free already."
    return (
        f"{known}Nobody could check on {_machine_words(snapshot, markup)} whether anything of it "
        "is left: there is no live worker there.\n"
        f"{markup.strong('Automatically:')} a worker that starts there ends what is left, and the "
        f"kill is confirmed here.{limit}\n"
        f"{markup.strong('To do:')} start a worker on that machine, with the same home as before."
    )


def _machine_words(snapshot: RunSnapshot, markup: Markup) -> str:
    return (
        f"the machine {markup.code(snapshot.kill_machine, 80)}"
        if snapshot.kill_machine
        else "its machine"
    )


def _survivor_names(kill: Termination, markup: Markup) -> str:
    named = ", ".join(
        f"{markup.code(process.name or 'process', 40)} (pid {process.pid})"
        for process in kill.survivors[:_SURVIVORS_SHOWN]
    )
    more = len(kill.survivors) - _SURVIVORS_SHOWN
    return f"{named} and {more} more" if more > 0 else named
