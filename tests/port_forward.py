"""Forwards a port of 127.0.0.1 in a network namespace to a Unix socket outside.

    unshare --net python -m tests.port_forward PORT SOCKET command …

The command replaces this process; a child of it forwards the port and ends with it.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import signal
import socket
import struct
import sys
from contextlib import suppress

_PR_SET_PDEATHSIG = 1
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1
_CHUNK = 64 * 1024


def main() -> None:
    """Start forwarding, then become the command."""
    port, path, *command = sys.argv[1:]
    _bring_loopback_up()
    listener = socket.create_server(("127.0.0.1", int(port)))
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        asyncio.run(_serve(listener, path))
    listener.close()
    os.execvp(command[0], command)


def _bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


async def _serve(listener: socket.socket, path: str) -> None:
    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            answers, server_writer = await asyncio.open_unix_connection(path)
            await relay(reader, server_writer, answers, writer)

    server = await asyncio.start_server(forward, sock=listener)
    await server.serve_forever()


async def relay(
    reader: asyncio.StreamReader,
    server_writer: asyncio.StreamWriter,
    answers: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Copy data in both directions until one side ends."""
    both = {
        asyncio.create_task(_copy(reader, server_writer)),
        asyncio.create_task(_copy(answers, writer)),
    }
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in both:
            task.cancel()
        server_writer.close()
        writer.close()


async def _copy(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await source.read(_CHUNK):
            to.write(chunk)
            await to.drain()


if __name__ == "__main__":
    main()
