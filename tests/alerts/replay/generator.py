"""Draws a week from a seed: runs, workers, Slack, channels and the people in them.

Ticks come every 10 seconds for a minute after what changes the state of a run, a worker or Slack,
once after everything else, and every 5 minutes in any case.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from tests.alerts.replay.channels import channel_events
from tests.alerts.replay.facts import BEGIN, TICK, Event, PastDay, Week, What, tick_after

WORKFLOWS = ("implement", "fix", "review", "test")
OWNERS = ("U1", "U2", "U3")
REPOSITORIES = ("https://github.com/acme/api", "git@github.com:acme/web.git", None)
_SPARSE = timedelta(minutes=5)
# After these the state of something is likely to be told soon.
_LIVELY = {
    What.WORKER_UP, What.WORKER_DIES, What.WORKER_STOPS, What.KILL_UNCONFIRMED, What.ENDED,
    What.SLACK_BEHIND, What.SLACK_RIGHT, What.REQUEUED, What.MEASURED,
}  # fmt: skip
_FAILURES = ("api_error", "agent_error", "no_result", "timeout", "workspace_error", "setup_error")


@dataclass
class _Run:
    number: int
    workflow: str
    node: str | None = None
    attempt: int = 0
    is_over: bool = False


def _one_at_a_time(events: list[Event]) -> list[Event]:
    """The same events, no two of which have the same time."""
    found: list[Event] = []
    for event in events:
        earliest = found[-1].at + timedelta(microseconds=1) if found else event.at
        found.append(replace(event, at=max(event.at, earliest)))
    return found


@dataclass
class Generator:
    """A simulation: everything that happens schedules what comes next."""

    seed: int
    runs: int
    days: int = 7
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.queue: list[tuple[datetime, int, Callable[[], None]]] = []
        self.scheduled = 0
        self.now = BEGIN
        self.known: dict[int, _Run] = {}
        self.workers: dict[str, str] = {}
        self.starts: dict[str, int] = {}
        self.plans: dict[int, dict[str, Any]] = {}

    @property
    def seconds(self) -> float:
        return self.days * 86400.0

    def week(self) -> Week:
        """Draw it."""
        self._begin_workers()
        for number in range(self.runs):
            self._at(self._moment(), partial(self._create, number, {}))
        for _ in range(max(self.days // 2, 1)):
            self._at(self._moment(), self._slack_falls_behind)
        for _ in range(max(self.days // 2, 1)):
            self._at(self._moment(), self._burst)
        end = BEGIN + timedelta(days=self.days)
        while self.queue:
            self.now, _, act = heapq.heappop(self.queue)
            if self.now >= end:
                break
            act()
        self.events += channel_events(self.chance, self.days, self.events)
        events = _one_at_a_time(sorted(self.events, key=lambda event: event.at))
        return Week(events=events, past=self._past(), ticks=self._ticks(events, end))

    def _moment(self) -> float:
        """Seconds after the beginning, never in the first hour."""
        return 3600 + self.chance.random() * (self.seconds - 3600)

    def _at(self, seconds: float, act: Callable[[], None]) -> None:
        self._schedule(BEGIN + timedelta(seconds=seconds), act)

    def _in(self, seconds: float, act: Callable[[], None]) -> None:
        self._schedule(self.now + timedelta(seconds=seconds), act)

    def _schedule(self, at: datetime, act: Callable[[], None]) -> None:
        # A time of its own, that is never a tick.
        self.scheduled += 1
        whole = at.replace(microsecond=0)
        own = whole + timedelta(microseconds=1 + self.scheduled % 999_998)
        heapq.heappush(self.queue, (max(own, self.now), self.scheduled, act))

    def _emit(self, what: What, run: int | None = None, name: str = "", **data: Any) -> None:
        self.events.append(Event(at=self.now, what=what, run=run, name=name, data=data))

    # Workers

    def _begin_workers(self) -> None:
        for node in ("w1", "w2"):
            self._at(1, partial(self._worker_up, node))
        chance = self.chance
        for _ in range(self.days * 2):
            node = chance.choice(("w1", "w2"))
            away = chance.choice((20, 50, 70, 300, 4000))
            self._at(self._moment(), partial(self._worker_dies, node, away))
        for number in range(max(self.days // 3, 1)):
            self._outage(90_000 + 2 * number)
            at = self._moment()
            for time in range(4):
                self._at(at + time * 700, lambda: self._worker_dies("w2", 90))
            self._at(self._moment(), lambda: self._worker_drains("w1"))

    def _outage(self, number: int) -> None:
        """No worker for 25 minutes, in which one run is silent and another one waits."""
        begin = self._moment()
        self._at(begin - 60, partial(self._create, number, {}))
        self._at(begin + 30, partial(self._create, number + 1, {}))
        for node in ("w1", "w2"):
            self._at(begin, partial(self._worker_dies, node, 1500))

    def _worker_up(self, node: str) -> None:
        if self.workers.get(node) in {"up", "draining"}:
            return
        self.starts[node] = self.starts.get(node, 0) + 1
        self.workers[node] = "up"
        self._emit(What.WORKER_UP, name=node, start=self.starts[node])

    def _worker_dies(self, node: str, away: float) -> None:
        if self.workers.get(node) != "up":
            return
        self.workers[node] = "dead"
        self._emit(What.WORKER_DIES, name=node, start=self.starts[node])
        if away > 60:
            start = self.starts[node]
            # In an outage nobody is there to find it.
            found = 1000 if away == 1500 else 60 + self.chance.random() * 20
            self._in(found, lambda: self._declare_lost(node, start))
        self._in(away, lambda: self._worker_up(node))

    def _declare_lost(self, node: str, start: int) -> None:
        if self.starts[node] != start or self.workers[node] != "dead":
            return
        self._emit(What.WORKER_DECLARED_LOST, name=node, start=start)
        self._rescue(node)

    def _worker_drains(self, node: str) -> None:
        if self.workers.get(node) != "up":
            return
        self.workers[node] = "draining"
        self._emit(What.WORKER_DRAINS, name=node, start=self.starts[node])
        self._in(120, lambda: self._worker_stops(node))

    def _worker_stops(self, node: str) -> None:
        self._rescue(node)
        self.workers[node] = "gone"
        self._emit(What.WORKER_STOPS, name=node, start=self.starts[node])
        self._in(900, lambda: self._worker_up(node))

    def _rescue(self, node: str) -> None:
        for run in self.known.values():
            if run.node == node and not run.is_over:
                self._tiny()
                if self.chance.random() < 0.3:
                    self._end(run, "worker_lost")
                    continue
                run.node, run.attempt = None, run.attempt + 1
                self._emit(What.REQUEUED, run.number)
                self._in(5 + self.chance.random() * 60, partial(self._start, run))
        self._tiny()

    def _tiny(self) -> None:
        """No two events at one time."""
        self.now += timedelta(microseconds=1)

    # Runs

    def _burst(self) -> None:
        """A workflow that fails many times in a row."""
        workflow = self.chance.choice(WORKFLOWS)
        for number in range(self.chance.randint(6, 12)):
            index = self.runs + len(self.known) * 20 + number
            self._in(
                number * 200 + 1,
                partial(self._create, index, {"workflow": workflow, "fails": True}),
            )

    def _create(self, number: int, wishes: dict[str, Any]) -> None:
        chance = self.chance
        workflow = wishes.get("workflow") or chance.choice(WORKFLOWS)
        run = self.known[number] = _Run(number, workflow)
        self._emit(
            What.CREATED,
            number,
            workflow=workflow,
            owner=chance.choice(OWNERS),
            repository=chance.choice(REPOSITORIES),
            budget_cents=chance.choice((None, 200, 500)),
            parent=wishes.get("parent"),
        )
        if chance.random() < 0.04:
            self._in(2, lambda: self._emit_if_waiting(run, What.HELD))
            self._in(1500, lambda: self._emit_if_waiting(run, What.RELEASED))
            self._in(1510, lambda: self._start(run))
        else:
            wait = 900 if chance.random() < 0.03 else 2 + chance.random() * 5
            self._in(wait, lambda: self._start(run))
        run.attempt = 1
        run_plan = wishes | {"cents": 0, "steps": chance.randint(6, 18)}
        self.plans[number] = run_plan

    def _emit_if_waiting(self, run: _Run, what: What) -> None:
        if run.node is None and not run.is_over:
            self._emit(what, run.number)

    def _start(self, run: _Run) -> None:
        if run.is_over or run.node is not None:
            return
        ready = [node for node, state in sorted(self.workers.items()) if state == "up"]
        if not ready:
            self._in(20 + self.chance.random() * 20, lambda: self._start(run))
            return
        run.node = self.chance.choice(ready)
        start = self.starts[run.node]
        self._emit(What.STARTED, run.number, run.node, start=start, attempt=run.attempt)
        self._next(run)

    def _next(self, run: _Run) -> None:
        chance, attempt = self.chance, run.attempt
        pause = chance.choice((3, 8, 20, 40, 90))
        if chance.random() < 0.03:
            pause = chance.choice((320, 700, 1300))
        self._in(pause, lambda: self._act(run, attempt))

    def _is_at_work(self, run: _Run, attempt: int) -> bool:
        return (
            not run.is_over
            and run.attempt == attempt
            and run.node is not None
            and self.workers.get(run.node) in {"up", "draining"}
        )

    def _act(self, run: _Run, attempt: int) -> None:
        if not self._is_at_work(run, attempt):
            return
        plan, chance = self.plans[run.number], self.chance
        plan["steps"] -= 1
        if plan["steps"] <= 0:
            self._end_naturally(run)
            return
        drawn = chance.random()
        if drawn < 0.02:
            self._kill(run, attempt)
            return
        if drawn < 0.06:
            on = chance.choice(("approval", "question", "usage_limit"))
            self._emit(What.WAITS, run.number, on=on)
            self._in(chance.choice((60, 1000, 2500)), lambda: self._go_on(run, attempt))
            return
        if drawn < 0.30:
            self._emit(What.HEARD, run.number, kind="tool", tool="Bash: make test")
            if chance.random() < 0.3:
                for number in range(1, 4):
                    self._in(number * 250, lambda: self._output(run, attempt))
                self._in(900, lambda: self._go_on(run, attempt))
                return
        elif drawn < 0.55:
            plan["cents"] += chance.choice((2, 5, 10, 40)) * (20 if chance.random() < 0.05 else 1)
            self._emit(What.COST, run.number, cents=plan["cents"])
        else:
            self._emit(What.HEARD, run.number, kind="model", tool=None)
        self._next(run)

    def _output(self, run: _Run, attempt: int) -> None:
        if self._is_at_work(run, attempt):
            self._emit(What.OUTPUT, run.number)

    def _go_on(self, run: _Run, attempt: int) -> None:
        if self._is_at_work(run, attempt):
            self._emit(What.HEARD, run.number, kind="model", tool=None)
            self._next(run)

    def _kill(self, run: _Run, attempt: int) -> None:
        self._emit(What.KILL_REQUESTED, run.number)
        run.attempt += 1000  # Nothing else happens to it.
        if self.chance.random() < 0.5:
            self._in(9, lambda: self._emit(What.KILL_UNCONFIRMED, run.number))
            wait = self.chance.choice((30, 600, 4000))
        else:
            wait = 3
        node = run.node
        run.node = None
        self._in(wait, lambda: self._confirm(run, node))

    def _confirm(self, run: _Run, node: str | None) -> None:
        self._emit(What.KILL_CONFIRMED, run.number)
        self._tiny()
        self._end(run, "killed")

    def _end_naturally(self, run: _Run) -> None:
        chance, plan = self.chance, self.plans[run.number]
        if plan.get("fails") or chance.random() < 0.08:
            self._end(run, chance.choice(_FAILURES))
        elif chance.random() < 0.12:
            self._end(run, chance.choice(("max_turns", "budget", "usage_limit")))
        else:
            self._end(run, "success")

    def _end(self, run: _Run, reason: str) -> None:
        chance, plan = self.chance, self.plans[run.number]
        run.is_over = True
        cents = plan["cents"]
        if chance.random() < 0.02:
            cents = cents * 15 + 300
        elif cents == 0:
            cents = chance.choice((None, 8, 20))
        is_measured_later = reason == "success" and chance.random() < 0.3
        self._emit(
            What.ENDED,
            run.number,
            reason=reason,
            reasons=["tests_failed"] if reason == "success" and chance.random() < 0.2 else [],
            cents=cents,
            is_measured_later=is_measured_later,
        )
        if is_measured_later:
            self._in(35, lambda: self._emit(What.MEASURED, run.number))
        if reason in {"max_turns", "budget", "killed", "api_error"} and chance.random() < 0.5:
            child = 100_000 + run.number
            if child < 1_000_000:
                self._in(
                    chance.choice((4, 60, 3000)),
                    lambda: self._create(child, {"workflow": run.workflow, "parent": run.number}),
                )

    # Slack, the past, and the ticks

    def _slack_falls_behind(self) -> None:
        oldest = self.now - timedelta(seconds=self.chance.choice((1, 50)))
        self._emit(What.SLACK_BEHIND, name="T1", oldest=oldest, outdated=7)
        self._in(self.chance.choice((30, 100, 200, 900)), self._slack_is_right)

    def _slack_is_right(self) -> None:
        self._emit(What.SLACK_RIGHT, name="T1")

    def _past(self) -> list[PastDay]:
        return [
            PastDay(
                day=(BEGIN - timedelta(days=ago)).date(),
                workflow=workflow,
                judged=8,
                failures=int(self.chance.random() < 0.4),
                cost_cents=self.chance.randint(200, 400),
            )
            for ago in range(1, 64)
            for workflow in WORKFLOWS
        ]

    def _ticks(self, events: list[Event], end: datetime) -> list[datetime]:
        ticks = {BEGIN + number * _SPARSE for number in range(1, (end - BEGIN) // _SPARSE)}
        for event in events:
            first = tick_after(event.at)
            ticks |= {first + number * TICK for number in range(7 if event.what in _LIVELY else 1)}
        return sorted(tick for tick in ticks if tick < end)
