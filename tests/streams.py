"""Readers of server-sent events, for tests: they keep what a browser's EventSource keeps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from bot.web.route import API_ROOT
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import Run
from core.store import events
from core.store.database.engine import Database
from core.store.runs import runs
from tests.api import CONSOLE, ApiHarness
from tests.database import NOW
from tests.limits import limit


@dataclass(frozen=True)
class Received:
    """One event, or a comment (whose name is empty)."""

    name: str
    data: Any
    last_id: str | None


@dataclass
class StreamReader:
    """A connected stream.

    Attributes:
        last_id: What an EventSource would send as `Last-Event-ID`.
        retry: What the server asked for, in milliseconds.
    """

    response: aiohttp.ClientResponse
    last_id: str | None = None
    retry: int | None = None
    received: list[Received] = field(default_factory=list)

    async def next(self) -> Received | None:
        """The next event or comment; `None` at the end of the stream."""
        name, data, comment = "", None, None
        while line := (await self.response.content.readline()).decode():
            text = line.rstrip("\n")
            if not text and (name or comment is not None):
                found = Received(name, comment if data is None else json.loads(data), self.last_id)
                self.received.append(found)
                return found
            label, _, value = text.partition(": ")
            if text.startswith(":"):
                comment = text[1:].strip()
            elif label == "event":
                name = value
            elif label == "data":
                data = value
            elif label == "id":
                self.last_id = value
            elif label == "retry":
                self.retry = int(value)
        return None

    async def until(self, name: str) -> Received:
        """The next event of this name."""
        async with limit(10):
            while (found := await self.next()) is not None:
                if found.name == name:
                    return found
        raise AssertionError(f"the stream ended without {name}: {self.received}")

    async def rest(self) -> list[Received]:
        """All events up to the end of the stream."""
        async with limit(20):
            return [one async for one in self]

    def __aiter__(self) -> AsyncIterator[Received]:
        return self._all()

    async def _all(self) -> AsyncIterator[Received]:
        while (found := await self.next()) is not None:
            yield found


@asynccontextmanager
async def open_stream(
    api: ApiHarness,
    target: str,
    token: str | None,
    *,
    last_id: str | None = None,
    query: str = "",
    read_bufsize: int = 2**16,
) -> AsyncIterator[StreamReader]:
    """Connect to the stream of a run; whatever it answers."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    if last_id is not None:
        headers["Last-Event-ID"] = last_id
    url = f"http://{api.host}{API_ROOT}{CONSOLE}/run/{target}/stream{query}"
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True), read_bufsize=read_bufsize
        ) as client,
        client.get(url, headers=headers, timeout=aiohttp.ClientTimeout(total=None)) as response,
    ):
        yield StreamReader(response, last_id=last_id)


async def add_events(database: Database, run: Run, *texts: str) -> None:
    """Write events of a run in one transaction, as its worker does."""
    async with database.sessions.begin() as session:
        await runs.change(session, run.run_id, now=NOW, last_activity=texts[-1][:50])
        await events.append(
            session,
            run.id,
            1,
            [EventRecord(kind=EventKind.AGENT_TEXT, at=NOW, data={"text": one}) for one in texts],
        )


async def until(holds: Callable[[], object]) -> None:
    """Wait until something holds inside of the server."""
    async with limit(10):
        # What ends there tells nobody.
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def texts_of(received: list[Received]) -> list[str]:
    """The texts of the events."""
    return [one.data["data"]["text"] for one in received if one.name == "event"]
