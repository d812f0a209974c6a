"""What each command does through the API, what it prints, and its exit code."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from bot.cli.client.api import CONSOLE, ApiAnswer, ApiClient, open_client, run_path
from bot.cli.client.connection import find_connection
from bot.cli.client.errors import ApiUnavailable, BadArgument, ServerUnreachable
from bot.cli.client.exit_codes import ExitCode
from bot.cli.client.following import Follower
from bot.cli.client.output import note, output_width, say
from bot.cli.client.run_texts import (
    kill_text,
    list_text,
    log_text,
    next_words,
    status_text,
)
from bot.cli.client.settings import read_client_settings

# What only some commands need is imported where they need it: most only read.
# ruff: noqa: PLC0415

Act = Callable[["Acts"], Awaitable[ExitCode]]


@dataclass(frozen=True, kw_only=True)
class RunSelection:
    """Which runs to list; what is not set restricts nothing."""

    mine: bool = False
    live: bool = False
    failed: bool = False
    workflow: str | None = None
    limit: int = 20
    cursor: str | None = None

    def query(self) -> list[tuple[str, str]]:
        """The parameters of the API's list."""
        statuses = ["pending", "running"] * self.live + ["failed"] * self.failed
        given = {"workflow": self.workflow, "cursor": self.cursor}
        return [
            ("limit", str(self.limit)),
            *(("status", status) for status in statuses),
            *([("mine", "true")] if self.mine else []),
            *((name, value) for name, value in given.items() if value is not None),
        ]


ALL_LIVE = RunSelection(live=True, limit=100)


async def perform(act: Act, *, as_json: bool) -> ExitCode:
    """Do something with the server that the settings name.

    Raises:
        OpsError: If it could not be done.
    """
    async with open_client(find_connection(read_client_settings())) as client:
        return await act(Acts(client=client, as_json=as_json))


