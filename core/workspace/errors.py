"""Errors about repositories and disks, with advice on which a person can act."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from urllib.parse import urlsplit

from core.domain.errors import OpsError
from core.domain.failure_cause import FailureCause

_MAX_LISTED_BRANCHES = 5


class WorkspaceError(OpsError):
    """A workspace could not be prepared, read or saved."""

    code = "workspace_error"

    def __init__(
        self,
        message: str,
        *,
        user_message: str,
        cause: FailureCause | None = None,
        subject: str | None = None,
    ) -> None:
        super().__init__(message, user_message=user_message)
        self.cause = cause
        self.subject = subject


class DamagedRepository(WorkspaceError):
    """The repository of a workspace is gone, damaged, or leads out of the workspace."""

    code = "damaged_repository"

    def __init__(self, workspace_id: str, detail: str) -> None:
        super().__init__(
            f"workspace {workspace_id} has no usable repository: {detail}",
            user_message=f"Workspace `{workspace_id}` is no longer a git repository: its `.git` is "
            "gone or damaged. The files are still on the worker.",
        )
        self.workspace_id = workspace_id


class WorkspaceBusy(WorkspaceError):
    """A run works in the workspace, or it is being removed."""

    code = "workspace_busy"

    def __init__(self, workspace_id: str) -> None:
        super().__init__(
            f"workspace {workspace_id} is in use",
            user_message=f"Workspace `{workspace_id}` is in use. Try again in a few minutes.",
        )
        self.workspace_id = workspace_id


class NoDiskRoom(WorkspaceError):
    """The disk of the worker, or the quota of its home, has no room for a run."""

    code = "no_disk_room"

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"no room on the disk: {detail}",
            user_message=f"The worker has no room for this run: {detail}. Free some space there, "
            "then start or continue the run again.",
            cause=FailureCause.DISK_FULL,
        )


class UnreachableRepository(WorkspaceError):
    """The repository does not exist, is not a git repository, or cannot be read from here."""

    code = "unreachable_repository"


class MissingBranch(WorkspaceError):
    """The repository has no branch of this name."""

    code = "missing_branch"

    def __init__(self, branch: str, display_url: str, branches: Sequence[str]) -> None:
        suggestions = get_close_matches(branch, branches, n=_MAX_LISTED_BRANCHES, cutoff=0.5)
        listed = ", ".join(f"`{name}`" for name in suggestions or branches[:_MAX_LISTED_BRANCHES])
        hint = "The repository is empty; leave the branch out."
        if listed:
            hint = f"Did you mean {listed}?" if suggestions else f"It has {listed}."
        super().__init__(
            f"no branch {branch[:80]!r} among {len(branches)} of {display_url}",
            user_message=f"There is no branch `{branch[:80]}` in `{display_url}`. {hint}",
            cause=FailureCause.BRANCH_MISSING,
            subject=branch,
        )
        self.branch = branch
        self.display_url = display_url
        self.suggestions = tuple(suggestions)


_DISK_FULL = (
    "The disk of the worker is full. Free some space there (old workspaces first), then continue "
    "the run; one that had not begun is started again. What was written so far is kept."
)
_NOT_WRITABLE = (
    "The worker may not write to its workspace directory. Give its user the right to, then start "
    "again."
)
# Parts of git's error output in lower case, their cause, and the advice for them.  The first match
# counts.
_LOCAL_ERRORS = (
    (
        ("no space left on device", "disk quota exceeded", "out of disk space"),
        FailureCause.DISK_FULL,
        _DISK_FULL,
    ),
    (
        ("read-only file system", "unable to create", "cannot mkdir"),
        FailureCause.NOT_WRITABLE,
        _NOT_WRITABLE,
    ),
)
_REMOTE_ERRORS = (
    (
        ("host key verification failed",),
        FailureCause.UNKNOWN_HOST_KEY,
        (
            "The worker does not know the host key of `{display_url}`. Add it to the `known_hosts` "
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
        FailureCause.REPOSITORY_DENIED,
        (
            "The worker may not read `{display_url}`. Give its user access (an SSH key, or a git "
            "credential helper), then start again."
        ),
    ),
    (
        ("repository not found", "returned error: 404", "not found", "no such"),
        FailureCause.REPOSITORY_MISSING,
        (
            "There is no repository `{display_url}`, or the worker may not see it. Check the "
            "address, "
            "and that the worker has access."
        ),
    ),
    (
        ("does not appear to be a git repository", "not a git repository", "not valid: is this a"),
        FailureCause.NOT_A_REPOSITORY,
        (
            "`{display_url}` is not a git repository. Name a repository, or none to start with an "
            "empty one."
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
        FailureCause.REPOSITORY_UNREACHABLE,
        (
            "Cannot reach `{display_url}`. Check the address and the worker's network, then start "
            "again."
        ),
    ),
)


class GitFailed(WorkspaceError):
    """A git command ended with an error.

    Attributes:
        subcommand: What was run (`fetch`).
        status: The exit code; `None` if it took too long or did not start.
        stderr: Its error output, without credentials.
        is_disk_error: Whether this machine's disk is the reason.
    """

    code = "git_failed"

    def __init__(self, subcommand: str, status: int | None, stderr: str) -> None:
        ended = "timed out" if status is None else f"ended with {status}"
        cause, advice = _find_advice(stderr, _LOCAL_ERRORS)
        super().__init__(
            f"git {subcommand} {ended}: {stderr.strip()[-500:]}",
            user_message=advice
            or f"git did not manage its part ({subcommand}). Try again; if it fails again, the "
            "worker's log says why.",
            cause=cause,
        )
        self.subcommand = subcommand
        self.status = status
        self.stderr = stderr
        self.is_disk_error = advice is not None


def to_unreachable(error: GitFailed, display_url: str) -> WorkspaceError:
    """Turn the failure of a command that read a repository into advice about the repository.

    An error of this machine's disk is returned unchanged.
    """
    if error.is_disk_error:
        return error
    cause: FailureCause | None = FailureCause.REPOSITORY_UNREACHABLE
    if error.status is None:
        advice = (
            f"Reading `{display_url}` took too long and was stopped. Check the address and the "
            "worker's network, then start again."
        )
    else:
        cause, known = _find_advice(error.stderr, _REMOTE_ERRORS)
        advice = (
            known
            or "git could not read `{display_url}`. Check the address, and that the worker may "
            "read it."
        ).format(display_url=display_url)
    cause = cause or FailureCause.REPOSITORY_UNREACHABLE
    is_host = cause in (FailureCause.REPOSITORY_UNREACHABLE, FailureCause.UNKNOWN_HOST_KEY)
    return UnreachableRepository(
        str(error),
        user_message=advice,
        cause=cause,
        subject=host_of(display_url) if is_host else display_url,
    )


def host_of(display_url: str) -> str:
    """The host of a repository's address; the address itself if it names none."""
    host = urlsplit(display_url).hostname
    if host is None and ":" in display_url and "@" in display_url:
        host = display_url.partition("@")[2].partition(":")[0]
    return host or display_url


@contextmanager
def translate_os_errors() -> Iterator[None]:
    """Turn an `OSError` of the block into a `WorkspaceError`."""
    try:
        yield
    except OSError as error:
        advice, cause = "The worker's workspace directory cannot be used. Its log says why.", None
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice, cause = _DISK_FULL, FailureCause.DISK_FULL
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            advice, cause = _NOT_WRITABLE, FailureCause.NOT_WRITABLE
        raise WorkspaceError(
            f"{type(error).__name__}: {error}", user_message=advice, cause=cause
        ) from error


def _find_advice(
    stderr: str, table: Sequence[tuple[Sequence[str], FailureCause, str]]
) -> tuple[FailureCause, str] | tuple[None, None]:
    lowered = stderr.lower()
    return next(
        ((cause, advice) for signs, cause, advice in table if any(s in lowered for s in signs)),
        (None, None),
    )
