"""Runs healthy and hung agents, with the real evaluation of alerts, and notes what it tells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from bot.assembly.backend import utc_now
from core.domain.alerts.detectors.limits import AlertLimits
from core.domain.alerts.episode import Episode
from core.domain.alerts.kinds import AlertKind
from core.domain.runs.activity.awaited import AwaitedKind
from core.domain.runs.request import KillRequest
from core.domain.runs.run import Run, RunStatus, WaitingOn
from core.domain.runs.snapshot import RunSnapshot
from core.runner.execution.life_watch import LookTimes
from core.services.alerts.evaluation import AlertEvaluation
from core.store.alerts import episodes
from core.store.runs import runs
from tests.core_harness import CoreHarness
from tests.limits import limit
from tests.stalls.cases import (
    ANSWERED,
    HUNG_AT,
    Case,
    healthy_cases,
    hung_cases,
    limits_at,
    script_of,
)

LOOKS = LookTimes(every=timedelta(seconds=0.5), silent_for=timedelta(seconds=0.75))
# A tenth of the usual interval.
EVALUATE_EVERY = timedelta(seconds=1)
# And of the time that an alert may take after its limit.
MAX_DELAY = timedelta(seconds=3)
_CASE_SECONDS = 90
_KINDS = frozenset({AlertKind.STALLED, AlertKind.WAITING})
_STARTING = frozenset({AwaitedKind.WORKSPACE, AwaitedKind.PROGRAM})


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one run.

    Attributes:
        delay: From the moment at which a limit was over until it was told; `None` if it was not.
        problem: What is not as it must be; `None` if all is.
    """

    case: str
    is_hung: bool
    run_id: str
    delay: timedelta | None = None
    problem: str | None = None


