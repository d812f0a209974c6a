"""The facts about a run beside its page: whose it is, where it works, its limits and times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from bot.web.dashboard.filters import when
from bot.web.dashboard.shown_texts import shown_line
from bot.words import counts, money, times
from bot.words.failures.retries import automatic_leg_words
from bot.words.markup import PLAIN
from bot.words.restarts import restarted_words
from bot.words.runs.facts import tokens_words, turns_words
from bot.words.runs.recovery import RECOVERY_LABEL
from bot.words.spending import spent_words
from core.domain.runs.restarts.origin import RestartOrigin
from core.domain.runs.run import Run
from core.domain.sessions.recovery import is_recovery
from core.services.runs.whole_runs import WholeRun


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One fact.

    Attributes:
        value: Plain text, or HTML that was made for it.
        href: Where it leads; empty for nowhere.
        is_literal: Whether it is a name, an id or a path.
    """

    name: str
    value: str
    href: str = ""
    is_literal: bool = False


def run_facts(whole: WholeRun) -> list[Fact]:
    """The facts that are known.  Pure."""
    return [fact for fact in _facts(whole) if fact.value]


def cost_words(whole: WholeRun) -> str:
    """The cost of a run; of one with several agent processes what each kind adds up to."""
    run, spent = whole.run, whole.snapshot.spent
    if spent is not None and spent.processes > 1:
        return spent_words(spent)
    if run.cost_usd is None:
        return ""
    return money.cost(run.cost_usd, run.cost_source, is_live=run.is_live)


def _facts(whole: WholeRun) -> Iterator[Fact]:
    run = whole.run
    yield Fact(name="Run", value=run.run_id, is_literal=True)
    yield Fact(
        name="Session",
        value=shown_line(run.session_name, 80) or str(run.session_id)[:13],
        href=f"/sessions/{run.session_id}",
        is_literal=run.session_name is None,
    )
    yield Fact(name="Leg", value=_leg_words(whole))
    yield Fact(
        name="Owner",
        value="" if whole.snapshot.owner is None else PLAIN.person(whole.snapshot.owner),
    )
    yield Fact(
        name="Workflow",
        value=shown_line(run.workflow_name, 60),
        href=f"/runs?workflow={quote(run.workflow_name, safe='')}",
    )
    yield Fact(
        name="Repository",
        value=shown_line(run.git_repo, 160) or "a new, empty repository",
        is_literal=run.git_repo is not None,
    )
    yield Fact(name="Branch", value=shown_line(run.git_branch, 80), is_literal=True)
    yield Fact(name="Model", value=shown_line(run.ai_model, 80), is_literal=True)
    yield Fact(name="Turns", value=turns_words(run) if run.started_at is not None else "")
    yield Fact(name="Cost", value=cost_words(whole))
    yield Fact(name="Tokens", value=tokens_words(run) if run.has_known_tokens else "")
    yield Fact(name="Tools", value=", ".join(shown_line(one, 60) for one in run.tools_used[:12]))
    yield Fact(name="Limits", value=_limit_words(run))
    yield Fact(name="Attempt", value=str(run.attempt) if run.attempt > 1 else "")
    yield Fact(name="Priority", value=str(run.priority) if run.priority else "")
    yield Fact(name="Requested", value=when(run.created_at))
    yield Fact(name="Started", value=when(run.started_at))
    yield Fact(name="Ended", value=when(run.completed_at))
    yield from _relatives(whole)


def _relatives(whole: WholeRun) -> Iterator[Fact]:
    """The runs that it comes from, and those that came of it."""
    snapshot = whole.snapshot
    origin = RestartOrigin.of(snapshot.run)
    if origin is not None:
        yield Fact(
            name="Origin", value=restarted_words(origin, PLAIN), href=f"/runs/{origin.run_id}"
        )
    elif snapshot.parent_run_id is not None:
        yield Fact(
            name="Continues",
            value=snapshot.parent_run_id,
            href=f"/runs/{snapshot.parent_run_id}",
            is_literal=True,
        )
    for link in snapshot.restarts:
        yield Fact(
            name="Restarted as", value=link.run_id, href=f"/runs/{link.run_id}", is_literal=True
        )


def _leg_words(whole: WholeRun) -> str:
    snapshot, total = whole.snapshot, whole.snapshot.total
    automatic = automatic_leg_words(whole.run)
    if whole.leg_count < 2 or total is None:
        return automatic or ""
    label = f", {RECOVERY_LABEL}" if is_recovery(whole.run) else ""
    turns = counts.plural(total.turns, "turn")
    spent = spent_words(total.spent)
    words = f"{snapshot.leg} of {whole.leg_count}{label}; together {turns}, cost {spent}"
    return f"{words}; {automatic}" if automatic else words


def _limit_words(run: Run) -> str:
    limits = []
    if run.max_turns is not None:
        limits.append(counts.plural(run.max_turns, "turn"))
    if run.timeout is not None:
        limits.append(times.time_limit(run.timeout))
    if run.budget_usd is not None:
        limits.append(money.dollars(run.budget_usd))
    return ", ".join(limits) or "none"
