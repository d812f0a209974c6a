"""Things that an agent can leave in a workspace, each as a function on its folder."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from core.domain.workspaces.stay import StayReason
from tests.unit.repositories import git

Act = Callable[[Path, Path], None]


def try_git(where: Path, *arguments: str) -> None:
    """Run git; a conflict is no failure here."""
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=where, check=False, capture_output=True)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _next(path: Path, stem: str) -> Path:
    """A file that is not there yet."""
    number = len(list(path.glob(f"{stem}*")))
    return path / f"{stem}{number}"


def edit(path: Path, _: Path) -> None:
    _write(path / "readme.md", b"changed %d\n" % len(list(path.iterdir())))


def untracked(path: Path, _: Path) -> None:
    _write(_next(path, "new "), b"nobody has it\0\xff")


def odd_name(path: Path, _: Path) -> None:
    _write(path / os.fsdecode(b"caf\xe9 :(x)"), b"not UTF-8\n")
    _write(path / ":(glob)x", b"like a pathspec\n")


def stage(path: Path, _: Path) -> None:
    _write(_next(path, "staged"), b"staged\n")
    try_git(path, "add", "-A")


def stage_then_edit(path: Path, _: Path) -> None:
    file = _next(path, "twice")
    _write(file, b"only in the index %d\n" % len(list(path.iterdir())))
    try_git(path, "add", "-A")
    _write(file, b"only in the work tree\n")


def delete(path: Path, _: Path) -> None:
    (path / "readme.md").unlink(missing_ok=True)


def remove_from_index(path: Path, _: Path) -> None:
    try_git(path, "rm", "-q", "--cached", "readme.md")


def program(path: Path, _: Path) -> None:
    file = _next(path, "tool")
    _write(file, b"#!/bin/sh\n")
    file.chmod(0o755)


def link(path: Path, _: Path) -> None:
    _next(path, "link").symlink_to("/etc/passwd")


def empty_folder(path: Path, _: Path) -> None:
    (path / "empty").mkdir(exist_ok=True)


def commit(path: Path, _: Path) -> None:
    _write(_next(path, "done"), b"done %d\n" % len(list(path.iterdir())))
    try_git(path, "add", "-A")
    try_git(path, "commit", "-qm", "Do a part")


def commit_all(path: Path, _: Path) -> None:
    try_git(path, "add", "-A")
    try_git(path, "commit", "-qm", "Do the rest")


def amend(path: Path, _: Path) -> None:
    try_git(path, "commit", "-q", "--amend", "--allow-empty", "-m", "Say it in another way")


def other_branch(path: Path, origin: Path) -> None:
    before = git(path, "rev-parse", "--abbrev-ref", "HEAD")
    name = f"topic{len(git(path, 'branch', '--list', 'topic*').splitlines())}"
    try_git(path, "checkout", "-qb", name)
    commit(path, origin)
    try_git(path, "checkout", "-q", before)


def detach(path: Path, _: Path) -> None:
    try_git(path, "checkout", "-q", "--detach")


def push(path: Path, _: Path) -> None:
    name = f"pushed{git(path, 'rev-parse', 'HEAD')[:12]}"
    try_git(path, "push", "-q", "origin", f"HEAD:refs/heads/{name}")


def remote_goes_on(_: Path, origin: Path) -> None:
    _write(_next(origin, "later"), b"later\n")
    git(origin, "add", "-A")
    git(origin, "commit", "-qm", "Go on")


def squash_merge(path: Path, origin: Path) -> None:
    """The branch is merged as one commit, and deleted, as a pull request would be."""
    head = git(path, "rev-parse", "HEAD")
    try_git(path, "push", "-qf", "origin", "HEAD:refs/heads/request")
    try_git(origin, "merge", "-q", "--squash", "request")
    try_git(origin, "commit", "-qm", f"Merge a request ({head[:7]})")
    try_git(origin, "reset", "-q", "--hard")
    try_git(origin, "branch", "-qD", "request")


def carriage_returns(path: Path, _: Path) -> None:
    _write(path / ".gitattributes", b"*.bat text eol=crlf\n*.txt text=auto\n")
    _write(path / "run.bat", b"echo 1\r\necho 2\r\n")


def cache(path: Path, _: Path) -> None:
    _write(path / ".gitignore", b"node_modules/\n.env\n")
    _write(path / "node_modules" / "left" / "pad.js", b"pad\n")


def loose_cache(path: Path, _: Path) -> None:
    _write(path / "venv" / "pyvenv.cfg", b"nobody ignores it\n")


def assume_unchanged(path: Path, _: Path) -> None:
    try_git(path, "update-index", "--assume-unchanged", "readme.md")
    _write(path / "readme.md", b"hidden from git status\n")


def skip_worktree(path: Path, _: Path) -> None:
    try_git(path, "update-index", "--skip-worktree", "readme.md")
    _write(path / "readme.md", b"hidden, too\n")


def ignored(path: Path, _: Path) -> None:
    _write(path / ".gitignore", b"node_modules/\n.env\n")
    _write(path / ".env", b"SECRET=1\n")


def stash(path: Path, origin: Path) -> None:
    edit(path, origin)
    _write(path / "readme.md", b"stashed %d\n" % len(list(path.iterdir())))
    try_git(path, "add", "-A")
    # With conflicts there is nothing to stash.
    try_git(path, "stash", "-q")


def local_tag(path: Path, _: Path) -> None:
    try_git(path, "tag", "-f", "v1")


def annotated_tag(path: Path, _: Path) -> None:
    try_git(path, "tag", "-f", "-a", "-m", "A release", "v2")


def note(path: Path, _: Path) -> None:
    try_git(path, "notes", "add", "-f", "-m", "a note")


def nested(path: Path, _: Path) -> None:
    inner = path / "vendor" / "inner"
    inner.mkdir(parents=True, exist_ok=True)
    git(inner, "init", "-q")
    _write(inner / "own.txt", b"its own\n")


def submodule(path: Path, origin: Path) -> None:
    try_git(
        path, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(origin), "module"
    )


def linked_worktree(path: Path, _: Path) -> None:
    try_git(path, "worktree", "add", "-q", "--detach", str(path.parent / f"{path.name}-linked"))


def conflicting_merge(path: Path, origin: Path) -> None:
    _diverge(path)
    try_git(path, "merge", "-q", "diverged")


def conflicting_rebase(path: Path, origin: Path) -> None:
    _diverge(path)
    try_git(path, "rebase", "-q", "diverged")


def _diverge(path: Path) -> None:
    try_git(path, "add", "-A")
    try_git(path, "commit", "-qm", "Before")
    try_git(path, "branch", "-f", "diverged")
    _write(path / "readme.md", b"ours\n")
    try_git(path, "commit", "-qam", "Ours")
    before = git(path, "rev-parse", "HEAD")
    try_git(path, "checkout", "-q", "diverged")
    _write(path / "readme.md", b"theirs\n")
    try_git(path, "commit", "-qam", "Theirs")
    try_git(path, "checkout", "-q", "-B", "mine", before)


def pipe(path: Path, _: Path) -> None:
    os.mkfifo(_next(path, "pipe"))


# After any of these a workspace can go: everything is carried.
CARRIED: tuple[Act, ...] = (
    edit, untracked, odd_name, stage, delete, remove_from_index, program, link, empty_folder,
    commit, commit_all, amend, other_branch, detach, push, remote_goes_on, squash_merge,
    carriage_returns, cache,
)  # fmt: skip
# Changes that git itself does not see: carried or kept, but never lost.
HIDDEN: tuple[Act, ...] = (assume_unchanged, skip_worktree)
# After one of these, if it is the last one, it must stay for this reason.
KEEPING: dict[Act, StayReason] = {
    stage_then_edit: StayReason.STAGED,
    ignored: StayReason.IGNORED,
    stash: StayReason.STASHED,
    local_tag: StayReason.TAGS,
    annotated_tag: StayReason.TAGS,
    note: StayReason.REFERENCES,
    nested: StayReason.NESTED,
    submodule: StayReason.NESTED,
    linked_worktree: StayReason.WORKTREES,
    conflicting_merge: StayReason.OPERATION,
    conflicting_rebase: StayReason.OPERATION,
    pipe: StayReason.SPECIAL_FILES,
    loose_cache: StayReason.UNCOMMITTED,
}
