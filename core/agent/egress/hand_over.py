"""The worker's side of the handover of a listening socket out of a network namespace.

A socket stays in the network namespace in which it was created, also in another process.  So the
worker can accept the connections of an agent that shares no network with it, and no process
inside the namespace has to carry the bytes.
"""

from __future__ import annotations

import array
import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

# Of `sockaddr_un`, without the final zero byte.
_MAX_SOCKET_PATH_BYTES = 107


class BadHandover(Exception):
    """What was handed over is not one listening TCP socket of the loopback interface."""


class HandoverPoint:
    """A Unix socket that takes one handover.

    Open it before the process that hands over is started.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)

    def open(self) -> None:
        """Create the socket's file, which only this user can use.

        The folder must be private to this user: the file's mode is set after its creation.

        Raises:
            OSError: If there is a file already, or none can be created.
        """
        with _short_path(self.path) as short:
            self._socket.bind(short)
        self.path.chmod(0o600)
        self._socket.listen(1)

    def close(self) -> None:
        """Close the socket and remove its file."""
        self._socket.close()
        self.path.unlink(missing_ok=True)

    async def receive(self, limit: timedelta) -> socket.socket:
        """Wait for the one handover, and close the point.

        Raises:
            BadHandover: If something else came than one listening TCP socket.
            TimeoutError: If nothing came in time.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(limit.total_seconds()):
                channel, _ = await loop.sock_accept(self._socket)
                with channel:
                    return await _receive_from(channel)
        finally:
            self.close()


async def receive_listener(path: Path, limit: timedelta) -> socket.socket:
    """Open a `HandoverPoint` at this path, and wait for its handover.

    Raises:
        BadHandover: If something else came than one listening TCP socket.
        TimeoutError: If nothing came in time.
        OSError: If the point cannot be opened.
    """
    point = HandoverPoint(path)
    point.open()
    return await point.receive(limit)


async def _receive_from(channel: socket.socket) -> socket.socket:
    channel.setblocking(False)
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(channel, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(channel)
    # Room for one more, so that a second socket is noticed and not cut off.
    space = socket.CMSG_SPACE(2 * array.array("i").itemsize)
    try:
        _, ancillary, flags, _ = channel.recvmsg(1, space, socket.MSG_CMSG_CLOEXEC)
    except OSError as error:
        raise BadHandover(f"the channel failed: {error}") from error
    numbers = _descriptors(ancillary)
    if len(numbers) != 1 or flags & socket.MSG_CTRUNC:
        for number in numbers:
            os.close(number)
        raise BadHandover(f"{len(numbers)} sockets came instead of one")
    return _listener_of(numbers[0])


def _listener_of(descriptor: int) -> socket.socket:
    try:
        received = socket.socket(fileno=descriptor)
    except OSError as error:
        os.close(descriptor)
        raise BadHandover("what came is not a socket") from error
    try:
        _check_listener(received)
    except BadHandover:
        received.close()
        raise
    received.setblocking(False)
    return received


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    numbers = array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
    return list(numbers)


def _check_listener(received: socket.socket) -> None:
    kind = (received.family, received.type, received.proto)
    if kind != (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP):
        raise BadHandover(f"a socket of another kind came: {kind}")
    if not received.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise BadHandover("the socket does not listen")
    if received.getsockname()[0] != "127.0.0.1":
        raise BadHandover("the socket does not listen on the loopback interface")


@contextmanager
def _short_path(path: Path) -> Iterator[str]:
    """A path to the same file that fits into a socket's address."""
    if len(os.fsencode(path)) <= _MAX_SOCKET_PATH_BYTES:
        yield str(path)
        return
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)
