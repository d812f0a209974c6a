"""Making the directory an agent works in."""

from __future__ import annotations

from pathlib import Path

from core.workspace.command import Git
from core.workspace.errors import GitFailed, MissingBranch
from core.workspace.mirror import DETACHED, HEADS, Advertised
from core.workspace.source import Source

FRESH_BRANCH = "main"
# The agent has no configuration of its own to commit with.
_NAME, _EMAIL = "Signalbox", "signalbox@localhost"


def make_fresh(git: Git, path: Path) -> None:
    """An empty repository on `main`, without a commit."""
    git.run(
        "init", "--quiet", "--template=", f"--initial-branch={FRESH_BRANCH}", str(path),
        cwd=path.parent,
    )  # fmt: skip
    _let_commit(git, path)


def make_clone(
    git: Git,
    path: Path,
    *,
    mirror: Path,
    source: Source,
    offered: Advertised,
    branch: str | None,
    run_branch: str,
) -> None:
    """A clone of the mirror on a branch of its own, with the real repository as `origin`.

    It shares nothing with the mirror but hard links to files that never change.

    Raises:
        MissingBranch: If `branch` is not among those offered.
    """
    demand_branch(branch, offered, source)
    make_unfilled(git, path, mirror=mirror, source=source)
    start = _start_of(branch, offered)
    if start is None:
        git.run("symbolic-ref", "HEAD", f"{HEADS}{run_branch}", cwd=path)
        return
    if start == DETACHED:
        git.run("fetch", "--quiet", "--no-write-fetch-head", "--", str(mirror),
                f"+{DETACHED}:{DETACHED}", cwd=path)  # fmt: skip
    try:
        _check_out(git, path, run_branch, start)
    except GitFailed as error:
        # A branch `signalbox` leaves no room for `signalbox/…`.
        if "cannot lock ref" not in error.said and "exists" not in error.said:
            raise
        _check_out(git, path, run_branch.replace("/", "-"), start)


def make_unfilled(git: Git, path: Path, *, mirror: Path, source: Source) -> None:
    """A clone of the mirror with nothing checked out, and the real repository as `origin`."""
    # A path is cloned by hard links also without `--local`, which would not let git copy where
    # workspaces are on another disk than mirrors.
    git.run(
        "clone", "--quiet", "--no-checkout", "--no-recurse-submodules", "--template=",
        "--origin=origin", "--", str(mirror), str(path),
        cwd=path.parent,
    )  # fmt: skip
    git.run("remote", "set-url", "origin", "--", source.url, cwd=path)
    _let_commit(git, path)


def demand_branch(branch: str | None, offered: Advertised, source: Source) -> None:
    """Raise `MissingBranch` unless `branch` is offered, or none is asked for."""
    if branch is not None and branch not in offered.branches:
        raise MissingBranch(branch, source.shown, sorted(offered.branches))


def _start_of(branch: str | None, offered: Advertised) -> str | None:
    wanted = branch or offered.head_branch
    if wanted is not None:
        return f"refs/remotes/origin/{wanted}"
    if offered.head is not None:
        return DETACHED
    # HEAD names a branch that is not there, but others are.
    some = next((name for name in ("main", "master") if name in offered.branches), None)
    some = some or min(offered.branches, default=None)
    return f"refs/remotes/origin/{some}" if some else None


def _check_out(git: Git, path: Path, branch: str, start: str) -> None:
    git.run("checkout", "--quiet", "--no-track", "-B", branch, start, "--", cwd=path)


def _let_commit(git: Git, path: Path) -> None:
    for key, fallback in (("user.name", _NAME), ("user.email", _EMAIL)):
        theirs = git.run("config", "--get", key, cwd=path, accept=(0, 1)).decode(errors="replace")
        git.run("config", "--local", key, theirs.strip() or fallback, cwd=path)
    # A key to sign with is the worker's, not the agent's.
    git.run("config", "--local", "commit.gpgSign", "false", cwd=path)
