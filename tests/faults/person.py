"""The person of one task: starts, kills and continues it, and repeats lost commands."""

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
# After its acknowledgement a command may have to wait for another bot, and for Postgres.
_RUN_LIMIT_SECONDS = 100.0
# Including a lost worker, a usage limit and a crash.
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
    """One command and its result.

    Attributes:
        marker: A word that occurs only in this command.
        answer: "taken", "refused" (the acknowledgement said that nothing was done), "unheard"
            (no acknowledgement), or "undone" (taken, then answered with a request to try again).
    """

    at: float
    marker: str
    text: str
    answer: str


class TaskTimeout(Exception):
    """Something did not happen in time."""


@dataclass
class Person:
    """The actions of one person about one task.

    Attributes:
        start_commands: Commands that start it; at most one is taken, unless one is unheard.
        kill_commands: Kill commands.
        forbidden_kills: Kill commands of a person without permission.
        continue_commands: Commands that continue it.
    """

    fleet: Fleet
    task: Task
    start_commands: list[SentCommand] = field(default_factory=list)
    kill_commands: list[SentCommand] = field(default_factory=list)
    forbidden_kills: list[SentCommand] = field(default_factory=list)
    continue_commands: list[SentCommand] = field(default_factory=list)
    began: float = field(default_factory=time.time)
    runs: list[Row] = field(default_factory=list)

    def run_ids(self) -> list[str]:
        """Ids of the runs so far."""
        return [str(run["run_id"]) for run in self.runs]

    async def run(self) -> None:
        """Do everything until all runs of the task have ended.

        Raises:
            TaskTimeout: If they do not end.
        """
        try:
            async with asyncio.timeout(TASK_SECONDS):
                await self._start()
                await self._follow_until_done()
        except TimeoutError:
            await self.refresh()
            states = [f"{run['run_id']} {run['status']}" for run in self.runs] or ["no row"]
            raise TaskTimeout(f"{self.task.tag}: not ended: {', '.join(states)}") from None

    async def refresh(self) -> list[Row]:
        """Read the present rows of the runs."""
        self.runs = await self.fleet.rows.runs_of_task(self.task.tag)
        return self.runs

    async def _start(self) -> None:
        while not await self.refresh():
            marker = f"{self.task.tag}.r{len(self.start_commands)}"
            command = f"{self.task.command}.r{len(self.start_commands)}"
            self.start_commands.append(await self._send(command, marker))
            await self._wait_for_run(self.start_commands, 0)

    async def _wait_for_run(self, commands: list[SentCommand], before: int) -> None:
        """Wait for the run of an acknowledged command, or for a message that it failed."""
        deadline = time.monotonic() + _RUN_LIMIT_SECONDS
        while commands[-1].answer == "taken" and len(await self.refresh()) <= before:
            if time.monotonic() > deadline:
                raise TaskTimeout(
                    f"{self.task.tag}: an acknowledged command has no run after "
                    f"{_RUN_LIMIT_SECONDS:.0f} s"
                )
            if self.was_asked_to_try_again(since=commands[-1].at):
                commands[-1] = replace(commands[-1], answer="undone")
            await asyncio.sleep(_POLL_SECONDS / 2)
        if commands[-1].answer != "taken":
            await asyncio.sleep(_RETRY_SECONDS)

    def was_asked_to_try_again(self, *, since: float) -> bool:
        """Whether Signalbox asked this person in private to try again."""
        return any(
            words in text for text in self.private_messages(since=since) for words in _RETRY_HINTS
        )

    def private_messages(self, *, since: float, by: str | None = None) -> list[str]:
        """Signalbox's private messages to this person, or to another one."""
        human = self.fleet.sandbox.human
        commands = human.ephemerals(by or self.task.person)
        return [human.text(one) for one in commands if float(one["ts"]) >= since]

    async def _follow_until_done(self) -> None:
        due = None if self.task.kill_after is None else time.monotonic() + self.task.kill_after
        while True:
            await self.refresh()
            live = [run for run in self.runs if run["status"] not in FINAL]
            if live and self.task.unauthorized and not self.forbidden_kills:
                await self._try_forbidden_kill(live[0])
            if live and due is not None and time.monotonic() >= due:
                await self._kill(live[0])
                # After such a message the person tries again.
                due = time.monotonic() + _REPEAT_KILL_SECONDS
            elif not live:
                threads = {run["thread_key"] for run in self.runs}
                newest = [self._newest(thread) for thread in sorted(threads)]
                continuable = [run for run in newest if self._should_continue(run)]
                if not continuable:
                    return
                await self._continue(continuable[0])
            await asyncio.sleep(_POLL_SECONDS)

    def _newest(self, thread: str) -> Row:
        return [run for run in self.runs if run["thread_key"] == thread][-1]

    def _should_continue(self, run: Row) -> bool:
        if run["stop_reason"] not in CONTINUABLE or len(self.continue_commands) >= _MAX_CONTINUES:
            return False
        if run["stop_reason"] == "killed":
            was_continued = any(command.answer == "taken" for command in self.continue_commands)
            return self.task.is_continued and not was_continued
        # The continued agent reports without waiting for the killed tool.
        return self.task.work is not Work.STUBBORN or run["stop_reason"] != "max_turns"

    async def _kill(self, run: Row) -> None:
        force = "--force " if self.task.is_forced else ""
        while run["status"] not in FINAL and run["kill_requested_at"] is None:
            marker = f"{self.task.tag}.x{len(self.kill_commands)}"
            command = await self._send(f"kill {run['run_id']} {force}{marker}", marker)
            self.kill_commands.append(command)
            if command.answer == "taken":
                return
            await asyncio.sleep(_RETRY_SECONDS)
            run = next(one for one in await self.refresh() if one["id"] == run["id"])

    async def _try_forbidden_kill(self, run: Row) -> None:
        marker = f"{self.task.tag}.m0"
        words = f"kill {run['run_id']} {marker}"
        self.forbidden_kills.append(await self._send(words, marker, user=self.task.unauthorized))

    async def _continue(self, run: Row) -> None:
        before = len(self.runs)
        while len(await self.refresh()) == before:
            marker = f"{self.task.tag}.c{len(self.continue_commands)}"
            command = await self._send(
                f"continue {run['run_id']} +{self.task.more_turns} Go on, please: {marker}", marker
            )
            self.continue_commands.append(command)
            await self._wait_for_run(self.continue_commands, before)

    async def _send(self, words: str, marker: str, *, user: str | None = None) -> SentCommand:
        at = time.time()
        try:
            result = await self.fleet.sandbox.human.slash(
                _CHANNEL, "/workflow", words, user=user or self.task.person
            )
        except ActionRefused:
            return SentCommand(at, marker, words, "unheard")
        if not result.ok:
            return SentCommand(at, marker, words, "unheard")
        is_refused = _NOT_STARTED in (result.response_text or "")
        return SentCommand(at, marker, words, "refused" if is_refused else "taken")


def all_commands(person: Person) -> Mapping[str, list[SentCommand]]:
    """Everything the person typed, by purpose."""
    return {
        "start": person.start_commands,
        "kill": person.kill_commands,
        "continue": person.continue_commands,
        "meddling": person.forbidden_kills,
    }
