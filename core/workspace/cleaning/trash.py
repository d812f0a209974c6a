"""What is being removed from a home: out of sight at once, deleted afterwards.  Blocking."""

from __future__ import annotations

import shutil
from pathlib import Path
from uuid import uuid4

# Not a name that a workspace has, so that nothing finds what is being removed.
_FOLDER = "removed"


def to_trash(root: Path, path: Path) -> Path:
    """Move a folder of a home to its trash; return where it is now.

    Raises:
        FileNotFoundError: If it is gone.
    """
    trash = root / _FOLDER
    trash.mkdir(mode=0o700, exist_ok=True)
    target = trash / f"{path.name}.{uuid4().hex}"
    path.rename(target)
    return target


def empty_trash(root: Path) -> None:
    """Delete what is left of removals that were cut short."""
    trash = root / _FOLDER
    for left in [*trash.iterdir()] if trash.is_dir() else []:
        delete_tree(left)


def delete_tree(path: Path) -> None:
    """Delete a folder; folders that an agent made read-only are made writable."""

    def mend(_: object, name: str, __: object) -> None:
        parent = Path(name).parent
        for folder in (parent, Path(name)):
            if folder.is_dir() and not folder.is_symlink():
                folder.chmod(0o700)

    shutil.rmtree(path, onerror=mend)
    shutil.rmtree(path, ignore_errors=True)
