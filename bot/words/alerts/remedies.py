"""What the person who is woken by an alert can do, in words for any surface."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bot.words.markup import Markup
from bot.words.runs.failures import cause_words
from core.domain.alerts.episode import Episode
from core.domain.alerts.kinds import AlertKind

_UP = "signalbox up"
_WORKER = "signalbox worker"
_DOCTOR = "signalbox doctor"

# Empty where nothing is to be done.  `{up}`, `{worker}` and `{doctor}` are commands of the program.
REMEDIES: Mapping[AlertKind, str] = MappingProxyType(
    {
        AlertKind.FAILED: "Its thread says what happened; its work so far is kept.",
        AlertKind.KILLED: "",
        AlertKind.COMPLETED: "",
        AlertKind.ATTENTION: "Read its report, then continue it or finish the rest by hand.",
        AlertKind.MAX_TURNS: "Continue it with more turns; its work is kept.",
        AlertKind.BUDGET: "Look whether it gets on; at its budget it stops, with its work kept.",
        AlertKind.COST: "Look whether it gets on; stopped, it keeps its work.",
        AlertKind.STALLED: "Stop it if it hangs: its work is kept, and it can be continued.",
        AlertKind.LONG_RUNNING: "Look whether it gets on; stopped, it keeps its work.",
        AlertKind.WAITING: "It goes on as soon as it has that; its thread shows what it wants.",
        AlertKind.WORKER_LOST: "Its runs go on elsewhere automatically, if another worker is up. "
        "Look at its machine and its log, then start it again with {worker}.",
        AlertKind.NO_WORKER: "Nothing runs until one is up: start one with {up} or {worker} on a "
        "machine that reaches the database; what waits then starts automatically.",
        AlertKind.KILL_UNCONFIRMED: "Processes of the run may still work. A worker that starts on "
        "that machine ends them; or look there yourself.",
        AlertKind.QUEUE_BACKLOG: "Start another worker, give the present ones more slots, or stop "
        "what is not urgent.",
        AlertKind.FAILURE_RATE: "Compare the failed runs: a change of the workflow, the "
        "repository, the model or a credential is likely.",
        AlertKind.COST_SPIKE: "Look what made it expensive: many turns, a large context, or "
        "another model.",
        AlertKind.SLACK_TROUBLE: "Runs are not affected, and messages catch up automatically. If "
        "it lasts, {doctor} says what Slack refuses.",
    }
)


def remedy(alert: Episode, markup: Markup) -> str:
    """What to do about an alert, as sentences; empty if there is nothing."""
    if alert.kind is AlertKind.FAILED:
        cause = cause_words(alert.evidence.get("cause"))
        if cause is not None:
            return cause.remedy
    if alert.kind is AlertKind.BUDGET and alert.evidence.get("has_ended"):
        return "Look at what it did; if that is worth more, continue it."
    return REMEDIES[alert.kind].format(
        up=markup.code(_UP), worker=markup.code(_WORKER), doctor=markup.code(_DOCTOR)
    )
