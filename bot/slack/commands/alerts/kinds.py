"""The kinds of alerts as people type them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from core.domain.alerts.kinds import USUAL_KINDS, AlertKind

# Words for several kinds at once.
EVERY_KIND = frozenset({"all", "everything", "every"})
USUAL = frozenset({"usual", "default", "defaults"})
# Other words that people try first; spaces and dashes count as underscores.
KIND_SYNONYMS: Mapping[str, AlertKind] = MappingProxyType(
    {
        "fail": AlertKind.FAILED,
        "fails": AlertKind.FAILED,
        "failure": AlertKind.FAILED,
        "failures": AlertKind.FAILED,
        "kill": AlertKind.KILLED,
        "kills": AlertKind.KILLED,
        "stopped": AlertKind.KILLED,
        "complete": AlertKind.COMPLETED,
        "done": AlertKind.COMPLETED,
        "finished": AlertKind.COMPLETED,
        "turns": AlertKind.MAX_TURNS,
        "turn_limit": AlertKind.MAX_TURNS,
        "budgets": AlertKind.BUDGET,
        "costs": AlertKind.COST,
        "stall": AlertKind.STALLED,
        "stalls": AlertKind.STALLED,
        "stuck": AlertKind.STALLED,
        "long": AlertKind.LONG_RUNNING,
        "wait": AlertKind.WAITING,
        "lost_worker": AlertKind.WORKER_LOST,
        "no_workers": AlertKind.NO_WORKER,
        "unconfirmed": AlertKind.KILL_UNCONFIRMED,
        "queue": AlertKind.QUEUE_BACKLOG,
        "backlog": AlertKind.QUEUE_BACKLOG,
        "failure_rates": AlertKind.FAILURE_RATE,
        "cost_spikes": AlertKind.COST_SPIKE,
        "slack": AlertKind.SLACK_TROUBLE,
    }
)


def kind_named(words: str) -> AlertKind | None:
    """The kind with this name or synonym; `None` if there is none."""
    name = words.strip().lower().replace("-", "_").replace(" ", "_")
    return KIND_SYNONYMS.get(name) or next((one for one in AlertKind if one == name), None)


def kinds_named(words: str) -> frozenset[AlertKind] | None:
    """The kinds that a word means: one, all, or the usual ones; `None` if it means none."""
    name = words.strip().lower()
    if name in EVERY_KIND:
        return frozenset(AlertKind)
    if name in USUAL:
        return USUAL_KINDS
    kind = kind_named(words)
    return None if kind is None else frozenset({kind})
