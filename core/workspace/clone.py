"""Making the directory an agent works in."""

from __future__ import annotations

from pathlib import Path

from core.workspace.command import Git
from core.workspace.errors import GitFailed, MissingBranch
from core.workspace.mirror import DETACHED_REF, HEADS, Advertised
from core.workspace.source import Source

INITIAL_BRANCH = "main"
# The agent has no configuration of its own to commit with.
_NAME, _EMAIL = "Signalbox", "signalbox@localhost"


def init_empty(git: Git, path: Path) -> None:
    """An empty repository on `main`, without a commit."""
    git.run(
        "init", "--quiet", "--template=", f"--initial-branch={INITIAL_BRANCH}", str(path),
        cwd=path.parent,
    )  # fmt: skip
    _configure_commits(git, path)


def make_clone(
    git: Git,
    path: Path,
    *,
    mirror: Path,
    source: Source,
    advertised: Advertised,
    branch: str | None,
    run_branch: str,
) -> None:
    """A clone of the mirror on a branch of its own, with the real repository as `origin`.

    It shares nothing with the mirror but hard links to files that never change.

    Raises:
        MissingBranch: If `branch` is not among those offered.
    """
    require_branch(branch, advertised, source)
    clone_without_checkout(git, path, mirror=mirror, source=source)
    start = _start_point(branch, advertised)
    if start is None:
        git.run("symbolic-ref", "HEAD", f"{HEADS}{run_branch}", cwd=path)
        return
    if start == DETACHED_REF:
        git.run("fetch", "--quiet", "--no-write-fetch-head", "--", str(mirror),
                f"+{DETACHED_REF}:{DETACHED_REF}", cwd=path)  # fmt: skip
    try:
        _check_out(git, path, run_branch, start)
    except GitFailed as error:
        # A branch `signalbox` leaves no room for `signalbox/…`.
        if "cannot lock ref" not in error.stderr and "exists" not in error.stderr:
            raise
        _check_out(git, path, run_branch.replace("/", "-"), start)


def clone_without_checkout(git: Git, path: Path, *, mirror: Path, source: Source) -> None:
    """A clone of the mirror with nothing checked out, and the real repository as `origin`."""
    # A path is cloned by hard links also without `--local`, which would not let git copy where
    # workspaces are on another disk than mirrors.
    git.run(
        "clone", "--quiet", "--no-checkout", "--no-recurse-submodules", "--template=",
        "--origin=origin", "--", str(mirror), str(path),
        cwd=path.parent,
    )  # fmt: skip
    git.run("remote", "set-url", "origin", "--", source.url, cwd=path)
    _configure_commits(git, path)


def require_branch(branch: str | None, advertised: Advertised, source: Source) -> None:
    """Raise `MissingBranch` unless `branch` is offered, or none is asked for."""
    if branch is not None and branch not in advertised.branches:
        raise MissingBranch(branch, source.display_url, sorted(advertised.branches))


def _start_point(branch: str | None, advertised: Advertised) -> str | None:
    wanted = branch or advertised.head_branch
    if wanted is not None:
        return f"refs/remotes/origin/{wanted}"
    if advertised.head is not None:
        return DETACHED_REF
    # HEAD names a branch that is not there, but others are.
    fallback = next((name for name in ("main", "master") if name in advertised.branches), None)
    fallback = fallback or min(advertised.branches, default=None)
    return f"refs/remotes/origin/{fallback}" if fallback else None


def _check_out(git: Git, path: Path, branch: str, start: str) -> None:
    git.run("checkout", "--quiet", "--no-track", "-B", branch, start, "--", cwd=path)


def _configure_commits(git: Git, path: Path) -> None:
    for key, fallback in (("user.name", _NAME), ("user.email", _EMAIL)):
        configured = git.run("config", "--get", key, cwd=path, accept=(0, 1)).decode(
            errors="replace"
        )
        git.run("config", "--local", key, configured.strip() or fallback, cwd=path)
    # A key to sign with is the worker's, not the agent's.
    git.run("config", "--local", "commit.gpgSign", "false", cwd=path)
