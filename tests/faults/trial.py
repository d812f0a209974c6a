"""One injection from its first command to its result."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.cost_check import check_cost
from tests.faults.evidence import save
from tests.faults.fault_actions import inject
from tests.faults.fleet import Fleet, was_hit
from tests.faults.injection import Injection, InjectionSkipped
from tests.faults.person import Person, SentCommand, TaskTimeout
from tests.faults.plan import Kind, Plan
from tests.faults.results import InjectionResult, Violation, ViolationKind
from tests.faults.rows import Row
from tests.faults.run_check import RunRecords, check_rows, load_run_records
from tests.faults.session_check import check_commits, check_transcript, commits_of
from tests.faults.thread_check import check_thread, is_drawn, result_delays

# Slack accepts one message a second in a channel.  The drawing bot may be frozen for 20 s and
# deposed after as long; then the messages of all trials are queued, and Postgres may be
# down in addition.  The campaign's summary reports the delays of the results.
_DRAW_LIMIT_SECONDS = 150.0
# Seconds from the end in the rows to the end of the last process: none should be left, but the
# check itself takes a moment.
_GONE_SECONDS = 1.0
# After the end in the rows a worker finishes its job in the engine and removes its directories.
_TIDY_SECONDS = 20.0
# A run killed before it began may have a job that is assigned to a dead worker: the worker
# counts as dead after 45 s and a second check.
_ABANDONED_SECONDS = 90.0
# "Most likely nothing was started" may be wrong only if the bot that withdraws the command was
# hit in the meantime; it may have been frozen since before the command.
_BEFORE_COMMAND_SECONDS = 30.0
# The next check of another bot claims a delivery whose bot died.
_REPLAY_LIMIT_SECONDS = 70.0


@dataclass
class Trial:
    """One injection in a fleet that other injections may share.

    Attributes:
        is_over: Whether its people have finished.
    """

    fleet: Fleet
    plan: Plan
    seed: int
    folder: Path
    violations: list[Violation] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)
    run_records: list[RunRecords] = field(default_factory=list)
    result_delays: list[float] = field(default_factory=list)
    is_over: bool = False

    async def run(self) -> InjectionResult:
        """Make the injection and check its effects."""
        began = time.time()
        self.people = [Person(self.fleet, task) for task in self.plan.tasks]
        injection = Injection(self.fleet, self.plan, self._runs, lambda: self.is_over)
        skipped = ""
        injecting = asyncio.create_task(inject(injection), name=f"injection {self.plan.number}")
        playing = [
            asyncio.create_task(self._run_person(person), name=person.task.tag)
            for person in self.people
        ]
        try:
            await asyncio.gather(*playing)
            self.is_over = True
            await injecting
            if self.plan.kind is Kind.KILL_RACE and not self.people[0].kill_commands:
                skipped = "the run was over before it was to be killed"
        except InjectionSkipped as error:
            skipped = str(error)
        except Exception:  # noqa: BLE001 - part of the result; the other injections go on
            self._add_violation(
                ViolationKind.HARNESS, "the injection", traceback.format_exc(limit=4)
            )
        finally:
            for task in (injecting, *playing):
                task.cancel()
            await asyncio.wait({injecting, *playing})
        for person in self.people:
            try:
                await self._check_person(person)
            except Exception:  # noqa: BLE001 - as above
                self._add_violation(
                    ViolationKind.HARNESS, person.task.tag, traceback.format_exc(limit=4)
                )
        result = InjectionResult(
            seed=self.seed,
            number=self.plan.number,
            kind=self.plan.kind,
            description=self.plan.describe(),
            runs=len(self.run_records),
            seconds=round(time.time() - began, 1),
            endings=[_ending(records.run) for records in self.run_records],
            violations=self.violations,
            notes=self.notes,
            result_delays=self.result_delays,
            skipped=skipped,
        )
        if self.violations:
            await asyncio.to_thread(
                save,
                self.folder,
                self.fleet,
                result=result,
                people=self.people,
                run_records=self.run_records,
                began=began,
            )
        return result

    def _runs(self) -> list[str]:
        return [run_id for person in self.people for run_id in person.run_ids()]

    def _add_violation(self, wrong: ViolationKind, about: str, text: str) -> None:
        self.violations.append(Violation(wrong, about, text))

    async def _run_person(self, person: Person) -> None:
        try:
            await person.run()
        except TaskTimeout as error:
            self._add_violation(ViolationKind.LOST, person.task.tag, str(error))

    async def _check_person(self, person: Person) -> None:
        runs = await person.refresh()
        for said in person.start_commands:
            await self._check_one_run_per_command(said)
        for run in runs:
            self.violations += await self._wait_for_tidy_run(run, person)
        await self._check_kills_handled(person)
        await self._check_forbidden_kills(person)
        for thread_key in sorted({str(run["thread_key"]) for run in runs}):
            await self._check_thread([run for run in runs if run["thread_key"] == thread_key])

    async def _check_forbidden_kills(self, person: Person) -> None:
        """Check that refused kills were answered and audited, or late if a bot died."""
        for said in person.forbidden_kills:
            deadline = time.monotonic() + _REPLAY_LIMIT_SECONDS
            while True:
                lines = [
                    line
                    for run in person.runs
                    for line in await self.fleet.rows.audit(run)
                    if line["action"] == "kill" and line["actor_name"] == person.task.unauthorized
                ]
                private_messages = person.private_messages(
                    since=said.at, by=person.task.unauthorized
                )
                if (
                    said.answer != "taken"
                    or lines
                    or private_messages
                    or time.monotonic() > deadline
                ):
                    break
                await asyncio.sleep(1)
            if any(line["allowed"] for line in lines):
                self._add_violation(
                    ViolationKind.AUDIT, said.marker, "a person without permission killed a run"
                )
            if said.answer == "taken" and not lines and not private_messages:
                self._add_violation(
                    ViolationKind.AUDIT, said.marker, "a refusal was neither audited nor answered"
                )

    async def _wait_for_tidy_run(self, run: Row, person: Person) -> list[Violation]:
        """Violations in a run's rows and leftovers, after its worker had time to clean up."""
        began = time.monotonic()
        while True:
            records = await load_run_records(self.fleet, run)
            found = [*check_rows(records, person.task, self.fleet), *self._leftovers(records)]
            max_wait = _ABANDONED_SECONDS if records.has_abandoned_job else _TIDY_SECONDS
            if not found or time.monotonic() - began > max_wait:
                self.run_records.append(records)
                return [*found, *await self._survivors(records)]
            await asyncio.sleep(0.5)

    async def _check_one_run_per_command(self, said: SentCommand) -> None:
        rows = [
            row
            for row in await self.fleet.rows.runs_with_task(said.marker)
            if not row["parent_run_id"]
        ]
        if len(rows) > 1:
            self._add_violation(
                ViolationKind.DUPLICATED, said.marker, f"one command has {len(rows)} runs"
            )
        if said.answer == "taken" and not rows:
            self._add_violation(
                ViolationKind.LOST, said.marker, "the command was acknowledged and has no run"
            )
        if said.answer == "refused" and rows:
            began = min(row["created_at"] for row in rows).timestamp()
            bots = [bot.name for bot in self.fleet.bots]
            since = said.at - _BEFORE_COMMAND_SECONDS
            if not was_hit(self.fleet.journal, bots, since=since, until=began):
                self._add_violation(
                    ViolationKind.WRONG_THREAD, said.marker, "a refused command started a run"
                )

    async def _check_kills_handled(self, person: Person) -> None:
        """Check that each accepted kill was done or answered, late if its bot died."""
        taken = [said for said in person.kill_commands if said.answer == "taken"]
        deadline = time.monotonic() + _REPLAY_LIMIT_SECONDS
        while True:
            lines = [
                line
                for run in person.runs
                for line in await self.fleet.rows.audit(run)
                if line["action"] == "kill" and person.task.tag in str(line["reason"])
            ]
            private_messages = person.private_messages(since=taken[0].at) if taken else []
            about = [*person.run_ids(), "ry again"]
            if (
                not taken
                or lines
                or any(words in text for text in private_messages for words in about)
            ):
                break
            if time.monotonic() > deadline:
                self._add_violation(
                    ViolationKind.AUDIT,
                    person.task.tag,
                    "a kill was accepted and neither done nor refused",
                )
                break
            await asyncio.sleep(1)
        if len(lines) > len(person.kill_commands):
            self._add_violation(
                ViolationKind.DUPLICATED,
                person.task.tag,
                f"{len(lines)} audit entries for one kill",
            )

    async def _survivors(self, records: RunRecords) -> list[Violation]:
        found = []
        name = records.name
        if overlap := self.fleet.watch.overlaps.get(name):
            found.append(
                Violation(ViolationKind.DUPLICATED, name, f"two attempts at once: {overlap}")
            )
        survivors = await self.fleet.watch.processes_of_run(name)
        if survivors:
            await asyncio.sleep(_GONE_SECONDS)
            survivors = await self.fleet.watch.processes_of_run(name)
        if survivors:
            found.append(Violation(ViolationKind.SURVIVOR, name, ", ".join(map(str, survivors))))
        return found

    def _leftovers(self, records: RunRecords) -> list[Violation]:
        name = records.name
        left = [
            str(path.relative_to(self.fleet.folder))
            for worker in self.fleet.workers
            # A worker that is down cleans up when it is back; the final check covers that.
            if worker.url is not None
            for path in (worker.home / "agents").glob(f"{name}-*")
        ]
        if not left:
            return []
        return [Violation(ViolationKind.LEFTOVER, name, f"left behind: {', '.join(left)}")]

    async def _check_thread(self, runs: Sequence[Row]) -> None:
        await self._wait_until_drawn(runs)
        self.violations += check_thread(self.fleet.sandbox, runs)
        self.result_delays += result_delays(self.fleet.sandbox, runs)
        transcript = await self.fleet.rows.transcript(runs[0]["session_id"])
        self.violations += check_transcript(runs, transcript)
        carried = await self.fleet.rows.fetch(
            "SELECT commit, head_commit FROM carried_work WHERE session_id = $1",
            runs[0]["session_id"],
        )
        shas = [str(sha) for row in carried for sha in row.values() if sha]
        events = [event for run in runs for event in await self.fleet.rows.events(run)]
        self.violations += check_cost(runs, transcript, events, self.fleet.outages)
        commits = commits_of(transcript)
        self.violations += await asyncio.to_thread(
            lambda: list(check_commits(runs, commits, self.fleet.homes, shas, events))
        )

    async def _wait_until_drawn(self, runs: Sequence[Row]) -> None:
        deadline = time.monotonic() + _DRAW_LIMIT_SECONDS
        # Another process draws, so the thread is polled.
        while not is_drawn(self.fleet.sandbox, runs) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.3)


def _ending(run: Row) -> str:
    again = f" in attempt {run['attempt']}" if run["attempt"] > 1 else ""
    return f"{run['stop_reason'] or run['status']}{again}"
