"""Creation of the repository in which an agent works: empty, or a clone of a mirror."""

from __future__ import annotations

from pathlib import Path

from core.workspace.command import Git
from core.workspace.errors import GitFailed, MissingBranch
from core.workspace.mirror import DETACHED_REF, HEADS, Advertised
from core.workspace.settings import quoted
from core.workspace.source import Source

INITIAL_BRANCH = "main"
# The identity for commits if the worker's git configuration names none.
_NAME, _EMAIL = "Signalbox", "signalbox@localhost"


def init_empty(git: Git, path: Path) -> None:
    """Create an empty repository on `main`, without a commit."""
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
    """Clone the mirror on a new branch, with the real repository as `origin`.

    The clone is a full copy: with hard links an agent could change the mirror's objects, which
    every other clone of it would get.

    Args:
        git: Runs the commands.
        path: Where to create the clone.
        mirror: The mirror of `source`.
        source: The repository.
        advertised: What the repository offers.
        branch: The branch to start from; `None` is the repository's HEAD.
        run_branch: The new branch.  If it cannot be created beside an existing branch
            (`signalbox` leaves no room for `signalbox/…`), its slashes become hyphens.

    Raises:
        MissingBranch: If the repository does not offer `branch`.
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
        # Git cannot have both a branch `signalbox` and a branch `signalbox/…`.
        if "cannot lock ref" not in error.stderr and "exists" not in error.stderr:
            raise
        _check_out(git, path, run_branch.replace("/", "-"), start)


def clone_without_checkout(git: Git, path: Path, *, mirror: Path, source: Source) -> None:
    """Clone the mirror without a work tree, with the real repository as `origin`."""
    git.run(
        "clone", "--quiet", "--no-hardlinks", "--no-checkout", "--no-recurse-submodules",
        "--template=",
        "--origin=origin", "--", str(mirror), str(path),
        cwd=path.parent,
    )  # fmt: skip
    git.run("remote", "set-url", "origin", "--", source.url, cwd=path)
    _configure_commits(git, path)


def require_branch(branch: str | None, advertised: Advertised, source: Source) -> None:
    """Check that the repository offers `branch`; `None` is always fine.

    Raises:
        MissingBranch: If it does not.
    """
    if branch is not None and branch not in advertised.branches:
        raise MissingBranch(branch, source.display_url, sorted(advertised.branches))


def _start_point(branch: str | None, advertised: Advertised) -> str | None:
    start_branch = branch or advertised.head_branch
    if start_branch is not None:
        return f"refs/remotes/origin/{start_branch}"
    if advertised.head is not None:
        return DETACHED_REF
    # HEAD names a branch that does not exist, but there are others.
    fallback = next((name for name in ("main", "master") if name in advertised.branches), None)
    fallback = fallback or min(advertised.branches, default=None)
    return f"refs/remotes/origin/{fallback}" if fallback else None


def _check_out(git: Git, path: Path, branch: str, start: str) -> None:
    git.run("checkout", "--quiet", "--no-track", "-B", branch, start, "--", cwd=path)


def _configure_commits(git: Git, path: Path) -> None:
    """Let commits in a new repository have the worker's identity, and no signature."""
    listed = git.run("config", "-z", "--get-regexp", r"^user\.(name|email)$",
                     cwd=path, accept=(0, 1)).decode(errors="replace")  # fmt: skip
    # The last value of a name counts.
    configured = dict(entry.split("\n", 1) for entry in listed.split("\0") if "\n" in entry)
    name = configured.get("user.name", "").strip() or _NAME
    email = configured.get("user.email", "").strip() or _EMAIL
    with (path / ".git" / "config").open("a") as config:
        config.write(f"[user]\n\tname = {quoted(name)}\n\temail = {quoted(email)}\n")
        # Signing would use a key of the worker, which the agent must not use.
        config.write("[commit]\n\tgpgSign = false\n")
