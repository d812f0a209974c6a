"""Compares what is shown of a run with the script's own account."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

from bot.words import counts, money
from core.domain.runs.run import Run, Usage
from core.domain.runs.stats import Stats
from tests.truth.account import Figures
from tests.truth.check_pages import PAGE_CHECKS
from tests.truth.check_programs import PROGRAM_CHECKS
from tests.truth.check_steps import STEP_CHECKS
from tests.truth.check_work import WORK_CHECKS
from tests.truth.plan import End
from tests.truth.seen import SeenLeg
from tests.truth.surfaces import (
    card_text,
    details_text,
    dollars_in,
    list_text,
    result_text,
    turns_in,
)

# The column has seven digits, and the part of each attempt is rounded.
_ROUNDING = Decimal("0.000001")


def differences(seen: SeenLeg) -> list[str]:
    """All that is shown and not true."""
    name = f"{seen.plan.describe()}; run {len(seen.earlier) + 1} ({seen.leg.end})"
    return [f"{name}: {found}" for check in CHECKS for found in check(seen)]


def row_differences(run: Run, figures: Figures) -> Iterator[str]:
    """What differs between a row, of a live run too, and its figures."""
    usage = figures.usage if figures.turns else Usage()
    for name, shown, true in (
        ("turns", run.turns, figures.turns),
        ("tool calls", run.tool_calls, figures.calls),
        ("tokens", run.usage, usage),
    ):
        if shown != true:
            yield f"the row has {name} {shown}, not {true}"
    if not is_same_amount(run.cost_usd, figures.cost_usd):
        yield f"the row has a cost of {run.cost_usd}, not {figures.cost_usd}"
    if (run.cost_usd is None) != (run.cost_source is None):
        yield f"the row has a cost of {run.cost_usd} with the source {run.cost_source}"


def is_same_amount(shown: Decimal | None, true: Decimal | None) -> bool:
    """Whether two amounts are the same up to rounding, or both unknown."""
    if shown is None or true is None:
        return shown is true
    return abs(shown - true) <= _ROUNDING


def spend_differences(stats: Stats, figures: list[Figures]) -> Iterator[str]:
    """What differs between the statistics and all runs that began."""
    spend, known = stats.runs.spend, [one.cost_usd for one in figures if one.cost_usd is not None]
    shown = spend.reported_usd + spend.estimated_usd
    if abs(shown - sum(known, Decimal(0))) > _ROUNDING * max(len(known), 1):
        yield f"the statistics have a sum of {shown}, not {sum(known, Decimal(0))}"
    runs = (spend.reported_runs + spend.estimated_runs, spend.unknown_runs)
    if runs != (len(known), len(figures) - len(known)):
        yield f"the statistics have (known, unknown) runs {runs}, not {len(known)} known of "
        f"{len(figures)}"


def _row(seen: SeenLeg) -> Iterator[str]:
    yield from row_differences(seen.run, seen.figures)
    if seen.run.max_turns != seen.leg.turn_limit:
        yield f"its turn limit is {seen.run.max_turns}, not {seen.leg.turn_limit}"
    if seen.run.stop_reason is not seen.leg.end.stop_reason:
        yield f"it stopped for {seen.run.stop_reason} ({seen.run.error_message})"


def _last_words(seen: SeenLeg) -> Iterator[str]:
    words, report = seen.figures.last_words, seen.figures.report
    if seen.leg.end in (End.KILLED, End.FORCE_KILLED):
        words = report = None
    true = words if report is None else f"{report}\n\n---\n\n{words}"
    if seen.run.result != true:
        yield f"the row has the result {seen.run.result!r}, not {true!r}"
    last_line = words.splitlines()[-1] if words else ""
    if last_line not in result_text(seen.snapshot):
        yield f"the reply does not say {last_line!r}"


def _card(seen: SeenLeg) -> Iterator[str]:
    text = card_text(seen.snapshot, now=seen.now)
    limit = seen.run.max_turns
    # The card leaves out what is none.
    turns = {seen.figures.turns} if seen.figures.turns else set[int]()
    # Steps that are done look the same.
    if limit is not None and not turns <= turns_in(text, limit):
        yield f"the card has turns {turns_in(text, limit)} of {limit}, not {seen.figures.turns}"
    yield from _money(seen, "card", text)


def _details(seen: SeenLeg) -> Iterator[str]:
    text = details_text(seen.snapshot, now=seen.now)
    limit, usage = seen.run.max_turns, seen.figures.usage
    if limit is not None and seen.figures.turns not in turns_in(text, limit):
        yield f"the details have turns {turns_in(text, limit)}, not {seen.figures.turns}"
    if usage != Usage() and counts.tokens(usage) not in text:
        yield f"the details do not have {counts.tokens(usage)}: {text!r}"
    if f"*Tool calls*\n{seen.figures.calls:,}" not in text:
        yield f"the details do not have {seen.figures.calls} tool calls: {text!r}"
    spent = seen.snapshot.spent
    if spent is None or not (spent.reported and spent.estimated):
        yield from _money(seen, "details", text)
        return
    # What was reported and what was estimated stand apart.
    parts = {money.dollars(spent.reported_usd), money.dollars(spent.estimated_usd)}
    if not parts <= dollars_in(text):
        yield f"the details do not have {parts}, but {dollars_in(text)}"
    if not is_same_amount(spent.reported_usd + spent.estimated_usd, seen.figures.cost_usd):
        yield f"the details have {parts} for {seen.figures.cost_usd}"


def _list(seen: SeenLeg) -> Iterator[str]:
    text = list_text(seen.snapshot, now=seen.now)
    turns = counts.plural(seen.figures.turns, "turn")
    if seen.figures.turns and turns not in text:
        yield f"the list does not have {turns}: {text!r}"
    yield from _money(seen, "list", text)


def _money(seen: SeenLeg, surface: str, text: str) -> Iterator[str]:
    cost = seen.figures.cost_usd
    if cost is not None and money.dollars(cost) not in dollars_in(text):
        yield f"the {surface} does not have {money.dollars(cost)}, but {dollars_in(text)}"
    if cost is None and not seen.earlier and dollars_in(text):
        yield f"the {surface} has {dollars_in(text)} for an unknown cost"


def _total(seen: SeenLeg) -> Iterator[str]:
    total, legs = seen.snapshot.total, (*seen.earlier, seen.figures)
    if total is None:
        return
    known = [one.cost_usd for one in legs if one.cost_usd is not None]
    true = sum(known, Decimal(0)) if known else None
    if total.turns != sum(one.turns for one in legs):
        yield f"the session has {total.turns} turns, not {sum(one.turns for one in legs)}"
    if not is_same_amount(total.cost_usd, true):
        yield f"the session has a cost of {total.cost_usd}, not {true}"
    unknown, wanted = total.spent.unknown, len(legs) - len(known)
    # A run whose worker died has several processes, of which one may have had no answer.
    is_each_one_leg = total.spent.processes == len(legs)
    if unknown < wanted or (is_each_one_leg and unknown != wanted):
        yield f"the session has {unknown} agent processes of unknown cost"


CHECKS: tuple[Callable[[SeenLeg], Iterator[str]], ...] = (
    _row,
    _last_words,
    _card,
    _details,
    _list,
    _total,
    *WORK_CHECKS,
    *STEP_CHECKS,
    *PROGRAM_CHECKS,
    *PAGE_CHECKS,
)
