"""The person of one task: starts it, kills it, continues it, as often as it takes to be heard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bot.sandbox.slack.errors import HumanRefused
from tests.faults.fleet import Fleet
from tests.faults.plan import Task, Work
from tests.faults.rows import FINAL, Row

_CHANNEL = "#builds"
_LOOK_SECONDS = 0.4
_AGAIN_SECONDS = 2.0
# An acknowledged command may have to wait for another bot to take it up, and for Postgres.
_HEARD_SECONDS = 100.0
# With a worker that is lost, a limit that is met and a crash on the way.
TASK_SECONDS = 300.0
_MOST_CONTINUES = 4
_ASK_AGAIN_SECONDS = 15.0
_UNDONE = ("Try again", "try again")
_NOT_TAKEN = "nothing was started"
CONTINUABLE = frozenset(
    {"max_turns", "agent_error", "no_result", "worker_lost", "api_error", "killed"}
)


@dataclass(frozen=True)
class Said:
    """One command and what came of it.

    Attributes:
        mark: A word of the command that nothing else says.
        answer: "taken", "refused" (the acknowledgement said that nothing was done), "unheard"
            (no acknowledgement), or "undone" (taken, and then told to try again).
    """

    at: float
    mark: str
    words: str
    answer: str


class Stuck(Exception):
    """What had to happen did not happen in time."""


@dataclass
class Person:
    """What one person does about one task.

    Attributes:
        started: Commands that start it; at most one was taken, unless one was unheard.
        kills: Kill commands.
        meddling: Kill commands of somebody who may not.
        continues: Commands that continue it.
    """

    fleet: Fleet
    task: Task
    started: list[Said] = field(default_factory=list)
    kills: list[Said] = field(default_factory=list)
    meddling: list[Said] = field(default_factory=list)
    continues: list[Said] = field(default_factory=list)
    began: float = field(default_factory=time.time)
    legs: list[Row] = field(default_factory=list)

    def run_ids(self) -> list[str]:
        """The runs so far."""
        return [str(leg["run_id"]) for leg in self.legs]

    async def play(self) -> None:
        """Do everything, until all runs of the task have ended.

        Raises:
            Stuck: If they do not.
        """
        try:
            async with asyncio.timeout(TASK_SECONDS):
                await self._start()
                await self._see_it_through()
        except TimeoutError:
            await self.look()
            states = [f"{leg['run_id']} {leg['status']}" for leg in self.legs] or ["no row"]
            raise Stuck(f"{self.task.tag}: not over: {', '.join(states)}") from None

    async def look(self) -> list[Row]:
        """The runs as they stand."""
        self.legs = await self.fleet.rows.legs(self.task.tag)
        return self.legs

    async def _start(self) -> None:
        while not await self.look():
            mark = f"{self.task.tag}.r{len(self.started)}"
            command = f"{self.task.command}.r{len(self.started)}"
            self.started.append(await self._say(command, mark))
            await self._until_there(self.started, 0)

    async def _until_there(self, said: list[Said], before: int) -> None:
        """Wait for the run of an acknowledged command, or the word that it did not work."""
        deadline = time.monotonic() + _HEARD_SECONDS
        while said[-1].answer == "taken" and len(await self.look()) <= before:
            if time.monotonic() > deadline:
                raise Stuck(
                    f"{self.task.tag}: an acknowledged command has no run after "
                    f"{_HEARD_SECONDS:.0f} s"
                )
            if self.was_told_to_try_again(since=said[-1].at):
                said[-1] = replace(said[-1], answer="undone")
            await asyncio.sleep(_LOOK_SECONDS / 2)
        if said[-1].answer != "taken":
            await asyncio.sleep(_AGAIN_SECONDS)

    def was_told_to_try_again(self, *, since: float) -> bool:
        """Whether Signalbox said in private that something did not work."""
        return any(words in text for text in self.heard(since=since) for words in _UNDONE)

    def heard(self, *, since: float, by: str | None = None) -> list[str]:
        """What Signalbox said to this person, or another one, alone."""
        human = self.fleet.sandbox.human
        said = human.ephemerals(by or self.task.person)
        return [human.text(one) for one in said if float(one["ts"]) >= since]

    async def _see_it_through(self) -> None:
        due = None if self.task.kill_after is None else time.monotonic() + self.task.kill_after
        while True:
            await self.look()
            living = [leg for leg in self.legs if leg["status"] not in FINAL]
            if living and self.task.stranger and not self.meddling:
                await self._meddle(living[0])
            if living and due is not None and time.monotonic() >= due:
                await self._kill(living[0])
                # Who was told that it did not work asks again.
                due = time.monotonic() + _ASK_AGAIN_SECONDS
            elif not living:
                threads = {leg["thread_key"] for leg in self.legs}
                newest = [self._newest(thread) for thread in sorted(threads)]
                wanting = [leg for leg in newest if self._wants_more(leg)]
                if not wanting:
                    return
                await self._continue(wanting[0])
            await asyncio.sleep(_LOOK_SECONDS)

    def _newest(self, thread: str) -> Row:
        return [leg for leg in self.legs if leg["thread_key"] == thread][-1]

    def _wants_more(self, leg: Row) -> bool:
        if leg["stop_reason"] not in CONTINUABLE or len(self.continues) >= _MOST_CONTINUES:
            return False
        if leg["stop_reason"] == "killed":
            was_continued = any(said.answer == "taken" for said in self.continues)
            return self.task.is_continued and not was_continued
        # What a stuck tool was killed in goes on with a report; nothing to wait for.
        return self.task.work is not Work.STUBBORN or leg["stop_reason"] != "max_turns"

    async def _kill(self, leg: Row) -> None:
        force = "--force " if self.task.is_forced else ""
        while leg["status"] not in FINAL and leg["kill_requested_at"] is None:
            mark = f"{self.task.tag}.x{len(self.kills)}"
            said = await self._say(f"kill {leg['run_id']} {force}{mark}", mark)
            self.kills.append(said)
            if said.answer == "taken":
                return
            await asyncio.sleep(_AGAIN_SECONDS)
            leg = next(one for one in await self.look() if one["id"] == leg["id"])

    async def _meddle(self, leg: Row) -> None:
        mark = f"{self.task.tag}.m0"
        words = f"kill {leg['run_id']} {mark}"
        self.meddling.append(await self._say(words, mark, user=self.task.stranger))

    async def _continue(self, leg: Row) -> None:
        before = len(self.legs)
        while len(await self.look()) == before:
            mark = f"{self.task.tag}.c{len(self.continues)}"
            said = await self._say(
                f"continue {leg['run_id']} +{self.task.more_turns} Go on, please: {mark}", mark
            )
            self.continues.append(said)
            await self._until_there(self.continues, before)

    async def _say(self, words: str, mark: str, *, user: str | None = None) -> Said:
        at = time.time()
        try:
            result = await self.fleet.sandbox.human.slash(
                _CHANNEL, "/workflow", words, user=user or self.task.person
            )
        except HumanRefused:
            return Said(at, mark, words, "unheard")
        if not result.ok:
            return Said(at, mark, words, "unheard")
        is_refused = _NOT_TAKEN in (result.response_text or "")
        return Said(at, mark, words, "refused" if is_refused else "taken")


def all_said(person: Person) -> Mapping[str, list[Said]]:
    """Everything it typed, by what it was for."""
    return {
        "start": person.started,
        "kill": person.kills,
        "continue": person.continues,
        "meddling": person.meddling,
    }
