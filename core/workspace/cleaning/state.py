"""What a workspace's repository has that no bundle carries.  Everything here blocks."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.domain.workspaces.stay import Stay, StayReason
from core.workspace.cleaning.files import Listing, UnsafeFiles, list_files
from core.workspace.command import Git
from core.workspace.errors import WorkspaceError
from core.workspace.work.references import HEADS, worktree_names
from core.workspace.work.worktree import (
    WorkTree,
    branch_of,
    head_of,
    open_worktree,
    require_usable,
    workspace_env,
)

PRIVATE = "refs/signalbox/"
TAGS = "refs/tags/"
# Made while a workspace is examined, and carried as its files.
EXAMINED = "clean-up"
_REMOTES = "refs/remotes/"
_STASH = "refs/stash"
# Beside these, git's own state of an operation in progress is in these files and folders.
_OPERATIONS = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "BISECT_LOG": "bisect",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "sequencer": "cherry-pick",
}
_MAX_REFERENCES = 5_000
# The most private references that one bundle carries.
_MAX_PRIVATE = 2_000


class Stays(Exception):
    """The workspace stays.

    Attributes:
        stay: Why.
    """

    def __init__(self, stay: Stay) -> None:
        super().__init__(f"{stay.reason}: {', '.join(stay.names)}")
        self.stay = stay


@dataclass(frozen=True, kw_only=True)
class Survey:
    """A workspace in which nothing was found that certainly keeps it.

    Attributes:
        head: The commit checked out; `None` if there is none yet.
        branches: Full name to commit.
        private: The references of Signalbox's own, full name to commit.
        tags: Full name to object.
        staged: The index: path to mode and object.
        listing: Its files.
            object_format: How its repository hashes.
    """

    head: str | None
    branch: str | None
    branches: Mapping[str, str]
    private: Mapping[str, str]
    tags: Mapping[str, str]
    staged: Mapping[bytes, tuple[str, str]]
    listing: Listing
    object_format: str


def survey(git: Git, path: Path, *, cache_names: frozenset[str]) -> Survey:
    """Look for what no bundle carries.

    Raises:
        Stays: If there is some of it, or if it cannot be looked for.
    """
    try:
        require_usable(git, path)
        return _survey(git, path, cache_names)
    except UnsafeFiles as error:
        raise Stays(error.stay) from error
    except WorkspaceError as error:
        if git.is_stopped:
            raise
        raise Stays(Stay.of(StayReason.UNREADABLE, [str(error)])) from error


def _survey(git: Git, path: Path, cache_names: frozenset[str]) -> Survey:
    git_dir = path / ".git"
    running = [what for name, what in _OPERATIONS.items() if os.path.lexists(git_dir / name)]
    if running:
        raise Stays(Stay.of(StayReason.OPERATION, sorted(set(running))))
    if names := worktree_names(path):
        raise Stays(Stay.of(StayReason.WORKTREES, names))
    if os.path.lexists(git_dir / "modules"):
        raise Stays(Stay.of(StayReason.NESTED, _names_in(git_dir / "modules")))
    references = _references(git, path)
    head = head_of(git, path)
    with open_worktree(git, path, known_id=head) as tree:
        if (git_dir / "index").exists() and not Path(tree.env["GIT_INDEX_FILE"]).exists():
            raise Stays(Stay.of(StayReason.STAGED, ["the index cannot be read"]))
        staged = _staged(tree)
        # A repository can contain a folder with the name of a cache.
        tracked = {os.fsdecode(part) for name in staged for part in name.split(b"/")[:-1]}
        listing = list_files(
            path, cache_names=cache_names - tracked, is_stopped=lambda: git.is_stopped
        )
        if listing.nested:
            raise Stays(about(StayReason.NESTED, listing.nested))
        if listing.special:
            raise Stays(about(StayReason.SPECIAL_FILES, listing.special))
        loose = set(listing.caches) - ignored_of(tree, listing.caches)
        if loose:
            raise Stays(about(StayReason.UNCOMMITTED, loose))
        return Survey(
            head=head,
            branch=branch_of(git, path),
            branches=_below(references, HEADS),
            private=_below(references, PRIVATE),
            tags=_below(references, TAGS),
            staged=staged,
            listing=listing,
            object_format=tree.object_format,
        )


def _references(git: Git, path: Path) -> dict[str, str]:
    """All references but those of remotes.

    Raises:
        Stays: If one of them is of a kind that is not carried.
    """
    form = "--format=%(objectname) %(objecttype) %(refname)"
    count = f"--count={_MAX_REFERENCES + 1}"
    listed = git.run("for-each-ref", form, count, cwd=path, env=workspace_env(path))
    found: dict[str, str] = {}
    others: list[str] = []
    for line in listed.splitlines():
        object_id, kind, name = line.decode(errors="replace").split(" ", 2)
        if name.startswith(_REMOTES) or name == f"{PRIVATE}{EXAMINED}":
            continue
        is_plain = "�" not in name and kind == "commit"
        if name == _STASH:
            raise Stays(Stay.of(StayReason.STASHED, [_stash_count(path)]))
        if name.startswith(TAGS) or (is_plain and name.startswith((HEADS, PRIVATE))):
            found[name] = object_id
        else:
            others.append(name)
    if others:
        raise Stays(Stay.of(StayReason.REFERENCES, others))
    private = _below(found, PRIVATE)
    if len(found) > _MAX_REFERENCES or len(private) > _MAX_PRIVATE:
        raise Stays(Stay.of(StayReason.REFERENCES, sorted(private or found)))
    return found


def _stash_count(path: Path) -> str:
    try:
        lines = (path / ".git" / "logs" / _STASH).read_bytes().count(b"\n")
    except OSError:
        lines = 1
    return f"{max(lines, 1)} stash{'es' if lines > 1 else ''}"


def _staged(tree: WorkTree) -> dict[bytes, tuple[str, str]]:
    found: dict[bytes, tuple[str, str]] = {}
    for entry in tree.run("ls-files", "-z", "--stage").split(b"\0"):
        values, _, name = entry.partition(b"\t")
        if not name:
            continue
        mode, object_id, stage = values.decode().split(" ")
        if stage != "0":
            raise Stays(about(StayReason.OPERATION, [name]))
        found[name] = mode, object_id
    return found


def ignored_of(tree: WorkTree, paths: Collection[bytes]) -> set[bytes]:
    """The paths that git ignores, whether or not they are in the index."""
    if not paths:
        return set()
    # With a slash, because a pattern can be for folders only; a name can begin with git's own
    # marks, like `:`.
    stdin = b"".join(
        b"./" + path + (b"/" if _is_folder(tree, path) else b"") + b"\0" for path in paths
    )
    out = tree.run("check-ignore", "-z", "--no-index", "--stdin", stdin=stdin, accept=(0, 1))
    return {name.removeprefix(b"./").rstrip(b"/") for name in out.split(b"\0") if name}


def _is_folder(tree: WorkTree, path: bytes) -> bool:
    full = tree.path / os.fsdecode(path)
    return full.is_dir() and not full.is_symlink()


def _below(references: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {name: one for name, one in references.items() if name.startswith(prefix)}


def _names_in(folder: Path) -> list[str]:
    try:
        return sorted(one.name for one in folder.iterdir())
    except OSError:
        return [folder.name]


def about(reason: StayReason, paths: Collection[bytes]) -> Stay:
    """A reason with the paths that it is about."""
    return Stay.of(reason, [path.decode(errors="replace") for path in sorted(paths)])
