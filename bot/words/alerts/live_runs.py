"""Sentences of evidence about runs that have not ended."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bot.words import money, times
from bot.words.alerts.figures import over_amount, over_share
from bot.words.alerts.telling import Telling
from bot.words.runs.waiting.awaited import awaited_phrase, call_words
from core.domain.runs.activity.awaited import AwaitedKind
from core.domain.runs.run import WaitingOn

# What a run waits for that nobody but a person or time can give.
WAITING_PHRASES: Mapping[WaitingOn, str] = MappingProxyType(
    {
        WaitingOn.APPROVAL: "for an approval of what it wants to do",
        WaitingOn.QUESTION: "for an answer to its question",
        WaitingOn.BUDGET: "for more budget",
        WaitingOn.USAGE_LIMIT: "for the account's usage limit to reset",
    }
)


def budget(told: Telling) -> str:
    """How much of a run's budget is used."""
    cost, limit = told.evidence.dollars("cost_usd"), told.evidence.dollars("limit_usd")
    if told.evidence.stored.get("has_ended"):
        if cost is None or limit is None:
            return "it stopped at its budget and is not finished; its work is kept"
        return (
            f"it stopped at its budget and is not finished: {money.dollars(cost)} of "
            f"{money.dollars(limit)}; its work is kept"
        )
    if cost is None or limit is None or limit <= 0:
        return f"it {told.verb('has', 'had')} used most of its budget"
    if told.is_over:
        return f"it had used {money.dollars(cost)} of its budget of {money.dollars(limit)}"
    return f"it has used {over_share(cost, limit)} of its budget of {money.dollars(limit)}"


def cost(told: Telling) -> str:
    """What a run costs, against the limit from which on it is told."""
    spent, limit = told.evidence.dollars("cost_usd"), told.evidence.dollars("limit_usd")
    if spent is None or limit is None or limit <= 0:
        return f"it {told.verb('costs', 'cost')} more than the limit of the alerts"
    so_far = money.dollars(spent) if told.is_over else f"{over_amount(spent, limit)} so far"
    had = told.verb("has", "had")
    return f"it {had} cost {so_far}; alerts come from {money.dollars(limit)} on"


def stalled(told: Telling) -> str:
    """Since when nothing is heard of a run, and what it waits for."""
    evidence = told.evidence
    kind = next((one for one in AwaitedKind if one.value == evidence.stored.get("awaited")), None)
    began, name = evidence.time("awaited_since"), evidence.text("name")
    if kind is AwaitedKind.TOOL and name is not None and began is not None:
        shown = call_words(name, told.markup)
        runs = told.verb("has been running for", "had been running for")
        return f"the call {shown} {runs} {told.lasting(began)}; {_signs(told)}"
    silent = told.lasting(told.alert.opened_at)
    heard = f"nothing {told.verb('heard', 'was heard')} for {silent}"
    if kind is None:
        return heard
    return f"{heard}; {awaited_phrase(kind, name, told.markup, is_over=told.is_over)}"


def long_running(told: Telling) -> str:
    """For how long a run works."""
    limit = told.evidence.duration("limit_seconds")
    usual = f"; alerts come from {times.duration(limit)} on" if limit is not None else ""
    works = told.verb("it has worked for", "it worked for")
    return f"{works} {told.lasting(told.alert.opened_at)}{usual}"


def waiting(told: Telling) -> str:
    """Since when a run waits, and for what."""
    stored = told.evidence.stored.get("waiting_on")
    what = next((WAITING_PHRASES[one] for one in WaitingOn if one.value == stored), "for a person")
    since = told.alert.opened_at
    waits = told.verb("has waited", "waited")
    return f"it {waits} {what} since {told.at(since)}{told.so_far(since)}"


def _signs(told: Telling) -> str:
    """The last sign of life of a tool call's programs."""
    output, busy = told.evidence.time("output_at"), told.evidence.time("busy_at")
    if output is not None and (busy is None or output >= busy):
        if told.is_over:
            return f"its last output was {told.lasting(output)} old"
        return f"its output grew {told.lasting(output)} ago"
    if busy is not None:
        if told.is_over:
            return f"its programs had done nothing for {told.lasting(busy)}"
        return f"its programs last used the processor {told.lasting(busy)} ago"
    if not told.evidence.stored.get("is_output_known"):
        return told.verb(
            "nothing was heard of it since, and its programs use no processor",
            "nothing was heard of it, and its programs used no processor",
        )
    return told.verb(
        "it has written nothing, and its programs do nothing",
        "it had written nothing, and its programs did nothing",
    )
