"""A lock that holds between threads and processes of one machine."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from core.workspace.errors import WorkspaceError

_POLL_SECONDS = 0.02


@contextmanager
def file_lock(
    path: Path,
    *,
    timeout: timedelta,
    is_cancelled: Callable[[], bool] = lambda: False,
    is_shared: bool = False,
) -> Iterator[None]:
    """Hold the lock on `path`; blocks the thread.  A process that dies lets go of it.

    Raises:
        WorkspaceError: If others hold it for longer than `timeout`, or `is_cancelled` says so.
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
                        f"lock {path.name} not had in {timeout}",
                        user_message="Other runs keep this repository busy. Try again in a "
                        "few minutes.",
                    ) from None
                time.sleep(_POLL_SECONDS)
        # Closing the file lets go.
        yield


def remove_stale_locks(git_dir: Path) -> tuple[str, ...]:
    """Remove the locks that a killed git left in a repository in which nothing works now.

    Returns:
        What was removed, by its path within `git_dir`.
    """
    if not git_dir.is_dir():
        return ()
    names = ("index.lock", "HEAD.lock", "config.lock", "packed-refs.lock", "shallow.lock")
    found = [git_dir / name for name in names if (git_dir / name).exists()]
    found += (git_dir / "refs").rglob("*.lock")
    for stale in found:
        stale.unlink(missing_ok=True)
    return tuple(str(stale.relative_to(git_dir)) for stale in found)