@dataclass(frozen=True, kw_only=True)
class Acts:
    """What commands do.

    Attributes:
        as_json: Whether to print the API's JSON, for programs, and nothing else on standard output.
    """

    client: ApiClient
    as_json: bool

    async def start(self, workflow: str, body: Mapping[str, Any], *, waits: bool) -> ExitCode:
        """Start a run of a workflow."""
        path = f"{CONSOLE}/run/{quote(_given('WORKFLOW', workflow), safe='')}"
        return await self.begin(path, body, waits=waits)

    async def continue_run(self, target: str, given: Mapping[str, Any], *, waits: bool) -> ExitCode:
        """Continue the session of a run in its next run."""
        known = (await self._basic_status(target)).body
        body = {"session_id": known["session_id"], **given}
        workflow = quote(str(known["workflow_name"]), safe="")
        return await self.begin(f"{CONSOLE}/run/{workflow}/continue", body, waits=waits)

    async def kill(self, target: str, *, force: bool, reason: str | None, waits: bool) -> ExitCode:
        """Kill a run."""
        from bot.cli.client.endings import find_kill, wait_for_proof

        body = {"force": force} | ({} if reason is None else {"reason": reason})
        path = run_path(_given("RUN", target), "kill")
        requested = await self.client.post(path, body)
        run_id, kill_id = requested.body["run_id"], requested.body["termination_id"]
        if not waits:
            self._print(requested, kill_text(requested.body))
            if not self.as_json and not requested.body["is_confirmed"]:
                note(f"`signalbox kill --wait {run_id}` waits for the proof.")
            return ExitCode.DONE
        async with _goes_on(f"The kill of {run_id} goes on."):
            kills = await wait_for_proof(self.client, run_id, kill_id)
        kill = None if kills is None else find_kill(kills, kill_id)
        if kills is None or kill is None:
            self._print(requested, kill_text(requested.body))
            return ExitCode.FAILED
        self._print(kills, kill_text(kill))
        return ExitCode.DONE if kill["is_confirmed"] else ExitCode.FAILED

    async def status(self, target: str, *, waits: bool) -> ExitCode:
        """Show a run."""
        if waits:
            known = await self._basic_status(target)
            return await self._watch(known.body["run_id"])
        found = await self.client.get(run_path(_given("RUN", target), "status"))
        if self.as_json:
            found = await self._with_checkpoints(found)
        self._print(found, status_text(found.body))
        return ExitCode.DONE

    async def _with_checkpoints(self, status: ApiAnswer) -> ApiAnswer:
        """A status with the run's checkpoints, which the API answers on their own."""
        path = run_path(status.body["run_id"], "checkpoints")
        listed = await self.client.get(path)
        body = {**status.body, "checkpoints": listed.body["checkpoints"]}
        return replace(status, body=body, text=json.dumps(body, ensure_ascii=False))

    async def runs(self, selection: RunSelection) -> ExitCode:
        """List runs."""
        found = await self.client.get(f"{CONSOLE}/runs", selection.query())
        nothing = "No run is live." if selection == ALL_LIVE else "There is no such run."
        now, width = datetime.now(UTC), output_width()
        self._print(found, list_text(found.body, now=now, width=width, nothing=nothing))
        return ExitCode.DONE

    async def logs(self, target: str, *, follows: bool) -> ExitCode:
        """Print the log of a run; following it, until it has ended."""
        known = await self._basic_status(target)
        run_id = known.body["run_id"]
        if not follows:
            await self._follower().read_log(run_id)
            return ExitCode.DONE
        ended = await self._follow(run_id, self._follower())
        if not self.as_json:
            note(f"{run_id}: {ended.body.get('headline') or ended.body['status']}")
        return ExitCode.DONE

    async def begin(self, path: str, body: Mapping[str, Any], *, waits: bool) -> ExitCode:
        """Start a run by a request, and perhaps wait for its end."""
        async with _goes_on("`signalbox runs --mine` shows whether the run was started."):
            started = await self.client.post(path, body)
        run_id = started.body["run_id"]
        if waits:
            if not self.as_json:
                note(started.body["message"])
            return await self._watch(run_id)
        self._print(started, _start_text(started.body))
        return ExitCode.DONE

    async def _watch(self, run_id: str) -> ExitCode:
        """Wait for a run's end; people see its log meanwhile, and its status at the end."""
        from bot.cli.client.endings import code_of_end

        quiet = Follower(client=self.client, on_line=lambda _: None, on_silence=self._say_silence)
        ended = await self._follow(run_id, quiet if self.as_json else self._follower())
        self._print(ended, f"\n{status_text(ended.body)}")
        if not self.as_json and next_words(ended.body):
            note(next_words(ended.body))
        return code_of_end(ended.body)

    async def _follow(self, run_id: str, follower: Follower) -> ApiAnswer:
        hint = (
            f"{run_id} goes on. `signalbox logs -f {run_id}` follows it again, `signalbox status "
            f"--wait {run_id}` waits for its end, `signalbox kill {run_id}` stops it."
        )
        async with _goes_on(hint):
            return await follower.follow(run_id)

    async def _basic_status(self, target: str) -> ApiAnswer:
        path = run_path(_given("RUN", target), "status")
        return await self.client.get(path, [("enhanced", "false")])

    def _follower(self) -> Follower:
        return Follower(
            client=self.client,
            on_line=_print_json_line if self.as_json else _print_line,
            on_silence=self._say_silence,
        )

    def _print(self, answer: ApiAnswer, text: str) -> None:
        say(answer.text if self.as_json else text)

    def _say_silence(self, error: Exception) -> None:
        note(f"{self.client.connection.url} does not answer; trying again. ({error})")


@asynccontextmanager
async def _goes_on(hint: str) -> AsyncIterator[None]:
    """Say what goes on without this command if it is interrupted, or loses the server."""
    try:
        yield
    except (asyncio.CancelledError, ServerUnreachable, ApiUnavailable):
        note(hint)
        raise


def _given(name: str, value: str) -> str:
    """An argument that is not empty, without space at its ends.

    Raises:
        BadArgument: If nothing is left of it.
    """
    if not value.strip():
        raise BadArgument(name, "is empty.")
    return value.strip()


def _start_text(started: Mapping[str, Any]) -> str:
    lines = [started["message"]]
    position = started.get("queue_position")
    if position is not None:
        lines.append(f"It waits for a worker, as number {position} in the queue.")
    lines.append(f"`signalbox logs -f {started['run_id']}` follows it.")
    return "\n".join(lines)


def _print_line(line: Mapping[str, Any]) -> None:
    say(log_text(line))


def _print_json_line(line: Mapping[str, Any]) -> None:
    say(json.dumps(line, ensure_ascii=False))
