"""A directory made aside and moved into place as a whole, by one at a time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from core.workspace.command import Git
from core.workspace.locks import locked
from core.workspace.scratch import Scratch, aside_of


@contextmanager
def alone(record: Path, *, git: Git, patience: timedelta) -> Iterator[None]:
    """Hold the lock beside a workspace's record; others wait that long."""
    record.parent.mkdir(parents=True, exist_ok=True)
    with locked(record.with_suffix(".lock"), timeout=patience, is_given_up=lambda: git.is_stopped):
        yield


@contextmanager
def made_aside(path: Path, scratch: Scratch | None) -> Iterator[Path]:
    """Where to make what `path` is to be; moved there if nothing fails, else removed.

    What a killed process left of an earlier try is removed first, or when a worker starts.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left_over in path.parent.glob(f".{path.name}.*"):
        shutil.rmtree(left_over)
    aside = aside_of(path, scratch)
    try:
        yield aside
        aside.rename(path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
