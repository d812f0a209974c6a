"""Programs of a fleet, and their supervisor, which restarts a program that ends."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.limits import limit
from tests.processes import environment, status_of

_STARTED = re.compile(rb"readiness at (http://\S+)/readyz")
_STOP_SECONDS = 20.0
# A program that cannot start (the database is down) is not restarted in a tight loop.
_BACKOFF_SECONDS = 2.0
_MIN_LIFETIME_SECONDS = 5.0
# The exit status of a program that prints in one line why it does not start.
COULD_NOT_START = 2


@dataclass(frozen=True)
class Exit:
    """One end of a program."""

    name: str
    at: float
    status: int
    was_expected: bool

    def __str__(self) -> str:
        return f"{self.name} ended unexpectedly with {self.status} at {time.ctime(self.at)}"


@dataclass
class SupervisedProgram:
    """One program of the fleet with automatic restarts.

    Attributes:
        restart_after: Seconds between its next end and its restart.
        exits: All ends so far.
    """

    name: str
    command: str
    home: Path
    log: Path
    variables: Mapping[str, object]
    process: asyncio.subprocess.Process | None = None
    restart_after: float = 0.5
    exits: list[Exit] = field(default_factory=list)
    _was_signalled: bool = False
    _log_offset: int = 0
    _watch: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start it, and restart it from now on."""
        self._watch = asyncio.create_task(self._keep_alive(), name=self.name)

    async def stop(self) -> None:
        """Stop it for good, with SIGTERM first."""
        if self._watch is None:
            return
        self._watch.cancel()
        await asyncio.wait({self._watch})
        process = self.process
        if process is None or process.returncode is not None:
            return
        for number in (signal.SIGCONT, signal.SIGTERM):
            process.send_signal(number)
        try:
            async with limit(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    @property
    def pid(self) -> int | None:
        """Pid of the present process, while it lives."""
        process = self.process
        return process.pid if process is not None and process.returncode is None else None

    @property
    def url(self) -> str | None:
        """Address of the present process's web server, once it has been logged."""
        if self.pid is None:
            return None
        with self.log.open("rb") as log:
            log.seek(self._log_offset)
            found = _STARTED.search(log.read(20_000))
        return found[1].decode() if found else None

    async def is_ready(self) -> bool:
        """Whether `/readyz` answers 200."""
        url = self.url
        return url is not None and await status_of(f"{url}/readyz") == 200

    async def wait_until_ready(self, *, within: float = 90) -> None:
        """Wait until it is ready."""
        async with limit(within):
            # It is another process, so it is polled.
            while not await self.is_ready():  # noqa: ASYNC110
                await asyncio.sleep(0.2)

    def send(self, number: signal.Signals) -> int | None:
        """Signal only the present process; returns its pid, if there was one."""
        pid = self.pid
        if pid is None or self.process is None:
            return None
        if number in (signal.SIGKILL, signal.SIGTERM):
            self._was_signalled = True
        self.process.send_signal(number)
        return pid

    async def wait_until_gone(self, pid: int, *, within: float = 30) -> None:
        """Wait until this process of the program has ended."""
        async with limit(within):
            # Polled, as above.
            while self.pid == pid:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def _keep_alive(self) -> None:
        while True:
            began = time.monotonic()
            self._was_signalled = False
            self.process = await self._start()
            status = await self.process.wait()
            self.exits.append(Exit(self.name, time.time(), status, self._was_signalled))
            wait, self.restart_after = self.restart_after, 0.5
            if not self._was_signalled and time.monotonic() - began < _MIN_LIFETIME_SECONDS:
                wait = max(wait, _BACKOFF_SECONDS)
            await asyncio.sleep(wait)

    async def _start(self) -> asyncio.subprocess.Process:
        with self.log.open("ab") as log:
            log.write(f"--- {self.name} starts at {time.time():.2f}\n".encode())
            log.flush()
            self._log_offset = log.tell()
            return await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "bot", self.command),
                env=environment(self.home, {"SIGNALBOX_PORT": 0, **self.variables}),
                cwd=self.home,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
            )
