"""A directory made aside and moved into place as a whole, by one at a time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from core.workspace.command import Git
from core.workspace.locks import file_lock
from core.workspace.scratch import Scratch, staging_path


@contextmanager
def workspace_lock(record: Path, *, git: Git, lock_timeout: timedelta) -> Iterator[None]:
    """Hold the lock beside a workspace's record; others wait that long."""
    record.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(
        record.with_suffix(".lock"), timeout=lock_timeout, is_cancelled=lambda: git.is_stopped
    ):
        yield


@contextmanager
def staged_directory(path: Path, scratch: Scratch | None) -> Iterator[Path]:
    """Where to make what `path` is to be; moved there if nothing fails, else removed.

    What a killed process left of an earlier try is removed first, or when a worker starts.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left_over in path.parent.glob(f".{path.name}.*"):
        shutil.rmtree(left_over)
    staged = staging_path(path, scratch)
    try:
        yield staged
        staged.rename(path)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
