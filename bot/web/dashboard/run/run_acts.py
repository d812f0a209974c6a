"""What can be done with a run now, the likeliest act first; an act that can only fail is left out.

Whether the person may do it is another question, which the templates ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from bot.words import money
from bot.words.kills import KillQuestion, force_question, kill_question, may_force_kill
from bot.words.restarts import DEFINITION_LABELS, MODE_LABELS, RESTART_AGAIN
from bot.words.runs.continuing import ContinueOffer, continue_offer, may_restart
from bot.words.runs.recovery import RECOVERY_CHOICE, RECOVERY_OFFER
from core.domain.runs.restarts.request import DefinitionChoice, RestartMode
from core.domain.runs.run import Run
from core.services.runs.whole_runs import WholeRun


@dataclass(frozen=True, kw_only=True)
class RunActs:
    """What can be done with a run.

    Attributes:
        kill: What is asked before it is killed; `None` if it cannot be.
        is_forced: Whether that kill is by force, because one was requested already.
        offer: How its session can be continued.
        newest_run_id: The newest run of the session, if it is another one: it is that one which is
            continued.
        turns_hint: What happens without a number of turns, and so for `budget_hint`.
        run_again: The address of the form that starts the same again.
        start_label: What the start of a run is called among the points of a restart.
    """

    kill: KillQuestion | None
    is_forced: bool
    offer: ContinueOffer
    may_restart: bool
    newest_run_id: str | None
    turns_hint: str
    budget_hint: str
    recovery_words: str
    run_again: str
    start_label: str = RESTART_AGAIN
    modes: Mapping[RestartMode, str] = field(default_factory=lambda: MODE_LABELS)
    definitions: Mapping[DefinitionChoice, str] = field(default_factory=lambda: DEFINITION_LABELS)


def run_acts(whole: WholeRun) -> RunActs:
    """What can be done with a run.  Pure."""
    run, snapshot = whole.run, whole.snapshot
    is_forced = run.kill_requested_at is not None
    kill: KillQuestion | None = None
    if run.is_live and not is_forced:
        kill = kill_question(snapshot)
    elif run.is_live and may_force_kill(snapshot.termination):
        kill = force_question(snapshot)
    offer = continue_offer(run) if whole.is_newest else ContinueOffer()
    return RunActs(
        kill=kill,
        is_forced=is_forced,
        offer=offer,
        may_restart=may_restart(run),
        newest_run_id=None if whole.is_newest else whole.newest.run_id,
        turns_hint=_turns_hint(run),
        budget_hint="Left empty, "
        + (
            f"the same as before: {money.dollars(run.budget_usd)}, counted anew."
            if run.budget_usd is not None
            else "there is none, as before."
        ),
        recovery_words=RECOVERY_OFFER if offer.is_recovery_likely else RECOVERY_CHOICE,
        run_again=f"/runs/new?{urlencode({'again': run.run_id})}",
    )


def _turns_hint(run: Run) -> str:
    if run.turns_left:
        return f"On top of the {run.turns_left} that it has left. Left empty, only those."
    return "Left empty, as many as the workflow allows."
