"""One injection from its first command to its verdict."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.cost_true import check_cost
from tests.faults.evidence import save
from tests.faults.fleet import Fleet, was_hit
from tests.faults.injection import Injection, NotDone
from tests.faults.injections import inject
from tests.faults.person import Person, Said, Stuck
from tests.faults.plan import Kind, Plan
from tests.faults.rows import Row
from tests.faults.runs_true import Story, check_rows, story_of
from tests.faults.session_true import check_commits, check_transcript, commits_of
from tests.faults.threads_true import check_thread, is_drawn, lateness
from tests.faults.verdict import Verdict, Violation, Wrong

# Slack lets one message a second into a channel.  Who draws may be frozen for 20 s and deposed
# after as long; what all trials were to be told meanwhile stands in line then, and Postgres may
# go away on top.  How late results were is told in the end.
_DRAWN_SECONDS = 150.0
# From the end in the rows to the last process gone: none is allowed to be there, but the
# look itself takes a moment.
_GONE_SECONDS = 1.0
# After the end of the rows a worker finishes its job in the engine and removes its folders.
_TIDY_SECONDS = 20.0
# The job of a run that was killed before it began, in the hands of a worker that died: that it
# is dead and not only silent is believed after 45 s and a second look.
_ABANDONED_SECONDS = 90.0
# Who was told that most likely nothing was started is told so wrongly only if the bot that was to
# take the command back was hit meanwhile; it may have been frozen when it was asked.
_JUST_BEFORE_SECONDS = 30.0
# A delivery whose bot died is taken up by the next look of another.
_REPLAYED_SECONDS = 70.0


@dataclass
class Trial:
    """One injection in a fleet that may be in the middle of others.

    Attributes:
        is_over: Whether its people have done what they had to do.
    """

    fleet: Fleet
    plan: Plan
    seed: int
    folder: Path
    violations: list[Violation] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)
    stories: list[Story] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    is_over: bool = False

    async def run(self) -> Verdict:
        """Do it and judge it."""
        began = time.time()
        self.people = [Person(self.fleet, task) for task in self.plan.tasks]
        injection = Injection(self.fleet, self.plan, self._runs, lambda: self.is_over)
        skipped = ""
        doing = asyncio.create_task(inject(injection), name=f"injection {self.plan.number}")
        playing = [
            asyncio.create_task(self._play(person), name=person.task.tag) for person in self.people
        ]
        try:
            await asyncio.gather(*playing)
            self.is_over = True
            await doing
            if self.plan.kind is Kind.KILL_RACE and not self.people[0].kills:
                skipped = "the run was over before it was to be killed"
        except NotDone as error:
            skipped = str(error)
        except Exception:  # noqa: BLE001 - told with the verdict; the other injections go on
            self._wrong(Wrong.HARNESS, "the injection", traceback.format_exc(limit=4))
        finally:
            for task in (doing, *playing):
                task.cancel()
            await asyncio.wait({doing, *playing})
        for person in self.people:
            try:
                await self._judge(person)
            except Exception:  # noqa: BLE001 - as above
                self._wrong(Wrong.HARNESS, person.task.tag, traceback.format_exc(limit=4))
        verdict = Verdict(
            seed=self.seed,
            number=self.plan.number,
            kind=self.plan.kind,
            told=self.plan.told(),
            runs=len(self.stories),
            seconds=round(time.time() - began, 1),
            endings=[_ending(story.run) for story in self.stories],
            violations=self.violations,
            notes=self.notes,
            late=self.late,
            skipped=skipped,
        )
        if self.violations:
            await asyncio.to_thread(
                save,
                self.folder,
                self.fleet,
                verdict=verdict,
                people=self.people,
                stories=self.stories,
                began=began,
            )
        return verdict

    def _runs(self) -> list[str]:
        return [run_id for person in self.people for run_id in person.run_ids()]

    def _wrong(self, wrong: Wrong, about: str, text: str) -> None:
        self.violations.append(Violation(wrong, about, text))

    async def _play(self, person: Person) -> None:
        try:
            await person.play()
        except Stuck as error:
            self._wrong(Wrong.LOST, person.task.tag, str(error))

    async def _judge(self, person: Person) -> None:
        legs = await person.look()
        for said in person.started:
            await self._one_row_a_command(said)
        for leg in legs:
            self.violations += await self._settled(leg, person)
        await self._kills_heard(person)
        await self._meddler_refused(person)
        for head in sorted({str(leg["thread_key"]) for leg in legs}):
            await self._judge_thread([leg for leg in legs if leg["thread_key"] == head])

    async def _meddler_refused(self, person: Person) -> None:
        """Who may not kill was told so, and it was written down; late if a bot died over it."""
        for said in person.meddling:
            deadline = time.monotonic() + _REPLAYED_SECONDS
            while True:
                lines = [
                    line
                    for leg in person.legs
                    for line in await self.fleet.rows.audit(leg)
                    if line["action"] == "kill" and line["actor_name"] == person.task.stranger
                ]
                told = person.heard(since=said.at, by=person.task.stranger)
                if said.answer != "taken" or lines or told or time.monotonic() > deadline:
                    break
                await asyncio.sleep(1)
            if any(line["allowed"] for line in lines):
                self._wrong(Wrong.AUDIT, said.mark, "somebody killed a run who may not")
            if said.answer == "taken" and not lines and not told:
                self._wrong(Wrong.AUDIT, said.mark, "a refusal was neither written down nor told")

    async def _settled(self, leg: Row, person: Person) -> list[Violation]:
        """What is wrong with a run's rows and rests, once its worker had time to tidy up."""
        began = time.monotonic()
        while True:
            story = await story_of(self.fleet, leg)
            found = [*check_rows(story, person.task, self.fleet), *self._rests(story)]
            patience = _ABANDONED_SECONDS if story.has_abandoned_job else _TIDY_SECONDS
            if not found or time.monotonic() - began > patience:
                self.stories.append(story)
                return [*found, *await self._survivors(story)]
            await asyncio.sleep(0.5)

    async def _one_row_a_command(self, said: Said) -> None:
        rows = [row for row in await self.fleet.rows.named(said.mark) if not row["parent_run_id"]]
        if len(rows) > 1:
            self._wrong(Wrong.DOUBLED, said.mark, f"one command has {len(rows)} runs")
        if said.answer == "taken" and not rows:
            self._wrong(Wrong.LOST, said.mark, "the command was acknowledged and has no run")
        if said.answer == "refused" and rows:
            began = min(row["created_at"] for row in rows).timestamp()
            bots = [bot.name for bot in self.fleet.bots]
            since = said.at - _JUST_BEFORE_SECONDS
            if not was_hit(self.fleet.journal, bots, since=since, until=began):
                self._wrong(Wrong.UNTRUE, said.mark, "nothing was to be started, and it was")

    async def _kills_heard(self, person: Person) -> None:
        """Each kill that was taken is done or answered, late if its bot died over it."""
        taken = [said for said in person.kills if said.answer == "taken"]
        deadline = time.monotonic() + _REPLAYED_SECONDS
        while True:
            lines = [
                line
                for leg in person.legs
                for line in await self.fleet.rows.audit(leg)
                if line["action"] == "kill" and person.task.tag in str(line["reason"])
            ]
            told = person.heard(since=taken[0].at) if taken else []
            about = [*person.run_ids(), "ry again"]
            if not taken or lines or any(words in text for text in told for words in about):
                break
            if time.monotonic() > deadline:
                self._wrong(
                    Wrong.AUDIT, person.task.tag, "a kill was taken and neither done nor refused"
                )
                break
            await asyncio.sleep(1)
        if len(lines) > len(person.kills):
            self._wrong(Wrong.DOUBLED, person.task.tag, f"{len(lines)} lines for one kill")

    async def _survivors(self, story: Story) -> list[Violation]:
        found = []
        name = story.name
        if overlap := self.fleet.watch.overlaps.get(name):
            found.append(Violation(Wrong.DOUBLED, name, f"two attempts at once: {overlap}"))
        survivors = await self.fleet.watch.of_run(name)
        if survivors:
            await asyncio.sleep(_GONE_SECONDS)
            survivors = await self.fleet.watch.of_run(name)
        if survivors:
            found.append(Violation(Wrong.SURVIVOR, name, ", ".join(map(str, survivors))))
        return found

    def _rests(self, story: Story) -> list[Violation]:
        name = story.name
        left = [
            str(path.relative_to(self.fleet.folder))
            for worker in self.fleet.workers
            # Who is away clears away when it comes back; that is looked at in the end.
            if worker.url is not None
            for path in (worker.home / "agents").glob(f"{name}-*")
        ]
        if not left:
            return []
        return [Violation(Wrong.LEFTOVER, name, f"left behind: {', '.join(left)}")]

    async def _judge_thread(self, legs: Sequence[Row]) -> None:
        await self._drawn(legs)
        self.violations += check_thread(self.fleet.sandbox, legs)
        self.late += lateness(self.fleet.sandbox, legs)
        transcript = await self.fleet.rows.transcript(legs[0]["session_id"])
        self.violations += check_transcript(legs, transcript)
        carried = await self.fleet.rows.ask(
            "SELECT commit, head_commit FROM carried_work WHERE session_id = $1",
            legs[0]["session_id"],
        )
        shas = [str(sha) for row in carried for sha in row.values() if sha]
        events = [event for leg in legs for event in await self.fleet.rows.events(leg)]
        self.violations += check_cost(legs, transcript, events, self.fleet.outages)
        commits = commits_of(transcript)
        self.violations += await asyncio.to_thread(
            lambda: list(check_commits(legs, commits, self.fleet.homes, shas, events))
        )

    async def _drawn(self, legs: Sequence[Row]) -> None:
        deadline = time.monotonic() + _DRAWN_SECONDS
        # It is another process that draws; nobody tells us.
        while not is_drawn(self.fleet.sandbox, legs) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.3)


def _ending(run: Row) -> str:
    again = f" in attempt {run['attempt']}" if run["attempt"] > 1 else ""
    return f"{run['stop_reason'] or run['status']}{again}"
