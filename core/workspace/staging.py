"""Directories that are built beside their final path and moved there as a whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.workspace.scratch import Scratch, staging_path


@contextmanager
def staged_directory(path: Path, scratch: Scratch | None) -> Iterator[Path]:
    """Provide a path for the block to build a directory, and move the result to `path`.

    Only its owner may enter the result.  It is removed if the block raises.  What a killed process
    left of an earlier attempt is removed first.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left_over in path.parent.glob(f".{path.name}.*"):
        shutil.rmtree(left_over)
    staged = staging_path(path, scratch)
    try:
        yield staged
        staged.chmod(0o700)
        staged.rename(path)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
