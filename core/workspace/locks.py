"""A lock that holds between threads and processes of one machine."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from core.workspace.errors import WorkspaceError

_LOOK_AGAIN_SECONDS = 0.02


@contextmanager
def locked(
    path: Path,
    *,
    timeout: timedelta,
    is_given_up: Callable[[], bool] = lambda: False,
    is_shared: bool = False,
) -> Iterator[None]:
    """Hold the lock on `path`; blocks the thread.  A process that dies lets go of it.

    Raises:
        WorkspaceError: If others hold it for longer than `timeout`, or `is_given_up` says so.
    """
    kind = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
    deadline = time.monotonic() + timeout.total_seconds()
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if is_given_up() or time.monotonic() > deadline:
                    raise WorkspaceError(
                        f"lock {path.name} not had in {timeout}",
                        user_message="Other runs keep this repository busy. Try again in a "
                        "few minutes.",
                    ) from None
                time.sleep(_LOOK_AGAIN_SECONDS)
        # Closing the file lets go.
        yield


def free(git_dir: Path) -> None:
    """Remove the locks that a killed git left in a repository in which nothing works now."""
    if not git_dir.is_dir():
        return
    for name in ("index.lock", "HEAD.lock", "config.lock", "packed-refs.lock", "shallow.lock"):
        (git_dir / name).unlink(missing_ok=True)
    for stale in (git_dir / "refs").rglob("*.lock"):
        stale.unlink(missing_ok=True)
