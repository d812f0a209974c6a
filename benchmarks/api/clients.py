"""Keep-alive HTTP clients that ask as fast as they are answered, or at a fixed interval.

Without an interval each client sends its next request when it has its answer (a closed loop): the
server is always busy, and the rate is what it can do at most.  With one, each client sends at its
own times, whatever the answers take (an open loop): the times are those that people and programs
see who poll.  A request that is due while the answer before it is still awaited is sent when that
comes, and its time counts from when it was due.

Argument: a `Load` as JSON.  Prints a `Measured` as JSON.  It runs in a process of its own, and
reads of an answer no more than its status and its length, so that it takes little from the
processors that it shares with what it measures.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from random import Random
from urllib.parse import urlsplit

from benchmarks.environment import clean_environment
from benchmarks.seed.plans import run_id

STATUS_PATH = "/api/v1/workflows/claude-code/run/{}/status"
_PREPARED = 20_000
_END = b"\r\n\r\n"
_LENGTH = b"content-length: "


@dataclass(frozen=True, kw_only=True)
class Load:
    """What to send.

    Attributes:
        url: Of the server.
        token: Sent with each request, if it is not empty.
        clients: How many send at a time.
        warm_up: Seconds before those that count.
        seconds: For so long answers count.
        path: What to ask for; `{}` is replaced by the id of a random run.
        runs: The number of seeded runs, of which one is chosen.
        every: Seconds between two requests of a client; `None` is as soon as it has its answer.
    """

    url: str
    path: str
    token: str = ""
    clients: int = 100
    warm_up: float = 2.0
    seconds: float = 10.0
    runs: int = 1
    every: float | None = None


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What came back in the seconds that count.

    Attributes:
        milliseconds: How long each answer took, in ascending order.
        failed: Answers with another status than 200.
        bytes: The mean length of an answer's body.
    """

    milliseconds: Sequence[float]
    failed: int
    bytes: float
    seconds: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.milliseconds) / self.seconds

    def percentile(self, percent: float) -> float:
        """So many milliseconds or less took that share of the answers."""
        place = min(int(len(self.milliseconds) * percent / 100), len(self.milliseconds) - 1)
        return self.milliseconds[place]


class _Tally:
    def __init__(self, requests: Sequence[bytes], random: Random) -> None:
        self.requests, self.random = requests, random
        self.counts_from = self.counts_until = float("inf")
        self.seconds: list[float] = []
        self.failed = self.bytes = 0

    def count(self, sent: float, received: float, status: bytes, length: int) -> None:
        """Count an answer that came within the time that counts."""
        if self.counts_from <= received < self.counts_until:
            self.seconds.append(received - sent)
            self.bytes += length
            self.failed += status != b"200"


class _Client(asyncio.Protocol):
    """One connection.

    Args:
        tally: Counts its answers.
        every: Seconds between two requests; `None` is as soon as it has its answer.
        first: Seconds until the first request.
    """

    def __init__(self, tally: _Tally, every: float | None, first: float) -> None:
        self._tally = tally
        self._every, self._first = every, first
        self._buffer = b""
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a connection of TCP")
        self._transport = transport
        if self._every is None:
            self._send(time.perf_counter())
        else:
            self._send_at(time.perf_counter() + self._first)

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer; send the next request when it is complete."""
        self._buffer += data
        head = self._buffer.find(_END)
        if head < 0:
            return
        place = self._buffer.lower().find(_LENGTH, 0, head) + len(_LENGTH)
        length = int(self._buffer[place : self._buffer.index(b"\r", place)])
        if len(self._buffer) < head + len(_END) + length:
            return
        self._tally.count(self._sent, time.perf_counter(), self._buffer[9:12], length)
        self._buffer = b""
        if self._every is None:
            self._send(time.perf_counter())
        else:
            self._send_at(self._sent + self._every)

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _send_at(self, due: float) -> None:
        """Send at a time; if that has passed, at once, and the answer's time counts from it."""
        wait = max(due - time.perf_counter(), 0.0)
        asyncio.get_running_loop().call_later(wait, self._send, due)

    def _send(self, due: float) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._sent = due
            self._transport.write(self._tally.random.choice(self._tally.requests))


async def _run(load: Load) -> Measured:
    random = Random(7)
    address = urlsplit(load.url)
    tally = _Tally([_request(path, load) for path in _paths(load, random)], random)
    loop = asyncio.get_running_loop()
    clients = []
    for _ in range(load.clients):
        first = 0.0 if load.every is None else random.uniform(0, load.every)
        _, client = await loop.create_connection(
            partial(_Client, tally, load.every, first), address.hostname or "", address.port or 0
        )
        clients.append(client)
    tally.counts_from = time.perf_counter() + load.warm_up
    tally.counts_until = tally.counts_from + load.seconds
    await asyncio.sleep(load.warm_up + load.seconds)
    for client in clients:
        client.close()
    count = max(len(tally.seconds), 1)
    return Measured(
        milliseconds=sorted(one * 1000 for one in tally.seconds),
        failed=tally.failed,
        bytes=tally.bytes / count,
        seconds=load.seconds,
    )


def _paths(load: Load, random: Random) -> list[str]:
    if "{}" not in load.path:
        return [load.path]
    chosen = (run_id(1, random.randrange(load.runs)) for _ in range(_PREPARED))
    return [load.path.format(one) for one in chosen]


def _request(path: str, load: Load) -> bytes:
    authorization = f"Authorization: Bearer {load.token}\r\n" if load.token else ""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{authorization}\r\n".encode()


async def measure_load(load: Load) -> Measured:
    """Run the clients in a process of their own.

    Raises:
        RuntimeError: If they fail, or an answer does.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.api.clients",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=clean_environment(),
    )  # fmt: skip
    written, _ = await process.communicate(json.dumps(asdict(load)).encode())
    if process.returncode != 0:
        raise RuntimeError("the clients failed")
    measured = Measured(**json.loads(written))
    if measured.failed or not measured.milliseconds:
        raise RuntimeError(f"{measured.failed} of {len(measured.milliseconds)} answers failed")
    return measured


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(_run(Load(**json.loads(sys.stdin.read())))))))
