"""What the list of runs can be restricted to, in words: choices, set filters, and ready views."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bot.words.runs.endings import REASON_WORDS
from bot.words.runs.states import STATUS_WORDS
from core.domain.runs.outcome import Outcome
from core.domain.runs.run import LIVE_STATUSES, RunStatus, StopReason

UrlOf = Callable[[dict[str, Any]], str]

OUTCOME_WORDS: Mapping[Outcome, str] = MappingProxyType(
    {Outcome.CLEAN: "clean", Outcome.ATTENTION: "needs a look"}
)
# What a set filter is called; `{}` is its value.
_CHIPS: Mapping[str, str] = MappingProxyType(
    {
        "workflow": "workflow {}",
        "session_id": "session {}",
        "mine": "mine",
        "waiting": "waiting for a person",
        "owner": "owner {}",
        "q": "“{}”",
        "repository": "repository {}",
        "branch": "branch {}",
        "stop_reason": "{}",
        "outcome": "{}",
        "range": "last {}",
        "from": "from {}",
        "to": "until {}",
    }
)
_WORDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "status": {one.value: STATUS_WORDS[one] for one in RunStatus},
        "outcome": {one.value: OUTCOME_WORDS[one] for one in Outcome},
        "stop_reason": {one.value: REASON_WORDS[one].lower() for one in StopReason},
    }
)
# Views with one press.
_VIEWS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "All": {},
        "Live": {"status": sorted(one.value for one in LIVE_STATUSES)},
        "Waiting": {"waiting": "true"},
        "Failed": {"status": [RunStatus.FAILED.value]},
        "Needs a look": {"outcome": Outcome.ATTENTION.value},
        "Mine": {"mine": "true"},
    }
)
# What a view leaves as it is: how far back people look.
_KEPT = ("range", "from", "to")


@dataclass(frozen=True)
class FilterChip:
    """A filter that is set, and the address without it."""

    label: str
    url: str


@dataclass(frozen=True)
class RunView:
    """A ready view.

    Attributes:
        is_shown: Whether the page shows it now.
    """

    label: str
    url: str
    is_shown: bool


def status_choices() -> list[tuple[str, str]]:
    """The statuses as values and words."""
    return list(_WORDS["status"].items())


def outcome_choices() -> list[tuple[str, str]]:
    """The outcomes as values and words."""
    return list(_WORDS["outcome"].items())


def reason_choices() -> list[tuple[str, str]]:
    """Why runs end, as values and words."""
    return list(_WORDS["stop_reason"].items())


def pairs(names: Iterable[str]) -> list[tuple[str, str]]:
    """Choices that are their own words."""
    return [(name, name) for name in names]


def filter_chips(given: Mapping[str, Any], url_of: UrlOf) -> list[FilterChip]:
    """The filters that are set, each with the address without it.  Pure."""
    chips = []
    for name, value in given.items():
        if name == "status":
            for one in value:
                others = [other for other in value if other != one]
                rest = {**given, "status": others} if others else _without(given, name)
                chips.append(FilterChip(_WORDS[name][one], url_of(rest)))
        else:
            words = _WORDS.get(name, {}).get(str(value), str(value))
            chips.append(FilterChip(_CHIPS[name].format(words), url_of(_without(given, name))))
    return chips


def run_views(given: Mapping[str, Any], url_of: UrlOf) -> list[RunView]:
    """The ready views; one is shown if nothing else is set but how far back it goes.  Pure."""
    kept = {name: given[name] for name in _KEPT if name in given}
    present = {
        name: sorted(value) if name == "status" else value
        for name, value in given.items()
        if name not in _KEPT
    }
    return [
        RunView(label, url_of({**wanted, **kept}), present == wanted)
        for label, wanted in _VIEWS.items()
    ]


def _without(given: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key != name}
