"""What can go wrong with repositories and disks, said so that a person can act on it."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches

from core.domain.errors import OpsError

_SHOWN_BRANCHES = 5


class WorkspaceError(OpsError):
    """A workspace could not be prepared, read or kept."""

    code = "workspace_error"


class UnreachableRepository(WorkspaceError):
    """The repository is not there, not a repository, or not readable from this worker."""


class MissingBranch(WorkspaceError):
    """The repository has no branch of this name."""

    code = "not_found"

    def __init__(self, branch: str, shown: str, branches: Sequence[str]) -> None:
        near = get_close_matches(branch, branches, n=_SHOWN_BRANCHES, cutoff=0.5)
        listed = ", ".join(f"`{name}`" for name in near or branches[:_SHOWN_BRANCHES])
        hint = "The repository is empty; leave the branch out."
        if listed:
            hint = f"{'Did you mean' if near else 'It has'} {listed}{'?' if near else '.'}"
        super().__init__(
            f"no branch {branch[:80]!r} among {len(branches)} of {shown}",
            user_message=f"There is no branch `{branch[:80]}` in `{shown}`. {hint}",
        )
        self.branch = branch
        self.near = tuple(near)


_FULL = (
    "The disk of the worker is full. Free some space there (old workspaces first), then continue "
    "the run; one that had not begun is started again. What was written so far is kept."
)
_READ_ONLY = (
    "The worker may not write to its workspace directory. Give its user the right to, then start "
    "again."
)
# What git says, in lower case, and what it means for the person. The first match holds.
_LOCAL = (
    (("no space left on device", "disk quota exceeded", "out of disk space"), _FULL),
    (("read-only file system", "unable to create", "cannot mkdir"), _READ_ONLY),
)
_REMOTE = (
    (
        ("host key verification failed",),
        (
            "The worker does not know the host key of `{shown}`. Add it to the `known_hosts` "
            "of the worker's user, then start again."
        ),
    ),
    (
        (
            "authentication failed",
            "could not read username",
            "could not read password",
            "terminal prompts disabled",
            "permission denied (",
            "access denied",
            "returned error: 403",
            "returned error: 401",
            "invalid credentials",
        ),
        (
            "The worker may not read `{shown}`. Give its user access (an SSH key, or a git "
            "credential helper), then start again."
        ),
    ),
    (
        ("repository not found", "returned error: 404", "not found", "no such"),
        (
            "There is no repository `{shown}`, or the worker may not see it. Check the address, "
            "and that the worker has access."
        ),
    ),
    (
        ("does not appear to be a git repository", "not a git repository", "not valid: is this a"),
        (
            "`{shown}` is not a git repository. Name a repository, or leave `--repo` out to start "
            "with an empty one."
        ),
    ),
    (
        (
            "could not resolve host",
            "name or service not known",
            "connection refused",
            "connection timed out",
            "operation timed out",
            "network is unreachable",
            "no route to host",
            "failed to connect",
            "unable to connect",
            "connection closed",
            "connection reset",
        ),
        (
            "The worker cannot reach `{shown}`. Check the address and the worker's network, then "
            "start again."
        ),
    ),
)


class GitFailed(WorkspaceError):
    """A git command ended with an error.

    Attributes:
        said: Its standard error, without credentials.
        is_about_disk: Whether this machine's disk is the reason.
    """

    def __init__(self, what: str, status: int | None, said: str) -> None:
        ended = "timed out" if status is None else f"ended with {status}"
        meant = _meaning(said, _LOCAL)
        super().__init__(
            f"git {what} {ended}: {said.strip()[-500:]}",
            user_message=meant
            or f"git did not manage its part ({what}). Try again; if it fails again, the "
            "worker's log says why.",
        )
        self.what = what
        self.status = status
        self.said = said
        self.is_about_disk = meant is not None


def unreachable(error: GitFailed, shown: str) -> WorkspaceError:
    """The same failure, known to be about reading the repository `shown`."""
    if error.is_about_disk:
        return error
    if error.status is None:
        meant = (
            f"Reading `{shown}` took too long and was stopped. Check the address and the "
            "worker's network, then start again."
        )
    else:
        meant = (
            _meaning(error.said, _REMOTE)
            or "git could not read `{shown}`. Check the address, and that the worker has access."
        ).format(shown=shown)
    return UnreachableRepository(str(error), user_message=meant)


@contextmanager
def translating_os_errors() -> Iterator[None]:
    """Turn what the file system refuses into a `WorkspaceError`."""
    try:
        yield
    except OSError as error:
        meant = "The worker's workspace directory cannot be used. Its log says why."
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            meant = _FULL
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            meant = _READ_ONLY
        raise WorkspaceError(f"{type(error).__name__}: {error}", user_message=meant) from error


def _meaning(said: str, table: Sequence[tuple[Sequence[str], str]]) -> str | None:
    lowered = said.lower()
    return next((meant for signs, meant in table if any(s in lowered for s in signs)), None)
