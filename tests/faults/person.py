"""The person of one task: starts it, kills it, continues it, as often as it takes to be heard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bot.sandbox.slack.errors import ActionRefused
from tests.faults.fleet import Fleet
from tests.faults.plan import Task, Work
from tests.faults.rows import FINAL, Row

_CHANNEL = "#builds"
_POLL_SECONDS = 0.4
_RETRY_SECONDS = 2.0
# An acknowledged command may have to wait for another bot to take it up, and for Postgres.
_RUN_LIMIT_SECONDS = 100.0
# With a worker that is lost, a limit that is met and a crash on the way.
TASK_SECONDS = 300.0
_MAX_CONTINUES = 4
_REPEAT_KILL_SECONDS = 15.0
_RETRY_HINTS = ("Try again", "try again")
_NOT_STARTED = "nothing was started"
CONTINUABLE = frozenset(
    {"max_turns", "agent_error", "no_result", "worker_lost", "api_error", "killed"}
)


@dataclass(frozen=True)
class SentCommand:
    """One command and what came of it.

    Attributes:
        marker: A word of the command that nothing else says.
        answer: "taken", "refused" (the acknowledgement said that nothing was done), "unheard"
            (no acknowledgement), or "undone" (taken, and then told to try again).
    """

    at: float
    marker: str
    text: str
    answer: str


class TaskTimeout(Exception):
    """What had to happen did not happen in time."""


@dataclass
class Person:
    """What one person does about one task.

    Attributes:
        start_commands: Commands that start it; at most one was taken, unless one was unheard.
        kill_commands: Kill commands.
        meddling: Kill commands of somebody who may not.
        continue_commands: Commands that continue it.
    """

    fleet: Fleet
    task: Task
    start_commands: list[SentCommand] = field(default_factory=list)
    kill_commands: list[SentCommand] = field(default_factory=list)
    forbidden_kills: list[SentCommand] = field(default_factory=list)
    continue_commands: list[SentCommand] = field(default_factory=list)
    began: float = field(default_factory=time.time)
    legs: list[Row] = field(default_factory=list)

    def run_ids(self) -> list[str]:
        """The runs so far."""
        return [str(leg["run_id"]) for leg in self.legs]

    async def run(self) -> None:
        """Do everything, until all runs of the task have ended.

        Raises:
            Stuck: If they do not.
        """
        try:
            async with asyncio.timeout(TASK_SECONDS):
                await self._start()
                await self._follow_until_done()
        except TimeoutError:
            await self.refresh()
            states = [f"{leg['run_id']} {leg['status']}" for leg in self.legs] or ["no row"]
            raise TaskTimeout(f"{self.task.tag}: not over: {', '.join(states)}") from None

    async def refresh(self) -> list[Row]:
        """The runs as they stand."""
        self.legs = await self.fleet.rows.legs(self.task.tag)
        return self.legs

    async def _start(self) -> None:
        while not await self.refresh():
            mark = f"{self.task.tag}.r{len(self.start_commands)}"
            command = f"{self.task.command}.r{len(self.start_commands)}"
            self.start_commands.append(await self._send(command, mark))
            await self._wait_for_run(self.start_commands, 0)

    async def _wait_for_run(self, commands: list[SentCommand], before: int) -> None:
        """Wait for the run of an acknowledged command, or the word that it did not work."""
        deadline = time.monotonic() + _RUN_LIMIT_SECONDS
        while commands[-1].answer == "taken" and len(await self.refresh()) <= before:
            if time.monotonic() > deadline:
                raise TaskTimeout(
                    f"{self.task.tag}: an acknowledged command has no run after "
                    f"{_RUN_LIMIT_SECONDS:.0f} s"
                )
            if self.was_told_to_try_again(since=commands[-1].at):
                commands[-1] = replace(commands[-1], answer="undone")
            await asyncio.sleep(_POLL_SECONDS / 2)
        if commands[-1].answer != "taken":
            await asyncio.sleep(_RETRY_SECONDS)

    def was_told_to_try_again(self, *, since: float) -> bool:
        """Whether Signalbox said in private that something did not work."""
        return any(
            words in text for text in self.private_messages(since=since) for words in _RETRY_HINTS
        )

    def private_messages(self, *, since: float, by: str | None = None) -> list[str]:
        """What Signalbox said to this person, or another one, alone."""
        human = self.fleet.sandbox.human
        commands = human.ephemerals(by or self.task.person)
        return [human.text(one) for one in commands if float(one["ts"]) >= since]

    async def _follow_until_done(self) -> None:
        due = None if self.task.kill_after is None else time.monotonic() + self.task.kill_after
        while True:
            await self.refresh()
            live = [leg for leg in self.legs if leg["status"] not in FINAL]
            if live and self.task.unauthorized and not self.forbidden_kills:
                await self._try_forbidden_kill(live[0])
            if live and due is not None and time.monotonic() >= due:
                await self._kill(live[0])
                # Who was told that it did not work asks again.
                due = time.monotonic() + _REPEAT_KILL_SECONDS
            elif not live:
                threads = {leg["thread_key"] for leg in self.legs}
                newest = [self._newest(thread) for thread in sorted(threads)]
                continuable = [leg for leg in newest if self._should_continue(leg)]
                if not continuable:
                    return
                await self._continue(continuable[0])
            await asyncio.sleep(_POLL_SECONDS)

    def _newest(self, thread: str) -> Row:
        return [leg for leg in self.legs if leg["thread_key"] == thread][-1]

    def _should_continue(self, leg: Row) -> bool:
        if leg["stop_reason"] not in CONTINUABLE or len(self.continue_commands) >= _MAX_CONTINUES:
            return False
        if leg["stop_reason"] == "killed":
            was_continued = any(command.answer == "taken" for command in self.continue_commands)
            return self.task.is_continued and not was_continued
        # What a stuck tool was killed in goes on with a report; nothing to wait for.
        return self.task.work is not Work.STUBBORN or leg["stop_reason"] != "max_turns"

    async def _kill(self, leg: Row) -> None:
        force = "--force " if self.task.is_forced else ""
        while leg["status"] not in FINAL and leg["kill_requested_at"] is None:
            mark = f"{self.task.tag}.x{len(self.kill_commands)}"
            command = await self._send(f"kill {leg['run_id']} {force}{mark}", mark)
            self.kill_commands.append(command)
            if command.answer == "taken":
                return
            await asyncio.sleep(_RETRY_SECONDS)
            leg = next(one for one in await self.refresh() if one["id"] == leg["id"])

    async def _try_forbidden_kill(self, leg: Row) -> None:
        mark = f"{self.task.tag}.m0"
        words = f"kill {leg['run_id']} {mark}"
        self.forbidden_kills.append(await self._send(words, mark, user=self.task.unauthorized))

    async def _continue(self, leg: Row) -> None:
        before = len(self.legs)
        while len(await self.refresh()) == before:
            mark = f"{self.task.tag}.c{len(self.continue_commands)}"
            command = await self._send(
                f"continue {leg['run_id']} +{self.task.more_turns} Go on, please: {mark}", mark
            )
            self.continue_commands.append(command)
            await self._wait_for_run(self.continue_commands, before)

    async def _send(self, words: str, mark: str, *, user: str | None = None) -> SentCommand:
        at = time.time()
        try:
            result = await self.fleet.sandbox.human.slash(
                _CHANNEL, "/workflow", words, user=user or self.task.person
            )
        except ActionRefused:
            return SentCommand(at, mark, words, "unheard")
        if not result.ok:
            return SentCommand(at, mark, words, "unheard")
        is_refused = _NOT_STARTED in (result.response_text or "")
        return SentCommand(at, mark, words, "refused" if is_refused else "taken")


def all_commands(person: Person) -> Mapping[str, list[SentCommand]]:
    """Everything it typed, by what it was for."""
    return {
        "start": person.start_commands,
        "kill": person.kill_commands,
        "continue": person.continue_commands,
        "meddling": person.forbidden_kills,
    }