@dataclass
class Campaign:
    """A number of runs.

    Attributes:
        names: The case of each run.
        pace: All limits and durations are multiplied by this, but for the looks.
        at_once: How many runs there are at a time.
        longest_gap: The longest time between two evaluations: on a busy machine an alert is late
            by as much.
    """

    harness: CoreHarness
    names: Sequence[str]
    pace: float = 1.0
    at_once: int = 8
    on_progress: Callable[[str], None] = lambda _line: None
    outcomes: list[Outcome] = field(default_factory=list)
    longest_gap: timedelta = EVALUATE_EVERY
    _alarms: dict[UUID, Episode] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.limits: AlertLimits = limits_at(self.pace)
        self.healthy: Mapping[str, Case] = healthy_cases(self.pace)
        self.hung: Mapping[str, Case] = hung_cases(self.pace)
        self.harness.model.script = script_of(self.pace)
        self._slots = asyncio.Semaphore(self.at_once)
        # Many programs that start at once take seconds, which are not scaled down.
        self._starts = asyncio.Semaphore(2)

    async def run(self) -> list[Outcome]:
        """Run everything; returns what came of each."""
        async with self.harness.worker(looks=LOOKS):
            evaluating = asyncio.create_task(self._evaluate(), name="evaluation")
            try:
                await asyncio.gather(*(self._one(name) for name in self.names))
            finally:
                assert not evaluating.done(), evaluating
                evaluating.cancel()
        return self.outcomes

    async def _evaluate(self) -> None:
        evaluation = AlertEvaluation(self.harness.backend.context, self.limits)
        last = utc_now()
        while True:
            await asyncio.sleep(EVALUATE_EVERY.total_seconds())
            await evaluation.evaluate()
            now = utc_now()
            self.longest_gap, last = max(self.longest_gap, now - last), now
            async with self.harness.backend.database.sessions.begin() as session:
                found = await episodes.open_episodes(session)
            for one in found:
                # The start of a program takes as long as ever: no limit is scaled down for it.
                is_starting = one.evidence.get("awaited") in _STARTING
                if one.is_told and one.kind in _KINDS and one.run_id and not is_starting:
                    self._alarms.setdefault(one.run_id, one)

    async def _one(self, name: str) -> None:
        async with self._slots:
            run = await self._start(name)
            case = self.hung.get(name)
            try:
                if case is None:
                    outcome = await self._healthy(name, self.healthy[name], run)
                else:
                    outcome = await self._hung(name, case, run)
            except TimeoutError:
                outcome = self._outcome(name, run, "not over in time")
            self.outcomes.append(outcome)
            late = "" if outcome.delay is None else f", told {_seconds(outcome.delay)} late"
            self.on_progress(f"{name} {run.run_id}: {outcome.problem or 'as it must be'}{late}")

    async def _start(self, name: str) -> Run:
        async with self._starts:
            run = await self.harness.start(f"[case: {name}] Work.")
            await self.harness.wait_until(run, _has_begun, within=_CASE_SECONDS)
            return run

    async def _healthy(self, name: str, case: Case, run: Run) -> Outcome:
        if case.waits_for_person:
            await self._answer_late(run)
        ended = (await self.harness.wait_until_ended(run, within=_CASE_SECONDS)).run
        alarm = self._alarms.get(run.id)
        if alarm is not None:
            return self._outcome(name, run, f"told as {alarm.kind}: {_short(alarm.evidence)}")
        if ended.status is not RunStatus.COMPLETED:
            return self._outcome(name, run, f"ended as {ended.stop_reason}: {ended.error_message}")
        return self._outcome(name, run)

    async def _answer_late(self, run: Run) -> None:
        """Let a person be asked, and answer late, but before that is told."""
        opened = await self.harness.wait_until(run, _has_open_tool, within=_CASE_SECONDS)
        awaited, workspace = opened.awaited, opened.run.workspace_path
        assert awaited is not None
        assert workspace is not None
        await self._set_waiting(run, WaitingOn.APPROVAL)
        stall = self.limits.stall
        answer_at = awaited.since + (stall.tool + stall.person) / 2
        await asyncio.sleep(max(0, (answer_at - utc_now()).total_seconds()))
        await asyncio.to_thread((Path(workspace) / ANSWERED).touch)
        await self.harness.wait_until(
            run, lambda seen: not _has_open_tool(seen), within=_CASE_SECONDS
        )
        await self._set_waiting(run, None)

    async def _set_waiting(self, run: Run, waiting_on: WaitingOn | None) -> None:
        async with self.harness.backend.database.sessions.begin() as session:
            await runs.change(session, run.run_id, now=utc_now(), waiting_on=waiting_on)

    async def _hung(self, name: str, case: Case, run: Run) -> Outcome:
        async with limit(_CASE_SECONDS):
            while run.id not in self._alarms:  # noqa: ASYNC110 - the evaluation finds it
                await asyncio.sleep(0.1)
        alarm = self._alarms[run.id]
        hung_at = await self._hung_at(case, run)
        request = KillRequest(target=run.run_id, force=True)
        await self.harness.backend.runs.kill(request, by=self.harness.operator)
        await self.harness.wait_until_ended(run, within=_CASE_SECONDS)
        stall = self.limits.stall
        allowed = stall.tool if case.hangs_in is AwaitedKind.TOOL else stall.idle
        assert alarm.fired_at is not None
        if hung_at is None:
            return self._outcome(name, run, f"told before it hung: {_short(alarm.evidence)}")
        delay = alarm.fired_at - hung_at - allowed
        problem = _wrong_evidence(case, alarm.evidence)
        if delay > MAX_DELAY + self.longest_gap - EVALUATE_EVERY:
            problem = f"told too late, {_short(alarm.evidence)}"
        elif delay < -(LOOKS.silent_for + LOOKS.every):
            # What a tool does before the second look at it is not seen.
            problem = f"told too early, {_short(alarm.evidence)}"
        return self._outcome(name, run, problem, delay)

    async def _hung_at(self, case: Case, run: Run) -> datetime | None:
        """When the run began to hang, as its tool or the model has noted; `None` if it did not."""
        if case.hangs_in is AwaitedKind.MODEL:
            hung = (
                one.at
                for one in self.harness.model.requests
                if one.session_id == str(run.session_id) and one.outcome == "hang"
            )
            return next(hung, None)
        path = (await self.harness.read_run(run)).run.workspace_path
        assert path is not None
        note = Path(path) / HUNG_AT
        if not await asyncio.to_thread(note.exists):
            return None
        return datetime.fromtimestamp(float(await asyncio.to_thread(note.read_text)), UTC)

    def _outcome(
        self, name: str, run: Run, problem: str | None = None, delay: timedelta | None = None
    ) -> Outcome:
        return Outcome(
            case=name, is_hung=name in self.hung, run_id=run.run_id, delay=delay, problem=problem
        )


def _has_begun(seen: RunSnapshot) -> bool:
    awaited = seen.awaited
    is_pending = seen.run.status is RunStatus.PENDING
    return not is_pending and (awaited is None or awaited.kind not in _STARTING)


def _has_open_tool(seen: RunSnapshot) -> bool:
    return seen.awaited is not None and seen.awaited.kind is AwaitedKind.TOOL


def _wrong_evidence(case: Case, evidence: Mapping[str, Any]) -> str | None:
    is_right = case.hangs_in is not None and evidence.get("awaited") == case.hangs_in.value
    if is_right and (case.names is None or case.names in str(evidence.get("name"))):
        return None
    return f"told of something else: {_short(evidence)}"


def _short(evidence: Mapping[str, Any]) -> str:
    keys = ("awaited", "name", "waiting_on", "awaited_since", "heard_at", "output_at", "busy_at")
    return ", ".join(f"{key} {evidence[key]}" for key in keys if evidence.get(key))


def _seconds(length: timedelta) -> str:
    return f"{length.total_seconds():.1f} s"
