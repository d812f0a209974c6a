"""A bare mirror of each repository, which is fetched once and cloned for every workspace."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from core.domain.reach.repositories import RepositoryPolicy
from core.workspace.command import Git
from core.workspace.errors import GitFailed, to_unreachable
from core.workspace.locks import file_lock
from core.workspace.repositories.contact import Contact
from core.workspace.repositories.redirects import list_refs
from core.workspace.source import Source

# The folder of all mirrors in a home.
MIRRORS_FOLDER = "mirrors"
HEADS = "refs/heads/"
# The mirror's reference for a remote HEAD that is on no branch.
DETACHED_REF = "refs/signalbox/detached"
_SHA256_DIGITS = 64
_DAMAGE_SIGNS = (
    "corrupt",
    "is empty",
    "bad object",
    "missing blob",
    "missing tree",
    "bad signature",
)


@dataclass(frozen=True, kw_only=True)
class Advertised:
    """The references that a remote repository advertises.

    Attributes:
        branches: Branch name to commit.
        head: The commit to which HEAD points; `None` in an empty repository.
        head_branch: The branch of HEAD; `None` if HEAD is detached or its branch does not exist.
        contact: The checked way to the repository, for fetching from it.
    """

    branches: Mapping[str, str]
    head: str | None
    head_branch: str | None
    contact: Contact


def list_remote_refs(
    git: Git, source: Source, policy: RepositoryPolicy, *, cwd: Path
) -> Advertised:
    """Ask a repository for its branches, without fetching objects.

    Raises:
        RepositoryNotAllowed: If it may not be cloned.
        UnreachableRepository: If it does not answer, or is not a repository.
    """
    contact, listed = list_refs(git, source, policy, "HEAD", f"{HEADS}*", cwd=cwd)
    branches: dict[str, str] = {}
    head = head_branch = None
    for line in listed.decode(errors="surrogateescape").splitlines():
        value, _, name = line.partition("\t")
        if name == "HEAD" and value.startswith("ref: "):
            head_branch = value.removeprefix("ref: ").removeprefix(HEADS)
        elif name == "HEAD":
            head = value
        elif name.startswith(HEADS):
            branches[name.removeprefix(HEADS)] = value
    if head_branch not in branches:
        head_branch = None
    return Advertised(branches=branches, head=head, head_branch=head_branch, contact=contact)


@contextmanager
def current_mirror(
    git: Git, source: Source, advertised: Advertised, *, root: Path, lock_timeout: timedelta
) -> Iterator[Path]:
    """Provide a mirror that is at least as new as this call, and unchanged during the block.

    Concurrent callers share a fetch: a caller that waited for another's fetch, which started after
    the caller's request, does not fetch again.

    Args:
        git: Runs the commands.
        source: The repository.
        advertised: What the repository offers, as just read.
        root: The directory of all mirrors.
        lock_timeout: How long to wait for fetches of other callers.

    Raises:
        UnreachableRepository: If the repository cannot be fetched.
        WorkspaceError: If others use the mirror for longer than `lock_timeout`, or the disk fails.
    """
    requested_at = time.time()
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    mirror = root / mirror_name(source)
    lock = lock_of(mirror)
    git.awaited_folder = mirror
    with file_lock(lock, timeout=lock_timeout, is_cancelled=lambda: git.is_stopped):
        git.awaited_folder = None
        if fetched_at(mirror) < requested_at or not _has_all_tips(mirror, git, advertised):
            _refresh(git, source.display_url, advertised, mirror)
    git.awaited_folder = mirror
    # A shared lock: others may clone meanwhile, but nobody may fetch or repack.
    with file_lock(lock, timeout=lock_timeout, is_cancelled=lambda: git.is_stopped, is_shared=True):
        git.awaited_folder = None
        yield mirror


def _refresh(git: Git, display_url: str, advertised: Advertised, mirror: Path) -> None:
    try:
        _fetch(git, advertised, mirror)
    except GitFailed as error:
        is_damaged = any(sign in error.stderr.lower() for sign in _DAMAGE_SIGNS)
        if not is_damaged or not mirror.exists():
            raise to_unreachable(error, display_url) from error
        # A mirror is only a copy, so a damaged one is replaced.
        shutil.rmtree(mirror)
        try:
            _fetch(git, advertised, mirror)
        except GitFailed as second_error:
            raise to_unreachable(second_error, display_url) from second_error


def _fetch(git: Git, advertised: Advertised, mirror: Path) -> None:
    began_at = time.time()
    if not (mirror / "HEAD").is_file():
        _create(git, advertised, mirror)
    # This caller holds the exclusive lock, so these are the lock files of a killed fetch.
    for stale in (*mirror.glob("*.lock"), *(mirror / "refs").rglob("*.lock")):
        stale.unlink(missing_ok=True)
    refspecs = [f"+{HEADS}*:{HEADS}*", "+refs/tags/*:refs/tags/*"]
    if advertised.head is not None and advertised.head_branch is None:
        refspecs.append(f"+HEAD:{DETACHED_REF}")
    if advertised.head is not None or advertised.branches:
        contact = advertised.contact
        contact.run(
            git, "fetch", "--quiet", "--prune", "--force", "--no-tags", "--no-write-fetch-head",
            "--update-shallow", "--", contact.url, *refspecs, cwd=mirror,
        )  # fmt: skip
    if advertised.head_branch is not None:
        git.run("symbolic-ref", "HEAD", f"{HEADS}{advertised.head_branch}", cwd=mirror)
    (mirror / "fetched-at").write_text(repr(began_at))


def _create(git: Git, advertised: Advertised, mirror: Path) -> None:
    fresh = mirror.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(mirror, ignore_errors=True)
    any_commit = advertised.head or next(iter(advertised.branches.values()), "")
    kind = "sha256" if len(any_commit) == _SHA256_DIGITS else "sha1"
    git.run(
        "init", "--quiet", "--bare", "--template=", f"--object-format={kind}", str(fresh),
        cwd=mirror.parent,
    )  # fmt: skip
    fresh.rename(mirror)


def fetched_at(mirror: Path) -> float:
    """When the newest fetch began, in seconds since 1970; 0 if none has ended."""
    try:
        return float((mirror / "fetched-at").read_text())
    except (FileNotFoundError, ValueError):
        return 0.0


def _has_all_tips(mirror: Path, git: Git, advertised: Advertised) -> bool:
    """Return whether the mirror has every advertised commit.

    Another caller's fetch may have been for an earlier state.  A detached HEAD is fetched always.
    """
    tips = sorted({*advertised.branches.values(), *([advertised.head] if advertised.head else [])})
    if advertised.head is not None and advertised.head_branch is None:
        return False
    answers = git.run(
        "cat-file", "--batch-check=%(objecttype)", cwd=mirror, stdin="\n".join(tips).encode()
    )
    return b"missing" not in answers


def lock_of(mirror: Path) -> Path:
    """The lock file of a mirror: exclusive to change it, shared to read it."""
    return mirror.with_suffix(".lock")


def mirror_name(source: Source) -> str:
    """Return a directory name that a person recognises; a hash makes it unique."""
    display_url = source.display_url
    digest = hashlib.sha256(display_url.encode(errors="surrogateescape")).hexdigest()[:16]
    last = re.sub(
        r"[^A-Za-z0-9_-]+", "-", display_url.rstrip("/").removesuffix(".git").split("/")[-1]
    )
    return f"{last[-40:].strip('-') or 'repository'}-{digest}.git"
