"""The program that draws charts in browsers, made once for each version of the library."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

from bot.charts.children import ChartChildren, ChartsFailed, Work

log = logging.getLogger(__name__)

_LIBRARY = "vl-convert-python"
# Changes with what `bot.charts.child` puts into the program.
_EDITION = 1
_KEY_CHARS = 16
_GZIP = b"\x1f\x8b"


@dataclass
class ChartProgram:
    """Gives the program, compressed with gzip, from memory, else from disk, else newly made.

    Attributes:
        folder: Where it is kept; without one only in memory.
    """

    folder: Path | None = None
    children: ChartChildren = field(default_factory=ChartChildren)
    _content: bytes | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @cached_property
    def key(self) -> str:
        """Changes when the program does; known before the program is."""
        made_of = f"{_LIBRARY} {version(_LIBRARY)} {_EDITION}"
        return hashlib.sha256(made_of.encode()).hexdigest()[:_KEY_CHARS]

    async def content(self) -> bytes:
        """The program.

        Raises:
            ChartsFailed: If it cannot be made.
        """
        async with self._turn:
            if self._content is None:
                kept = await asyncio.to_thread(self._read)
                self._content = kept if kept is not None else await self._make()
            return self._content

    async def prepare(self) -> None:
        """Have it ready before somebody asks; a failure is logged, and tried again then."""
        try:
            await self.content()
        except ChartsFailed as error:
            log.warning(
                "the program that draws charts could not be made: %s",
                error,
                extra={"event": "chart_program.failed"},
            )

    async def _make(self) -> bytes:
        made = await self.children.run(Work.PROGRAM)
        if not made.startswith(_GZIP):
            raise ChartsFailed("program: not what was asked for")
        try:
            await asyncio.to_thread(self._write, made)
        except OSError as error:
            log.warning(
                "the program that draws charts is not kept: %s",
                error,
                extra={"event": "chart_program.not_kept"},
            )
        return made

    def _read(self) -> bytes | None:
        """What an earlier start has kept; its name has its digest, so that no half of it counts."""
        for path in sorted(self.folder.glob(f"{self.key}-*.js.gz")) if self.folder else ():
            try:
                found = path.read_bytes()
            except OSError:
                continue
            if path.name == _name(self.key, found):
                return found
        return None

    def _write(self, made: bytes) -> None:
        if self.folder is None:
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        staged = self.folder / f".{uuid4().hex}"
        try:
            handle = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(made)
            # Those of earlier versions.
            for path in self.folder.glob("*.js.gz"):
                path.unlink(missing_ok=True)
            staged.replace(self.folder / _name(self.key, made))
        finally:
            staged.unlink(missing_ok=True)


def _name(key: str, content: bytes) -> str:
    return f"{key}-{hashlib.sha256(content).hexdigest()}.js.gz"
