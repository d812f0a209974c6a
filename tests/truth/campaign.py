"""Executes plans with real parts, and compares what is shown with the script's account."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from uuid import uuid4

from bot.assembly.backend import utc_now
from bot.words.agreement import disagreement_words
from core.domain.analytics.report import Question
from core.domain.fleet.attempt import STALLED_AFTER
from core.domain.runs.request import ContinueRequest, KillRequest
from core.domain.runs.run import Run
from core.domain.runs.snapshot import RunSnapshot
from core.domain.runs.stats import Period, Stats
from core.runner.agreement import AgreementCheck
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.recovery.lost_worker import RECHECK_AFTER
from core.services.context import ServiceContext
from core.services.runs.kill_requests import AlreadyEnded
from tests.api import ApiHarness, open_api
from tests.core_harness import CoreHarness
from tests.processes import model_variables, new_home, running
from tests.rescuer import rescuer
from tests.truth.account import Account, Figures
from tests.truth.carrying import wait_until_carried
from tests.truth.check import differences, row_differences, spend_differences
from tests.truth.origin import MAIN, create, offered
from tests.truth.pages import run_page, sign_in
from tests.truth.plan import Disturbance, End, Leg, Plan
from tests.truth.programs import answers_about
from tests.truth.seen import SeenLeg
from tests.truth.shares import Shares, sampled_estimates
from tests.truth.steady import WORKFLOW

# How many sessions work at a time.
_AT_ONCE = 4
_LEG_SECONDS = 60
# Long enough for an agent to start and to work, on a busy machine too.
_TIME_LIMIT = timedelta(seconds=30)


@dataclass
class Campaign:
    """A number of plans.

    Attributes:
        folder: For homes of worker processes.
        figures: Of all runs that have ended.
        found: Everything that was shown and is not true.
        shares: Of steps, final results and estimates.
    """

    core_harness: CoreHarness
    folder: Path
    plans: Sequence[Plan]
    on_progress: Callable[[str], None] = lambda _line: None
    figures: list[Figures] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    shares: Shares = field(default_factory=Shares)
    _api: ApiHarness = field(init=False)
    _token: str = field(init=False, repr=False)
    _browser: str = field(init=False, repr=False)
    _asked: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.account = Account({plan.number: plan for plan in self.plans})
        self.core_harness.model.script = self.account.script
        self.repository = create(self.folder / "repository", offered())

    async def run(self) -> list[str]:
        """Execute all plans; returns what was not true, and what was not as planned."""
        by_disturbance = {
            one: [plan for plan in self.plans if plan.disturbance is one] for one in Disturbance
        }
        async with open_api(self.core_harness.backend.database) as self._api:
            self._token = await self._api.token("truth")
            self._browser = await sign_in(self._api)
            for disturbance, plans in by_disturbance.items():
                for first in range(0, len(plans), _AT_ONCE):
                    await self._batch(disturbance, plans[first : first + _AT_ONCE])
        backend, operator = self.core_harness.backend, self.core_harness.operator
        stats = await backend.stats.stats(Period.DAY, by=operator)
        self.found += spend_differences(stats, self.figures)
        self.found += await self._disagreements(stats)
        return self.found + self.account.problems

    async def _disagreements(self, stats: Stats) -> list[str]:
        """Where rows, ledger, history, statistics and transcripts do not agree."""
        backend = self.core_harness.backend
        await backend.analytics.compute_changed_days()
        checked = await AgreementCheck(backend.database).run()
        found = [disagreement_words(one) for one in checked.disagreements]
        today = stats.until.date()
        question = Question(first=today - timedelta(days=1), last=today)
        spend = (
            await backend.analytics.report(question, by=self.core_harness.operator)
        ).total.spend
        if spend != stats.runs.spend:
            found.append(f"the history has a spend of {spend}, the statistics {stats.runs.spend}")
        return found

    async def _batch(self, disturbance: Disturbance, plans: Sequence[Plan]) -> None:
        firsts: list[Run | None] = [None] * len(plans)
        if disturbance is not Disturbance.NONE:
            async with self._first_worker(disturbance):
                firsts = list(await asyncio.gather(*(self._until_asleep(plan) for plan in plans)))
            if disturbance is Disturbance.LOST:
                await self._take_over()
        # The worker may take up a run before this task goes on.
        self.account.stopping.difference_update(plan.number for plan in plans)
        async with self.core_harness.worker():
            await asyncio.gather(
                *(self._session(plan, first) for plan, first in zip(plans, firsts, strict=True))
            )

    @asynccontextmanager
    async def _first_worker(self, disturbance: Disturbance) -> AsyncIterator[None]:
        """A worker that is restarted, or killed, at the end of the block."""
        if disturbance is Disturbance.RESTARTED:
            async with self.core_harness.worker():
                yield
            return
        # What a checkpoint has of the work depends on the moment; the account knows commits only.
        config = "[checkpoints]\nenabled = false\n"
        home = await asyncio.to_thread(new_home, self.folder / f"home-{uuid4().hex[:6]}", config)
        variables = {
            "DATABASE_URL": self.core_harness.backend.database.dsn,
            "SIGNALBOX_WORKER_SLOTS": _AT_ONCE,
            **model_variables(self.core_harness.model),
        }
        async with running("worker", home, **variables) as program:
            await program.wait_until_ready()
            yield
            program.send(signal.SIGKILL)
            await program.process.wait()

    async def _take_over(self) -> None:
        """Rescue all runs, as a worker on another machine does when theirs is silent."""
        later = STALLED_AFTER + timedelta(seconds=10)
        work = ServiceContext(self.core_harness.backend.database, lambda: utc_now() + later)
        rescue = rescuer(Ledger(work, "far-away-0:12345678", "far-away"))
        await rescue.rescue_lost_runs()
        later += RECHECK_AFTER
        await rescue.rescue_lost_runs()

    async def _session(self, plan: Plan, first: Run | None) -> None:
        """Execute the runs of a plan; `first` is its first run if that was disturbed."""
        given = self.account.given[plan.number]
        earlier: list[Figures] = []
        run, since, first_id = first, 0, ""
        for number, leg in enumerate(plan.legs):
            # All answers so far are those of a disturbed run's first attempt.
            attempt_since = len(given)
            if number or run is None:
                made = earlier[-1].turns if earlier else 0
                run = await self._begin(plan, number, previous=run, made=made)
            first_id, live = first_id or run.run_id, None
            if leg.end.sleeps:
                live = await self._wait_until_asleep(
                    plan, run, since=since, attempt_since=attempt_since
                )
            snapshot = await self._end(plan, leg, run)
            figures = self.account.figures(plan, since=since, texts_since=attempt_since)
            seen = SeenLeg(
                plan=plan,
                leg=leg,
                run_branch=f"signalbox/{run.workflow_name}/{first_id}",
                snapshot=snapshot,
                figures=figures,
                earlier=tuple(earlier),
                now=utc_now(),
                live=live,
                answers=await answers_about(
                    self._api, self._token, run.run_id, number=next(self._asked)
                ),
                page=await run_page(self._api, self._browser, run.run_id),
            )
            self.shares.add(seen)
            different = differences(seen)
            self.found += different
            for one in different:
                self.on_progress(f"DIFFERENT: {one}")
            self.figures.append(figures)
            earlier.append(figures)
            since = len(given)
        self.on_progress(plan.describe())

    async def _until_asleep(self, plan: Plan) -> Run:
        """Start the first run of a plan, and wait until its tool sleeps."""
        run = await self._begin(plan, 0, previous=None, made=0)
        await self._wait_until_asleep(plan, run, since=0, attempt_since=0)
        if plan.disturbance is Disturbance.LOST:
            repository = self.account.states[plan.number].repository
            begin = plan.new_state().repository
            if repository.has_new_commits(begin):
                await wait_until_carried(self.core_harness, run)
            # Nobody saves what the worker has on its disk only.
            repository.lose_disk(begin)
        return run

    async def _begin(self, plan: Plan, number: int, *, previous: Run | None, made: int) -> Run:
        """Start a run of a plan; the one before it made so many turns."""
        harness, leg = self.core_harness, plan.legs[number]
        task = f"[plan: {plan.number}] [part: {leg.part}] Work."
        self.account.begin_leg(plan)
        if previous is None:
            timeout = _TIME_LIMIT if leg.end is End.TIME_LIMIT else None
            return await harness.start(
                task,
                workflow=plan.workflow,
                model=plan.model,
                max_turns=leg.turn_limit,
                timeout=timeout,
                repo=str(self.repository) if plan.branch is not None else None,
                branch=None if plan.branch == MAIN else plan.branch,
            )
        before = plan.legs[number - 1]
        is_used_up = before.end in (End.TURN_LIMIT, End.FINISHED)
        left = 0 if is_used_up else before.turn_limit - made
        request = ContinueRequest(
            target=previous.run_id,
            request_key=uuid4().hex,
            additional_turns=(leg.turn_limit - left) or None,
            message=task if leg.part != plan.legs[number - 1].part else None,
        )
        return (await harness.backend.runs.continue_run(request, by=harness.operator)).run

    async def _wait_until_asleep(
        self, plan: Plan, run: Run, *, since: int, attempt_since: int
    ) -> RunSnapshot | None:
        """Wait until a tool sleeps, and the row of the live run has what happened so far."""
        different: list[str] = ["nothing was read"]

        def is_true(seen: RunSnapshot) -> bool:
            different[:] = row_differences(seen.run, self.account.figures(plan, since=since))
            is_asleep = self.account.is_asleep(plan, since=attempt_since)
            return (is_asleep and not different) or not seen.run.is_live

        live = None
        try:
            live = await self.core_harness.wait_until(run, is_true, within=_LEG_SECONDS)
        except TimeoutError:
            self.found += [f"{plan.describe()}: live, {one}" for one in different or ["awake"]]
        self.account.stopping.add(plan.number)
        return live

    async def _end(self, plan: Plan, leg: Leg, run: Run) -> RunSnapshot:
        harness = self.core_harness
        if leg.end in (End.KILLED, End.FORCE_KILLED):
            request = KillRequest(target=run.run_id, force=leg.end is End.FORCE_KILLED)
            try:
                await harness.backend.runs.kill(request, by=harness.operator)
            except AlreadyEnded as error:
                self.found.append(f"{plan.describe()}: {error}")
        statuses = harness.backend.statuses
        async with sampled_estimates(statuses, run, by=harness.operator) as samples:
            ended = await harness.wait_until_ended(run, within=_LEG_SECONDS)
        if plan.workflow == WORKFLOW:
            self.shares.add_estimates(ended.run, samples)
        return ended
