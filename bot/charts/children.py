"""Child processes that draw: one at a time, and none for ever."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

_LIMIT = timedelta(seconds=60)
# Two pictures of a digest are under 200 kB, the program is about 300 kB.
_MAX_BYTES = 16 * 1024 * 1024


class ChartsFailed(Exception):
    """The child process that draws charts did not answer, or not with what was asked for."""


class Work(StrEnum):
    """What a child can do; see `bot.charts.child`."""

    PROGRAM = "program"
    PICTURES = "pictures"


@dataclass(frozen=True)
class ChartChildren:
    """Starts a child for each work.  Others wait until it has ended.

    Attributes:
        limit: How long a child may take; then it is killed.
        command: Starts a child; what to do is appended.
    """

    limit: timedelta = _LIMIT
    command: Sequence[str] = (sys.executable, "-m", "bot.charts.child")
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, work: Work, given: bytes = b"") -> bytes:
        """What a child prints.

        Raises:
            ChartsFailed: If it cannot be started, fails, takes too long, or prints too much.
        """
        async with self.turn:
            try:
                process = await asyncio.create_subprocess_exec(
                    *self.command,
                    work.value,
                    stdin=PIPE,
                    stdout=PIPE,
                    stderr=DEVNULL,
                    # Nothing of the environment concerns it, and some of it is secret.
                    env={},
                    # The folder that contains the package `bot`, whether it is installed or not.
                    cwd=Path(__file__).parents[2],
                )
            except OSError as error:
                raise ChartsFailed(f"{work.value}: {error}") from error
            try:
                async with asyncio.timeout(self.limit.total_seconds()):
                    return await _answer(process, work, given)
            except TimeoutError as error:
                raise ChartsFailed(f"{work.value}: not done within {self.limit}") from error
            finally:
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        process.kill()
                await process.wait()


async def _answer(process: Process, work: Work, given: bytes) -> bytes:
    if process.stdin is None or process.stdout is None:
        raise ChartsFailed(f"{work.value}: no pipes")
    try:
        process.stdin.write(given)
        process.stdin.close()
        printed = bytearray()
        while chunk := await process.stdout.read(65_536):
            printed += chunk
            if len(printed) > _MAX_BYTES:
                raise ChartsFailed(f"{work.value}: more than {_MAX_BYTES} bytes")
    except ConnectionError as error:
        raise ChartsFailed(f"{work.value}: {error}") from error
    code = await process.wait()
    if code:
        raise ChartsFailed(f"{work.value}: exit code {code}")
    return bytes(printed)
