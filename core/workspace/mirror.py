"""A bare mirror per repository: fetched once, cloned from by every workspace."""

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

from core.workspace.command import Git
from core.workspace.errors import GitFailed, UnreachableRepository, unreachable
from core.workspace.locks import locked
from core.workspace.source import Source

HEADS = "refs/heads/"
# Where the mirror keeps a HEAD that is on no branch.
DETACHED = "refs/signalbox/detached"
_SHA256_DIGITS = 64
_BROKEN = ("corrupt", "is empty", "bad object", "missing blob", "missing tree", "bad signature")


@dataclass(frozen=True, kw_only=True)
class Advertised:
    """What a repository offers, without fetching anything.

    Attributes:
        branches: Name to commit.
        head: The commit its HEAD points to; `None` in an empty repository.
        head_branch: The branch HEAD is on; `None` if it is detached or unborn.
    """

    branches: Mapping[str, str]
    head: str | None
    head_branch: str | None


def look(git: Git, source: Source, *, cwd: Path) -> Advertised:
    """Ask a repository for its branches.

    Raises:
        UnreachableRepository: If it does not answer, or is none.
    """
    if source.path is not None:
        _demand_directory(source.path, source.shown)
    try:
        listed = git.run(
            "ls-remote", "--symref", "--", source.url, "HEAD", f"{HEADS}*",
            cwd=cwd, settings=source.settings, secrets=source.secrets,
        )  # fmt: skip
    except GitFailed as error:
        raise unreachable(error, source.shown) from error
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
    return Advertised(branches=branches, head=head, head_branch=head_branch)


@contextmanager
def mirrored(
    git: Git, source: Source, offered: Advertised, *, root: Path, patience: timedelta
) -> Iterator[Path]:
    """A mirror at least as new as this call, safe from changes while the block runs.

    Runs on one repository share a fetch: who waited for another's fetch that began after it
    asked does not fetch again.

    Args:
        git: Runs the commands.
        source: The repository.
        offered: What it was just seen to offer.
        root: Directory of all mirrors.
        patience: How long to wait for others' fetches.
    """
    asked_at = time.time()
    root.mkdir(parents=True, exist_ok=True)
    mirror = root / _name_of(source.shown)
    lock = mirror.with_suffix(".lock")
    with locked(lock, timeout=patience, is_given_up=lambda: git.is_stopped):
        if _fetched_at(mirror) < asked_at or not _holds(mirror, git, offered):
            _refresh(git, source, offered, mirror)
    # Others may clone at the same time; a fetch or a clean-up of packs may not happen.
    with locked(lock, timeout=patience, is_given_up=lambda: git.is_stopped, is_shared=True):
        yield mirror


def _refresh(git: Git, source: Source, offered: Advertised, mirror: Path) -> None:
    try:
        _fetch(git, source, offered, mirror)
    except GitFailed as error:
        is_broken = any(sign in error.said.lower() for sign in _BROKEN)
        if not is_broken or not mirror.exists():
            raise unreachable(error, source.shown) from error
        # A mirror is a copy: when it is damaged, another is made.
        shutil.rmtree(mirror)
        try:
            _fetch(git, source, offered, mirror)
        except GitFailed as again:
            raise unreachable(again, source.shown) from again


def _fetch(git: Git, source: Source, offered: Advertised, mirror: Path) -> None:
    began_at = time.time()
    if not (mirror / "HEAD").is_file():
        _create(git, offered, mirror)
    # Nobody else is here: what a killed fetch left locked is free.
    for stale in (*mirror.glob("*.lock"), *(mirror / "refs").rglob("*.lock")):
        stale.unlink(missing_ok=True)
    wanted = [f"+{HEADS}*:{HEADS}*", "+refs/tags/*:refs/tags/*"]
    if offered.head is not None and offered.head_branch is None:
        wanted.append(f"+HEAD:{DETACHED}")
    if offered.head is not None or offered.branches:
        git.run(
            "fetch", "--quiet", "--prune", "--force", "--no-tags", "--no-write-fetch-head",
            "--update-shallow", "--", source.url, *wanted,
            cwd=mirror, settings=source.settings, secrets=source.secrets,
        )  # fmt: skip
    if offered.head_branch is not None:
        git.run("symbolic-ref", "HEAD", f"{HEADS}{offered.head_branch}", cwd=mirror)
    (mirror / "fetched-at").write_text(repr(began_at))


def _create(git: Git, offered: Advertised, mirror: Path) -> None:
    fresh = mirror.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(mirror, ignore_errors=True)
    some = offered.head or next(iter(offered.branches.values()), "")
    kind = "sha256" if len(some) == _SHA256_DIGITS else "sha1"
    git.run(
        "init", "--quiet", "--bare", "--template=", f"--object-format={kind}", str(fresh),
        cwd=mirror.parent,
    )  # fmt: skip
    fresh.rename(mirror)


def _fetched_at(mirror: Path) -> float:
    try:
        return float((mirror / "fetched-at").read_text())
    except (FileNotFoundError, ValueError):
        return 0.0


def _holds(mirror: Path, git: Git, offered: Advertised) -> bool:
    """Whether every advertised tip is there; another's fetch may have wanted fewer."""
    tips = sorted({*offered.branches.values(), *([offered.head] if offered.head else [])})
    if offered.head is not None and offered.head_branch is None:
        return False
    answers = git.run(
        "cat-file", "--batch-check=%(objecttype)", cwd=mirror, given="\n".join(tips).encode()
    )
    return b"missing" not in answers


def _demand_directory(path: Path, shown: str) -> None:
    if not path.is_dir():
        raise UnreachableRepository(
            f"no directory {path}",
            user_message=f"The worker has no directory `{shown}`. Check the path; it must be one "
            "on the machine of the worker.",
        )


def _name_of(shown: str) -> str:
    """A directory name a person can recognise, unique by the hash."""
    digest = hashlib.sha256(shown.encode(errors="surrogateescape")).hexdigest()[:16]
    last = re.sub(r"[^A-Za-z0-9_-]+", "-", shown.rstrip("/").removesuffix(".git").split("/")[-1])
    return f"{last[-40:].strip('-') or 'repository'}-{digest}.git"
