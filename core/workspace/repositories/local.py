"""Repositories on the worker itself: where they really are, whatever links say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from core.domain.failure_cause import FailureCause
from core.domain.reach.repositories import RepositoryPolicy
from core.workspace.errors import UnreachableRepository

# Git follows alternates of alternates so far (`MAX_ALTERNATE_DEPTH` in git's object-file.c).
_MAX_ALTERNATES_DEPTH = 5
_MAX_POINTER_BYTES = 65_536


def real_repository(path: Path, policy: RepositoryPolicy, display_url: str) -> Path:
    """Return the real path of a repository, all of whose parts are in allowed folders.

    Git is given this path, so that a link that changes afterwards has no effect.

    Raises:
        RepositoryNotAllowed: If a symbolic link, or a pointer of git's to another folder
            (`.git` as a file, a common directory, alternates), leads out of the allowed folders.
        UnreachableRepository: If there is no such directory.
    """
    check = _Check(policy, display_url)
    real = check.inside(path)
    if not real.is_dir():
        raise UnreachableRepository(
            f"no directory {path}",
            user_message=f"The worker has no directory `{display_url}`. Check the path; it must "
            "be one on the machine of the worker.",
            cause=FailureCause.REPOSITORY_MISSING,
            subject=display_url,
        )
    # Git tries these in an order of its own, so all of them must be allowed.
    bare = real.with_name(f"{real.name}.git")
    for git_dir in (real / ".git", real, bare / ".git", bare):
        if git_dir.exists() or git_dir.is_symlink():
            check.git_dir(git_dir)
    return real


class _Check:
    """Checks the places that one repository leads to."""

    def __init__(self, policy: RepositoryPolicy, display_url: str) -> None:
        self.folders = [Path(folder).resolve() for folder in policy.local]
        self.policy = policy
        self.display_url = display_url

    def inside(self, path: Path) -> Path:
        """Return the real path, if it is in an allowed folder."""
        try:
            real = path.resolve()
        except (OSError, RuntimeError) as error:
            raise self._leads_out(path) from error
        if not any(real.is_relative_to(folder) for folder in self.folders):
            raise self._leads_out(real)
        return real

    def git_dir(self, path: Path) -> None:
        """Check a git directory, or the file that stands for one."""
        real = self.inside(path)
        if real.is_file():
            pointer = _read_pointer(real).removeprefix("gitdir:").strip()
            real = self.inside(path.parent / pointer)
        if (real / "commondir").is_file():
            real = self.inside(real / _read_pointer(real / "commondir").strip())
        if not all(os.path.lexists(real / name) for name in ("HEAD", "objects", "refs")):
            return  # Git does not take this for a git directory either.
        for name in ("HEAD", "packed-refs", "refs"):
            self.inside(real / name)
        self._objects(real / "objects", depth=0)

    def _objects(self, path: Path, *, depth: int) -> None:
        real = self.inside(path)
        for name in ("pack", "info", "info/alternates"):
            self.inside(real / name)
        if depth <= _MAX_ALTERNATES_DEPTH:
            for alternate in _alternates(real):
                self._objects(real / alternate, depth=depth + 1)

    def _leads_out(self, place: Path) -> Exception:
        return self.policy.refusal(
            self.display_url,
            "it leads out of the allowed folders",
            detail=f"it leads to {place}",
        )


def _alternates(objects: Path) -> Iterator[str]:
    if (objects / "info" / "alternates").is_file():
        for line in _read_pointer(objects / "info" / "alternates").splitlines():
            if line and not line.startswith("#"):
                # Git reads a name in quotation marks as a string of C.
                yield line.strip('"')


def _read_pointer(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MAX_POINTER_BYTES).decode(errors="surrogateescape")
