"""What this process counts where it happens: a registry of its own, no global one."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from itertools import pairwise

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

from core.domain.kills.termination import Phase, Termination
from core.domain.retention import RetentionKind
from core.domain.runs.run import CostSource, Run, StopReason

# The label of workflows that this process has no definition of, so that names stay few.
OTHER_WORKFLOW = "other"

_RUN_SECONDS = (5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)
_WAIT_SECONDS = (0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600)
# A kill is to be confirmed within 10 s, usually within 3.
_KILL_SECONDS = (0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 10, 15, 30, 60)
_PHASE_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 10)
_CALL_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10)
_LAG_SECONDS = (0.25, 0.5, 1, 2, 5, 10, 30, 60, 300)


class CountedMetrics:
    """The counters and histograms of this process.

    It is the core's meter (`core.domain.meter.Meter`) and that of the Slack surface.  All of it is
    called in the event loop, and costs microseconds.

    Attributes:
        registry: Holds these metrics and those of the process (memory, processor, open files).
    """

    def __init__(self, *, version: str) -> None:
        self.registry = CollectorRegistry()
        self._workflows: frozenset[str] = frozenset()
        ProcessCollector(registry=self.registry)
        Info("signalbox_build", "The program.", registry=self.registry).info({"version": version})
        self._runs = self._counter(
            "signalbox_runs",
            "Runs that ended, as this process wrote their end.",
            ("status", "stop_reason", "workflow"),
        )
        self._costs = self._counter(
            "signalbox_cost_usd",
            "Cost in US dollars of the runs whose end this process wrote.",
            ("source", "workflow"),
        )
        self._durations = self._histogram(
            "signalbox_run_duration_seconds",
            "From the start of a run's first attempt to its end.",
            _RUN_SECONDS,
            ("status", "workflow"),
        )
        self._waits = self._histogram(
            "signalbox_run_wait_seconds",
            "From the request of a run to the start of its first attempt.",
            _WAIT_SECONDS,
        )
        self._kills = self._counter(
            "signalbox_kills",
            "Kills that ended: confirmed, unconfirmed, or confirmed after they were unconfirmed.",
            ("result",),
        )
        self._kill_times = self._histogram(
            "signalbox_kill_duration_seconds",
            "From the request of a kill to its proof, of runs that had processes.",
            _KILL_SECONDS,
        )
        self._phase_times = self._histogram(
            "signalbox_kill_phase_duration_seconds",
            "How long a kill stayed in a phase before the next one began.",
            _PHASE_SECONDS,
            ("phase",),
        )
        self._calls = self._counter(
            "signalbox_slack_calls",
            "Calls to Slack; `rate_limited` is a 429.",
            ("method", "outcome"),
        )
        self._call_times = self._histogram(
            "signalbox_slack_call_duration_seconds",
            "How long Slack took to answer a call, without the wait for a permit.",
            _CALL_SECONDS,
            ("method",),
        )
        self._lags = self._histogram(
            "signalbox_drawing_lag_seconds",
            "How long something shown in Slack was outdated before it was drawn.",
            _LAG_SECONDS,
            ("kind",),
        )
        self._expired_rows = self._counter(
            "signalbox_expired_rows",
            "Rows that retention deleted one by one.",
            ("kind",),
        )
        self._expired_months = self._counter(
            "signalbox_expired_months",
            "Months whose rows retention dropped as a whole.",
            ("kind",),
        )
        for kind in RetentionKind:
            self._expired_rows.labels(kind.value)
            self._expired_months.labels(kind.value)
        # Only in a process that has evaluated alerts: 0 would be a time in 1970.
        self._evaluated: Gauge | None = None
        for result in ("confirmed", "unconfirmed", "confirmed_late"):
            self._kills.labels(result)

    def expect_workflows(self, names: Collection[str]) -> None:
        """Name the workflows that get a label of their own, and begin their counts at zero.

        Prometheus sees no increase in a series that begins with 1, so the first failure of a
        workflow would go unnoticed.
        """
        self._workflows = frozenset(names)
        for workflow in (*sorted(self._workflows), OTHER_WORKFLOW):
            for reason in StopReason:
                self._runs.labels(reason.final_status.value, reason.value, workflow)
            for source in CostSource:
                self._costs.labels(source.value, workflow)

    def expect_calls(self, methods: Iterable[str], outcomes: Collection[str]) -> None:
        """Begin the counts of calls to Slack at zero, for the same reason."""
        for method in methods:
            for outcome in outcomes:
                self._calls.labels(method, str(outcome))

    def workflow_label(self, name: str) -> str:
        """The label of a workflow."""
        return name if name in self._workflows else OTHER_WORKFLOW

    def run_began(self, run: Run) -> None:
        """Count the wait of a run whose first attempt begins."""
        if run.attempt == 1 and run.started_at is not None:
            self._waits.observe(max((run.started_at - run.created_at).total_seconds(), 0.0))

    def run_ended(self, run: Run) -> None:
        """Count a run that has ended, its duration and its cost."""
        workflow = self.workflow_label(run.workflow_name)
        reason = "unknown" if run.stop_reason is None else run.stop_reason.value
        self._runs.labels(run.status.value, reason, workflow).inc()
        if run.started_at is not None and run.completed_at is not None:
            seconds = (run.completed_at - run.started_at).total_seconds()
            self._durations.labels(run.status.value, workflow).observe(max(seconds, 0.0))
        if run.cost_usd is not None:
            # A cost without a source counts as estimated, as in the statistics.
            source = run.cost_source or CostSource.ESTIMATED
            self._costs.labels(source.value, workflow).inc(float(run.cost_usd))

    def kill_advanced(self, kill: Termination) -> None:
        """Count a kill that has ended, and how long it took and stayed in each phase."""
        if kill.phase not in (Phase.CONFIRMED, Phase.UNCONFIRMED):
            return
        was_counted = kill.phase is Phase.CONFIRMED and Phase.UNCONFIRMED in kill.phases
        self._kills.labels("confirmed_late" if was_counted else kill.phase.value).inc()
        if not kill.processes_seen and set(kill.phases) <= {Phase.REQUESTED, Phase.CONFIRMED}:
            # A run that had not begun: nothing was to be ended.
            return
        if kill.phase is Phase.CONFIRMED:
            self._kill_times.observe(kill.phases[Phase.CONFIRMED] / 1000)
        if not was_counted:
            for phase, seconds in phase_durations(kill):
                self._phase_times.labels(phase.value).observe(seconds)

    def alerts_evaluated(self, at: datetime) -> None:
        """Note when alerts were evaluated last."""
        if self._evaluated is None:
            self._evaluated = Gauge(
                "signalbox_alerts_evaluated_timestamp_seconds",
                "When this process last evaluated the alerts, in Unix time.",
                registry=self.registry,
            )
        self._evaluated.set(at.timestamp())

    def expired_removed(self, kind: RetentionKind, *, rows: int, months: int) -> None:
        """Count what retention has removed."""
        self._expired_rows.labels(kind.value).inc(rows)
        self._expired_months.labels(kind.value).inc(months)

    def slack_called(self, method: str, outcome: str, seconds: float | None) -> None:
        """Count a call to Slack."""
        self._calls.labels(method, str(outcome)).inc()
        if seconds is not None:
            self._call_times.labels(method).observe(seconds)

    def drawn(self, kind: str, lag_seconds: float) -> None:
        """Count what is shown as it should be."""
        self._lags.labels(kind).observe(max(lag_seconds, 0.0))

    def _counter(self, name: str, meaning: str, labels: Iterable[str] = ()) -> Counter:
        return Counter(name, meaning, tuple(labels), registry=self.registry)

    def _histogram(
        self, name: str, meaning: str, buckets: Iterable[float], labels: Iterable[str] = ()
    ) -> Histogram:
        return Histogram(
            name, meaning, tuple(labels), buckets=tuple(buckets), registry=self.registry
        )


def phase_durations(kill: Termination) -> list[tuple[Phase, float]]:
    """How many seconds a kill stayed in each phase that has ended, in order."""
    return [
        (phase, max(after - at, 0) / 1000)
        for (phase, at), (_, after) in pairwise(kill.phases.items())
    ]
