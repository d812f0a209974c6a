"""What an attentive person would see at each tick: written from the issue, not from the product.

It keeps its own account of what has happened, and asks at each tick, for each kind, whether its
condition holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.alerts.replay.channels import WISHES
from tests.alerts.replay.facts import BEGIN, Event, Week, What, run_id_of
from tests.alerts.replay.trends import Ended, Trends

IDLE, TOOL, PERSON = timedelta(minutes=5), timedelta(minutes=10), timedelta(minutes=30)
LONG, QUEUE, DEAD = timedelta(hours=2), timedelta(minutes=10), timedelta(seconds=45)
DAY, SLACK_LAG = timedelta(hours=24), timedelta(minutes=1)
TEAM_COST_CENTS = 1000
INFO, WARNING, CRITICAL = 1, 2, 3

# (kind, type of subject, id of subject)
Key = tuple[str, str, str]


@dataclass(frozen=True)
class Seen:
    """A condition that holds at a tick."""

    since: datetime
    severity: int
    workflow: str | None = None
    repository: str | None = None
    owner: str | None = None
    cents: int = 0
    run: int | None = None


@dataclass
class Look:
    """One tick.

    Attributes:
        states: The conditions that hold, of kinds that last.
        happened: What has ended or become known since the tick before, each seen once.
        explained: The states that another one explains.
        live: The runs that have not ended.
        continued: The runs that another one goes on from.
        looked_at: The workflows of which a run has ended.
    """

    at: datetime
    states: dict[Key, Seen] = field(default_factory=dict)
    happened: dict[Key, Seen] = field(default_factory=dict)
    explained: set[Key] = field(default_factory=set)
    live: set[str] = field(default_factory=set)
    continued: set[int] = field(default_factory=set)
    looked_at: set[str] = field(default_factory=set)


@dataclass
class _Run:
    number: int
    facts: dict[str, Any]
    pending_since: datetime
    status: str = "pending"
    node: str | None = None
    started_at: datetime | None = None
    heard_at: datetime = BEGIN
    alive_at: datetime = BEGIN
    is_in_tool: bool = False
    waits_for: str | None = None
    cents: int | None = None
    is_held: bool = False
    is_being_killed: bool = False
    unconfirmed_since: datetime | None = None
    kill_asked_at: datetime | None = None


@dataclass
class _Worker:
    start: int
    beat_at: datetime
    state: str = "up"


class Sampler:
    """Goes through a week."""

    def __init__(self, week: Week) -> None:
        self.week = week
        self.runs: dict[int, _Run] = {}
        self.workers: dict[str, _Worker] = {}
        self.slack_oldest: datetime | None = None
        self.cost_limits: dict[str, int] = {}
        self.ended: list[Ended] = []
        self.unmeasured: dict[int, Ended] = {}
        self.trends = Trends(week.past)
        self.now = BEGIN

    def looks(self, ticks: set[datetime]) -> Iterator[Look]:
        """The looks at those ticks; workers report at the others, too."""
        events = iter(self.week.events)
        upcoming = next(events, None)
        for tick in self.week.ticks:
            while upcoming is not None and upcoming.at < tick:
                self.now = upcoming.at
                self._apply(upcoming)
                upcoming = next(events, None)
            self.now = tick
            for worker in self.workers.values():
                if worker.state in {"up", "draining"}:
                    worker.beat_at = tick
            if tick in ticks:
                yield self._look()

    # What happens

    def _apply(self, event: Event) -> None:  # noqa: C901 - one line an event
        if event.run is not None and event.run in self.runs:
            self._apply_to_run(event, self.runs[event.run])
        elif event.what is What.CREATED and event.run is not None:
            self.runs[event.run] = _Run(event.run, dict(event.data), self.now)
        elif event.what is What.WORKER_UP:
            self.workers[event.name] = _Worker(event.data["start"], self.now)
        elif event.what is What.WORKER_DIES:
            self.workers[event.name].state = "dead"
        elif event.what is What.WORKER_DRAINS:
            self.workers[event.name].state = "draining"
            self.workers[event.name].beat_at = self.now
        elif event.what is What.WORKER_STOPS:
            self.workers[event.name].state = "stopped"
            self.workers[event.name].beat_at = self.now
        elif event.what is What.SLACK_BEHIND:
            self.slack_oldest = event.data["oldest"]
        elif event.what is What.SLACK_RIGHT:
            self.slack_oldest = None
        elif event.what is What.SUBSCRIBED:
            wishes = WISHES[event.name]
            if "least_cents" in wishes and "cost" in wishes["kinds"]:
                self.cost_limits[event.name] = wishes["least_cents"]
        elif event.what is What.UNSUBSCRIBED:
            self.cost_limits.pop(event.name, None)

    def _apply_to_run(self, event: Event, run: _Run) -> None:  # noqa: C901 - one line an event
        what = event.what
        if what in {What.HELD, What.RELEASED}:
            run.is_held = what is What.HELD
        elif what is What.STARTED:
            run.status, run.node, run.is_held = "running", event.name, False
            run.started_at = run.started_at or self.now
            run.is_in_tool, run.heard_at = False, self.now
        elif what is What.HEARD:
            run.waits_for, run.is_in_tool = None, event.data["kind"] == "tool"
            run.heard_at = self.now
        elif what is What.WAITS:
            run.waits_for, run.heard_at = event.data["on"], self.now
        elif what is What.COST:
            run.cents = event.data["cents"]
        elif what is What.REQUEUED:
            run.status, run.node, run.waits_for = "pending", None, None
            run.pending_since = self.now
        elif what is What.KILL_REQUESTED:
            run.is_being_killed, run.kill_asked_at = True, self.now
        elif what is What.KILL_UNCONFIRMED:
            run.unconfirmed_since = run.kill_asked_at
        elif what is What.KILL_CONFIRMED:
            run.unconfirmed_since = None
        elif what is What.ENDED:
            self._end(event, run)
        elif what is What.MEASURED:
            self.ended.append(self.unmeasured.pop(run.number))
        # What its programs write is life as much as what the agent says.
        if what in {What.STARTED, What.HEARD, What.WAITS, What.OUTPUT}:
            run.alive_at = self.now

    def _end(self, event: Event, run: _Run) -> None:
        run.status = "ended"
        if event.data["cents"] is not None:
            run.cents = event.data["cents"]
        end = Ended(
            run=run.number,
            at=self.now,
            workflow=run.facts["workflow"],
            reason=event.data["reason"],
            needs_a_look=bool(event.data["reasons"]),
            cents=run.cents,
        )
        if event.data["is_measured_later"]:
            self.unmeasured[run.number] = end
        else:
            self.ended.append(end)

    # What is seen

    def _look(self) -> Look:
        look = Look(self.now)
        live = [run for run in self.runs.values() if run.status != "ended"]
        look.live = {run_id_of(run.number) for run in live}
        ended, self.ended = sorted(self.ended, key=lambda end: (end.at, end.run)), []
        numbers = [run.number for run in live] + [end.run for end in ended]
        parents = (self.runs[number].facts["parent"] for number in numbers)
        look.continued = {parent for parent in parents if parent is not None}
        lost = self._fleet(look, live)
        limit = min([TEAM_COST_CENTS, *self.cost_limits.values()])
        for run in live:
            self._live_run(look, run, lost, limit)
        for run in self.runs.values():
            if run.unconfirmed_since is not None:
                key = ("kill_unconfirmed", "run", run_id_of(run.number))
                look.states[key] = self._of(run, run.unconfirmed_since, CRITICAL)
        if self.slack_oldest is not None and self.now - self.slack_oldest >= SLACK_LAG:
            look.states["slack_trouble", "slack", "slack"] = Seen(self.slack_oldest, WARNING)
        self._ends(look, ended)
        self._trends(look, ended, live)
        return look

    def _of(self, run: _Run, since: datetime, severity: int) -> Seen:
        return Seen(
            since,
            severity,
            run.facts["workflow"],
            run.facts["repository"],
            run.facts["owner"],
            run.cents or 0,
            run.number,
        )

    def _fleet(self, look: Look, live: list[_Run]) -> set[str]:
        now = self.now
        lost = {
            node
            for node, worker in self.workers.items()
            if worker.state == "dead" and DEAD < now - worker.beat_at < DAY
        }
        for node in lost:
            look.states["worker_lost", "worker", node] = Seen(self.workers[node].beat_at, CRITICAL)
        takes_runs = any(
            worker.state == "up" or (worker.state == "dead" and node not in lost)
            for node, worker in self.workers.items()
        )
        waiting = [run.pending_since for run in live if run.status == "pending" and not run.is_held]
        oldest = min(waiting, default=None)
        beats = [worker.beat_at for worker in self.workers.values()]
        if not takes_runs and (oldest is not None or lost):
            since = max(at for at in (oldest, max(beats, default=None)) if at is not None)
            look.states["no_worker", "fleet", "fleet"] = Seen(since, CRITICAL)
        if oldest is not None and now - oldest >= QUEUE:
            key = ("queue_backlog", "fleet", "fleet")
            look.states[key] = Seen(oldest, WARNING)
            if ("no_worker", "fleet", "fleet") in look.states:
                look.explained.add(key)
        return lost

    def _live_run(self, look: Look, run: _Run, lost: set[str], limit: int) -> None:
        self._spending(look, run, limit)
        if run.status == "running" and not run.is_being_killed:
            self._silence(look, run, lost)

    def _spending(self, look: Look, run: _Run, limit: int) -> None:
        now, run_id = self.now, run_id_of(run.number)
        if run.cents is not None:
            budget = run.facts["budget_cents"]
            if budget is not None and run.cents >= budget * 0.8:
                severity = CRITICAL if run.cents >= budget else WARNING
                look.states["budget", "run", run_id] = self._of(run, now, severity)
            if run.cents >= limit:
                look.states["cost", "run", run_id] = self._of(run, now, WARNING)

    def _silence(self, look: Look, run: _Run, lost: set[str]) -> None:
        now, run_id = self.now, run_id_of(run.number)
        assert run.started_at is not None
        found: list[tuple[str, datetime, int]] = []
        if run.waits_for is not None:
            if now - run.heard_at >= PERSON:
                found.append(("waiting", run.heard_at, WARNING))
        elif now - run.alive_at >= (TOOL if run.is_in_tool else IDLE):
            found.append(("stalled", run.alive_at, WARNING))
        if now - run.started_at >= LONG:
            found.append(("long_running", run.started_at, INFO))
        for kind, since, severity in found:
            key = (kind, "run", run_id)
            look.states[key] = self._of(run, since, severity)
            if run.node in lost:
                look.explained.add(key)

    def _ends(self, look: Look, ended: list[Ended]) -> None:
        kinds = {"max_turns": "max_turns", "budget": "budget", "killed": "killed"}
        for end in ended:
            kind = kinds.get(end.reason, "failed")
            if end.reason == "success":
                kind = "attention" if end.needs_a_look else "completed"
            severity = WARNING if kind in {"failed", "attention", "max_turns"} else INFO
            severity = CRITICAL if kind == "budget" else severity
            key = (kind, "run", run_id_of(end.run))
            look.happened[key] = self._of(self.runs[end.run], end.at, severity)

    def _trends(self, look: Look, ended: list[Ended], live: list[_Run]) -> None:
        look.looked_at = {end.workflow for end in ended}
        at_limit = {run.facts["workflow"] for run in live if run.waits_for == "usage_limit"}
        for end in self.trends.take_in(ended):
            key = ("cost_spike", "run", run_id_of(end.run))
            look.happened[key] = self._of(self.runs[end.run], end.at, WARNING)
        for day in self.trends.expensive_days(ended):
            look.happened["cost_spike", "day", day.isoformat()] = Seen(self.now, WARNING)
        for workflow in look.looked_at:
            at_limit |= {workflow} if self.trends.met_usage_limit(workflow) else set()
            is_explained = workflow in at_limit
            since = self.trends.fails_more(workflow, self.now, is_explained=is_explained)
            if since is not None:
                key = ("failure_rate", "workflow", workflow)
                look.states[key] = Seen(since, WARNING, workflow)
                if is_explained:
                    look.explained.add(key)
