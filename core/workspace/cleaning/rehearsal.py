"""A repository beside a workspace, in which restoring it is tried before it is removed.

It has what its repository offers now (through the mirror's objects) and what was packed of the
workspace, and nothing of the workspace itself.  What is found in it can be restored.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.domain.runs.work.carried_work import Bundle
from core.workspace.command import Git
from core.workspace.errors import GitFailed
from core.workspace.work.restore import import_pack
from core.workspace.work.worktree import make_bare

log = logging.getLogger(__name__)

# A branch that was merged longer ago is not recognised.
_MAX_COMPARED_COMMITS = 500
_PATCH_OPTIONS = ("--no-ext-diff", "--no-textconv", "--no-color", "--no-renames")


@dataclass(frozen=True, kw_only=True)
class Remote:
    """What a repository offers at this moment.

    Attributes:
        tips: The commits of its branches, and of its HEAD.
        tags: Full name to object.
        default_tip: The commit of its default branch; `None` if it has none.
        mirror: The folder of its mirror; `None` if the workspace has no repository.
    """

    tips: frozenset[str] = frozenset()
    tags: dict[str, str]
    default_tip: str | None = None
    mirror: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """The repository beside; every question is answered by its objects only."""

    git: Git
    path: Path
    remote: Remote

    def run(self, *arguments: str, stdin: bytes = b"", accept: Collection[int] = (0,)) -> bytes:
        """Run a git command in it."""
        return self.git.run(*arguments, cwd=self.path, stdin=stdin, accept=accept)

    def kind_of(self, object_id: str) -> str:
        """The kind of an object; `missing` if it is not here."""
        answer = self.run("cat-file", "--batch-check=%(objecttype)",
                          stdin=f"{object_id}\n".encode()).decode().split()  # fmt: skip
        return "missing" if not answer or answer[-1] == "missing" else answer[0]

    def is_reachable(self, commit: str, tips: Collection[str]) -> bool:
        """Whether a commit is one of these or before one of them, and is here."""
        present = [tip for tip in tips if self.kind_of(tip) == "commit"]
        if not present or self.kind_of(commit) != "commit":
            return False
        excluded = "".join(f"^{tip}\n" for tip in present)
        found = self.run("rev-list", "--max-count=1", "--stdin",
                         stdin=f"{commit}\n{excluded}".encode())  # fmt: skip
        return not found.strip()

    def is_on_remote(self, commit: str) -> bool:
        """Whether a branch of the repository has a commit."""
        return commit in self.remote.tips or self.is_reachable(commit, self.remote.tips)

    def load(self, bundle: Bundle) -> None:
        """Add what a bundle has, and check that nothing in it is missing.

        Raises:
            GitFailed: If it is damaged, or stands on something that the repository does not have.
        """
        if bundle.data:
            import_pack(self.git, self.path, bundle.data)
        tips = sorted({*bundle.references.values(), bundle.newest_commit})
        known = "".join(f"^{tip}\n" for tip in self.remote.tips)
        listed = "".join(f"{tip}\n" for tip in tips)
        self.run("rev-list", "--objects", "--quiet", "--stdin", stdin=(listed + known).encode())

    def squash_commit(self, tip: str) -> str | None:
        """The commit of the default branch that has all changes of a branch; `None` if none has.

        Either its files are the branch's files, or its change is the change that the whole branch
        makes: the same lines, byte for byte, in the same files.
        """
        default = self.remote.default_tip
        if default is None or self.kind_of(tip) != "commit":
            return None
        try:
            base = self.run("merge-base", tip, default, accept=(0, 1)).decode().strip()
            return self._merged_as(base, tip, default) if base else None
        except GitFailed as error:
            log.warning(
                "cannot tell whether %s was merged: %s",
                tip[:12],
                error,
                extra={"event": "squash_merge.unknown", "commit": tip},
            )
            return None

    def _merged_as(self, base: str, tip: str, default: str) -> str | None:
        newer = (f"--max-count={_MAX_COMPARED_COMMITS}", "--first-parent", f"{base}..{default}")
        wanted = self.run("rev-parse", f"{tip}^{{tree}}").decode().strip()
        for line in self.run("log", "--format=%H %T", *newer).decode().splitlines():
            commit, tree = line.split()
            if tree == wanted:
                return commit
        change = self.run("diff-tree", "-p", *_PATCH_OPTIONS, base, tip)
        patch = self.run("patch-id", "--verbatim", stdin=change).split()
        # The id of a patch says nothing about binary files.
        if not patch or b"\nBinary files " in change:
            return None
        log_of_default = self.run("log", "-p", "-m", *_PATCH_OPTIONS, *newer)
        for found in self.run("patch-id", "--verbatim", stdin=log_of_default).splitlines():
            same, _, commit_id = found.decode().partition(" ")
            commit = commit_id.strip()
            if same.encode() == patch[0] and self._modes(f"{commit}^", commit) == self._modes(
                base, tip
            ):
                return commit
        return None

    def _modes(self, old: str, new: str) -> list[tuple[bytes, bytes]]:
        """How each changed file's mode changes, which the id of a patch leaves out."""
        parts = self.run("diff-tree", "-r", "-z", "--raw", "--no-renames", old, new).split(b"\0")
        # ":<old mode> <new mode> <old id> <new id> <status>", then the path.
        pairs = zip(parts[0::2], parts[1::2], strict=False)
        return sorted((path, about[:14] + about[-1:]) for about, path in pairs)


@contextmanager
def open_rehearsal(git: Git, remote: Remote, *, object_format: str) -> Iterator[Rehearsal]:
    """Create such a repository for the block."""
    with tempfile.TemporaryDirectory(
        prefix="signalbox-", dir=git.temporary_dir, ignore_cleanup_errors=True
    ) as folder:
        path = Path(folder) / "rehearsal.git"
        make_bare(path, object_format)
        (path / "objects" / "info").mkdir()
        if remote.mirror is not None:
            alternates = path / "objects" / "info" / "alternates"
            alternates.write_text(f"{remote.mirror / 'objects'}\n")
        yield Rehearsal(git=git, path=path, remote=remote)
