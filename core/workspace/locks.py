"""Locks between the threads and processes of one machine."""

from __future__ import annotations

import asyncio
import fcntl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path

from core.workspace.errors import WorkspaceBusy, WorkspaceError

_POLL_SECONDS = 0.02


@contextmanager
def file_lock(
    path: Path,
    *,
    timeout: timedelta,
    is_cancelled: Callable[[], bool] = lambda: False,
    is_shared: bool = False,
) -> Iterator[None]:
    """Hold a lock on `path` for the block.  Blocking.  A process that dies releases its locks.

    Args:
        path: The lock file; created if it does not exist, and never removed.
        timeout: How long to wait for other holders.
        is_cancelled: Polled while waiting; the wait ends when it returns true.
        is_shared: Whether other shared holders are allowed at the same time.

    Raises:
        WorkspaceError: If the lock stays taken for `timeout`, or the wait is cancelled.
    """
    kind = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
    deadline = time.monotonic() + timeout.total_seconds()
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if is_cancelled() or time.monotonic() > deadline:
                    raise WorkspaceError(
                        f"lock {path.name} not acquired within {timeout}",
                        user_message="Other runs keep this repository busy. Try again in a "
                        "few minutes.",
                    ) from None
                time.sleep(_POLL_SECONDS)
        # Closing the file releases the lock.
        yield


@asynccontextmanager
async def use_lock(path: Path, *, timeout: timedelta, is_shared: bool) -> AsyncIterator[None]:
    """Hold a lock like `file_lock`, for as long as a run takes; cancelling ends the wait.

    Args:
        path: The lock file; created if it does not exist, and never removed.
        timeout: How long to wait for other holders; zero tries once.
        is_shared: Whether other shared holders are allowed at the same time.

    Raises:
        WorkspaceBusy: If the lock stays taken.
    """
    kind = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
    deadline = time.monotonic() + timeout.total_seconds()
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise WorkspaceBusy(path.stem) from None
            await asyncio.sleep(_POLL_SECONDS)
        # Closing the file releases the lock.
        yield


def remove_stale_locks(git_dir: Path) -> tuple[str, ...]:
    """Remove the lock files of killed git processes.  Nothing may be working in the repository.

    Returns:
        The paths of the removed files, relative to `git_dir`.
    """
    # An agent may have put links there, which would lead to files that are not its own.
    if git_dir.is_symlink() or not git_dir.is_dir():
        return ()
    names = ("index.lock", "HEAD.lock", "config.lock", "packed-refs.lock", "shallow.lock")
    found = [git_dir / name for name in names if (git_dir / name).exists()]
    if not (git_dir / "refs").is_symlink():
        found += (git_dir / "refs").rglob("*.lock")
    for stale in found:
        stale.unlink(missing_ok=True)
    return tuple(str(stale.relative_to(git_dir)) for stale in found)
