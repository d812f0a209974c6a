"""Talking to a process that may print more than fits into memory."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from datetime import timedelta

_CHUNK_BYTES = 65_536
_MAX_STDERR_BYTES = 65_536


class TooMuchOutput(Exception):
    """A process printed more than allowed.

    Attributes:
        printed: What it printed until then.
    """

    def __init__(self, printed: bytes = b"") -> None:
        super().__init__("printed too much")
        self.printed = printed


def communicate(
    process: subprocess.Popen[bytes], stdin: bytes, *, limit: timedelta, max_bytes: int
) -> tuple[bytes, bytes]:
    """Write the standard input, read both outputs, and wait for the end.  Blocking.

    The process is left running, without its pipes, if this raises.

    Args:
        process: The process; all three streams are pipes.
        stdin: The standard input.
        limit: The time limit.
        max_bytes: The most that it may print on its standard output.

    Returns:
        The standard output, and the last 64 KiB of the error output.

    Raises:
        TooMuchOutput: If it prints more.
        TimeoutExpired: If it is not done in time.
    """
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise ValueError("the process has no pipes")
    deadline = time.monotonic() + limit.total_seconds()
    pipes = {pipe.fileno(): pipe for pipe in (process.stdin, process.stdout, process.stderr)}
    writing, printing, complaining = pipes
    printed, complaints = bytearray(), bytearray()
    rest = memoryview(stdin)
    with (
        process.stdin, process.stdout, process.stderr, selectors.DefaultSelector() as selector,
    ):  # fmt: skip
        os.set_blocking(writing, False)
        selector.register(writing, selectors.EVENT_WRITE)
        selector.register(printing, selectors.EVENT_READ)
        selector.register(complaining, selectors.EVENT_READ)
        while selector.get_map():
            remaining = deadline - time.monotonic()
            ready = selector.select(remaining) if remaining > 0 else []
            if not ready:
                raise subprocess.TimeoutExpired(process.args, limit.total_seconds())
            for key, _ in ready:
                if key.fd == writing:
                    rest = _write_some(writing, rest)
                    is_over = not rest
                else:
                    chunk = os.read(key.fd, _CHUNK_BYTES)
                    (printed if key.fd == printing else complaints).extend(chunk)
                    is_over = not chunk
                if is_over:
                    selector.unregister(key.fd)
                    pipes[key.fd].close()
            if len(printed) > max_bytes:
                raise TooMuchOutput(bytes(printed))
            del complaints[:-_MAX_STDERR_BYTES]
    process.wait(max(0, deadline - time.monotonic()))
    return bytes(printed), bytes(complaints)


def _write_some(stdin: int, rest: memoryview) -> memoryview:
    """Write what the pipe takes; nothing is left if the process does not want more."""
    try:
        return rest[os.write(stdin, rest[:_CHUNK_BYTES]) :]
    except BrokenPipeError:
        return rest[:0]
