"""Signalbox as real processes with their own environment."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import aiohttp

from bot.sandbox.model.server import Model
from bot.sandbox.slack.server import Sandbox
from core.agent.process.process_table import identify
from core.domain.fleet.attempt import AttemptRecord
from tests.harness import CONFIG
from tests.limits import limit
from tests.repositories import repositories_beside

_STARTED = re.compile(r"readiness at (http://\S+)/readyz")
_ROOT = Path(__file__).resolve().parents[1]
# Variables of this process that a program needs; the test gives all others.
_INHERITED = ("PATH", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")
# A start of Python with all libraries takes seconds on a busy machine.
_TIMEOUT_SECONDS = 90.0


@dataclass
class Program:
    """One running `python -m bot …`.

    Attributes:
        lines: Its output so far, from both streams.
    """

    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)

    @property
    def url(self) -> str | None:
        """Address of its web server, once it has been logged."""
        return next((found[1] for line in self.lines if (found := _STARTED.search(line))), None)

    @property
    def output(self) -> str:
        """All output so far."""
        return "\n".join(self.lines)

    async def wait_until_ready(self, *, within: float = _TIMEOUT_SECONDS) -> None:
        """Wait until `/readyz` answers 200."""
        async with limit(within):
            while await self.readiness() != HTTPStatus.OK:
                assert self.process.returncode is None, self.output
                # Each question costs the starting process several milliseconds of the CPU.
                await asyncio.sleep(0.2)

    async def readiness(self) -> int | None:
        """The status of `/readyz`; `None` if nothing listens."""
        return await status_of(f"{self.url}/readyz") if self.url else None

    async def wait_until_listening(self, *, within: float = _TIMEOUT_SECONDS) -> str:
        """Wait until it listens; returns its URL."""
        async with limit(within):
            while (url := self.url) is None:
                assert self.process.returncode is None, self.output
                await asyncio.sleep(0.05)
            return url

    def send(self, number: signal.Signals) -> None:
        """Signal only this process."""
        self.process.send_signal(number)

    async def wait_until_ended(self, *, within: float = _TIMEOUT_SECONDS) -> int:
        """Wait for its end; returns its exit status."""
        async with limit(within):
            return await self.process.wait()

    async def wait_for_output(self, words: str, *, within: float = _TIMEOUT_SECONDS) -> None:
        """Wait until a line contains these words."""
        async with limit(within):
            while not any(words in line for line in self.lines):
                assert self.process.returncode is None, self.output
                await asyncio.sleep(0.05)


@dataclass(frozen=True)
class ProgramResult:
    """The result of a program that has ended."""

    status: int
    output: str
    errors: str

    @property
    def lines(self) -> list[str]:
        """The lines of its standard error."""
        return [line for line in self.errors.splitlines() if line.strip()]


async def status_of(url: str) -> int | None:
    """The status of a GET; `None` if nothing listens."""
    limit = aiohttp.ClientTimeout(total=5)
    try:
        async with aiohttp.ClientSession(timeout=limit) as http, http.get(url) as answer:
            return answer.status
    except (aiohttp.ClientError, TimeoutError):
        return None


def environment(home: Path, variables: Mapping[str, object]) -> dict[str, str]:
    """A clean environment with these variables."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    variables_as_text = {name: str(value) for name, value in variables.items() if value is not None}
    return {
        **inherited,
        "HOME": str(home),
        "SIGNALBOX_HOME": str(home),
        "SIGNALBOX_PORT": "0",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "PYTHONPATH": str(_ROOT),
        **variables_as_text,
    }


def slack_variables(sandbox: Sandbox, *, transport: str = "socket") -> dict[str, object]:
    """The variables for a sandbox."""
    return {
        "SLACK_API_URL": sandbox.api_url,
        "SLACK_BOT_TOKEN": sandbox.bot_token,
        "SLACK_APP_TOKEN": sandbox.app_token if transport == "socket" else None,
        "SLACK_SIGNING_SECRET": sandbox.signing_secret if transport == "http" else None,
    }


def model_variables(model: Model) -> dict[str, object]:
    """The variables for a scripted model."""
    return {"ANTHROPIC_API_KEY": model.api_key, "ANTHROPIC_BASE_URL": model.url}


# For homes whose workspaces are on a disk of a few megabytes.
ANY_ROOM = "[workspaces]\nmin_free_gb = 0\n"


def new_home(path: Path, config: str = "") -> Path:
    """A home whose agents do not repeat failed calls for minutes, beside its repositories."""
    path.mkdir(mode=0o700, parents=True)
    (path / "signalbox.toml").write_text(f"{CONFIG}\n{repositories_beside(path)}\n{config}")
    return path


@asynccontextmanager
async def running(
    command: str, home: Path, within: Sequence[str] = (), /, **variables: object
) -> AsyncIterator[Program]:
    """Run `python -m bot <command>` until the block ends; then make sure that it has ended.

    `within` is a command that runs another one in an environment that it creates.
    """
    process = await asyncio.create_subprocess_exec(
        *within,
        sys.executable,
        *("-m", "bot", *command.split()),
        env=environment(home, variables),
        cwd=home,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=1024 * 1024,
    )
    program = Program(process)
    reading = asyncio.create_task(_read(program), name=f"output of {command}")
    try:
        yield program
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with limit(20):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        # A child that it left may keep its output open.
        await asyncio.wait({reading}, timeout=2)
        reading.cancel()
        await asyncio.wait({reading})


async def _read(program: Program) -> None:
    assert program.process.stdout is not None
    async for line in program.process.stdout:
        program.lines.append(line.decode(errors="replace").rstrip())


async def run_to_end(*arguments: str, home: Path, **variables: object) -> ProgramResult:
    """Run `python -m bot …` to its own end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bot", *arguments),
        env=environment(home, variables),
        cwd=home,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with limit(_TIMEOUT_SECONDS):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return ProgramResult(process.returncode, output.decode(), errors.decode())


async def wait_until_agent_gone(process: AttemptRecord, *, within: float = 10) -> None:
    """Wait until the agent of an attempt is gone."""
    agent = process.agent
    assert agent is not None
    async with limit(within):
        while identify(agent.pid) == agent:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.05)
