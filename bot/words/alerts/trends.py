"""Sentences of evidence about trends, with the numbers by which a person can check them."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from bot.words import counts, money
from bot.words.alerts.telling import Telling
from core.domain.alerts.kinds import SubjectType

_NAME_LIMIT = 40


def failure_rate(told: Telling) -> str:
    """How many of the newest runs failed, and of those before them."""
    evidence = told.evidence
    failures, runs = evidence.count("failures"), evidence.count("runs")
    before, runs_before = evidence.count("failures_before"), evidence.count("runs_before")
    name = told.markup.code(told.alert.subject.id, _NAME_LIMIT)
    if None in (failures, runs, before, runs_before):
        return f"runs of {name} {told.verb('fail', 'failed')} more often than before"
    interval = evidence.share("interval")
    spread = f" ({_percent(interval[0])} to {_percent(interval[1])})" if interval else ""
    p = evidence.number("p")
    chance = f" (p = {_p(p)})" if p is not None else ""
    return (
        f"{failures} of the last {runs} runs of {name} failed{spread}, before {before} of "
        f"{runs_before}{chance}"
    )


def cost_spike(told: Telling) -> str:
    """What a run or a day cost, against the usual cost."""
    evidence = told.evidence
    cost, usual = evidence.dollars("cost_usd"), evidence.dollars("median_usd")
    if cost is None or usual is None:
        return "it cost much more than usual"
    factor, compared = evidence.number("factor"), evidence.count("compared")
    is_day = told.alert.subject.type is SubjectType.DAY
    others = ("day like it", "days like it") if is_day else ("run", "runs")
    of_how_many = f" of {counts.plural(compared, *others)}" if compared else ""
    how_much = f"{factor:,.1f} times" if factor is not None else "more than"
    return f"{money.dollars(cost)}, {how_much} the usual {money.dollars(usual)}{of_how_many}"


def _percent(share: float) -> str:
    return f"{round(share * 100)} %"


def _p(p: float) -> str:
    """A p-value with one digit that matters: `0.007`; `under 0.0001` if it is smaller."""
    if p < 0.0001:
        return "under 0.0001"
    exact = Decimal(repr(p))
    digits = Decimal(1).scaleb(exact.adjusted())
    return f"{exact.quantize(digits, rounding=ROUND_HALF_UP):f}"
