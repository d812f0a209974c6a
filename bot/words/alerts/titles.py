"""What alerts are called: their kinds, their severities and what they are about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bot.words import counts
from bot.words.alerts.figures import Evidence
from bot.words.markup import Markup
from core.domain.alerts.channels.delivery import AlertGroup, GroupType
from core.domain.alerts.episode import Episode
from core.domain.alerts.kinds import AlertKind, Severity, Subject, SubjectType
from core.domain.runs.snapshot import RunSnapshot

_NAME_LIMIT = 60
_TASK_LIMIT = 90


@dataclass(frozen=True, kw_only=True)
class KindWords:
    """A kind of alerts in words, as plain text.

    Attributes:
        one: The title of one alert.
        several: The title of several ones, behind their number.
        several_one: The same if their number is 1, as in a count by kind.
    """

    one: str
    several: str
    several_one: str


def _runs(one: str, several: str, many: str | None = None) -> KindWords:
    return KindWords(one=one, several=f"runs {many or several}", several_one=f"run {several}")


KIND_WORDS: Mapping[AlertKind, KindWords] = MappingProxyType(
    {
        AlertKind.FAILED: _runs("Run failed", "failed"),
        AlertKind.KILLED: _runs("Run stopped by a person", "stopped by a person"),
        AlertKind.COMPLETED: _runs("Run completed", "completed"),
        AlertKind.ATTENTION: _runs(
            "Run finished, but needs a look",
            "finished, but needs a look",
            "finished, but need a look",
        ),
        AlertKind.MAX_TURNS: _runs(
            "Run stopped at its turn limit",
            "stopped at its turn limit",
            "stopped at their turn limits",
        ),
        AlertKind.BUDGET: _runs(
            "Budget nearly used up", "near or over its budget", "near or over their budgets"
        ),
        AlertKind.COST: _runs("Expensive run", "above the cost limit"),
        AlertKind.STALLED: _runs("Nothing is heard of a run", "not heard of"),
        AlertKind.LONG_RUNNING: _runs("Run takes long", "takes long", "take long"),
        AlertKind.WAITING: _runs(
            "Run waits for somebody", "waits for somebody", "wait for somebody"
        ),
        AlertKind.WORKER_LOST: KindWords(
            one="Worker lost", several="workers lost", several_one="worker lost"
        ),
        AlertKind.NO_WORKER: KindWords(
            one="No worker takes runs",
            several="times no worker took runs",
            several_one="time no worker took runs",
        ),
        AlertKind.KILL_UNCONFIRMED: KindWords(
            one="Kill not confirmed",
            several="kills not confirmed",
            several_one="kill not confirmed",
        ),
        AlertKind.QUEUE_BACKLOG: KindWords(
            one="The queue does not move",
            several="times the queue did not move",
            several_one="time the queue did not move",
        ),
        AlertKind.FAILURE_RATE: KindWords(
            one="Workflow fails more often",
            several="workflows fail more often",
            several_one="workflow fails more often",
        ),
        AlertKind.COST_SPIKE: KindWords(
            one="Much more expensive than usual",
            several="costs much higher than usual",
            several_one="cost much higher than usual",
        ),
        AlertKind.SLACK_TROUBLE: KindWords(
            one="Slack is behind",
            several="times Slack was behind",
            several_one="time Slack was behind",
        ),
    }
)

SEVERITY_WORDS: Mapping[Severity, str] = MappingProxyType(
    {Severity.INFO: "info", Severity.WARNING: "warning", Severity.CRITICAL: "critical"}
)
SEVERITY_ICONS: Mapping[Severity, str] = MappingProxyType(
    {Severity.INFO: "🔵", Severity.WARNING: "🟠", Severity.CRITICAL: "🔴"}
)

# How a subject is called; `{name}` is its id as a literal.
SUBJECT_WORDS: Mapping[SubjectType, str] = MappingProxyType(
    {
        SubjectType.RUN: "{name}",
        SubjectType.WORKER: "worker {name}",
        SubjectType.WORKFLOW: "workflow {name}",
        SubjectType.DAY: "all runs of {name}",
        SubjectType.FLEET: "the workers",
        SubjectType.SLACK: "Slack",
    }
)


def alert_title(alert: Episode) -> str:
    """What an alert tells, as plain text: `Run failed`."""
    if alert.kind is AlertKind.BUDGET:
        evidence = Evidence(stored=alert.evidence)
        if evidence.stored.get("has_ended"):
            return "Run stopped at its budget"
        cost, limit = evidence.dollars("cost_usd"), evidence.dollars("limit_usd")
        if cost is not None and limit is not None and cost >= limit:
            return "Budget used up"
    return KIND_WORDS[alert.kind].one


def counted(kind: AlertKind, number: int) -> str:
    """Several alerts of a kind, as plain text: `4 runs failed`."""
    words = KIND_WORDS[kind]
    return f"{number:,} {words.several_one if number == 1 else words.several}"


def group_title(group: AlertGroup, number: int) -> str:
    """What a message about several alerts tells, as plain text."""
    if group.type is GroupType.QUIET:
        return f"{counts.plural(number, 'alert')} during quiet hours"
    if group.type is GroupType.MUTED:
        return f"{counts.plural(number, 'alert')} from the time of the mute"
    if group.type is GroupType.EARLIER:
        return f"{counts.plural(number, 'alert')} from before the subscription"
    if group.type is GroupType.SUMMARY or group.kind is None:
        return counts.plural(number, "further alert")
    return counted(group.kind, number)


def subject_words(alert: Episode, run: RunSnapshot | None, markup: Markup) -> str:
    """What an alert is about: a run by its task, anything else by its name.

    Args:
        alert: The alert.
        run: The run that it is about, if it is about one and that is known.
        markup: The surface's markup.
    """
    if alert.subject.type is SubjectType.RUN:
        task = run.about or run.run.task_input if run is not None else _stored_task(alert)
        words = markup.inline(task, _TASK_LIMIT)
        if words:
            return words
    return _named(alert.subject, markup)


def _stored_task(alert: Episode) -> str:
    return Evidence(stored=alert.evidence).text("task") or ""


def _named(subject: Subject, markup: Markup) -> str:
    return SUBJECT_WORDS[subject.type].format(name=markup.code(subject.id, _NAME_LIMIT))
