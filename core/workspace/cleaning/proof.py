"""Proof that a workspace can be restored byte for byte once it is removed.  Everything blocks."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.domain.runs.work.carried_work import Bundle
from core.domain.workspaces.stay import Stay, StayReason
from core.workspace.cleaning.files import object_id
from core.workspace.cleaning.rehearsal import Rehearsal
from core.workspace.cleaning.state import Stays, Survey, about, ignored_of
from core.workspace.command import Git
from core.workspace.errors import GitFailed
from core.workspace.work.worktree import open_worktree

_EMPTY_BLOBS = frozenset(
    {
        "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
        "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
    }
)
_LINK_TO_REPOSITORY = "160000"
# With these, git writes other bytes into a file than its object has.
_CONVERSIONS = re.compile(rb"\b(eol|crlf|ident|working-tree-encoding|filter)\b")
_ATTRIBUTES = ("eol", "ident", "working-tree-encoding")
_WITHOUT_EFFECT = frozenset({b"unspecified", b"unset", b"lf"})
# Restoring reads no configuration of the worker.
_AS_RESTORED = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
# So many files are compared as git would write them.
_MAX_CONVERTED = 20_000

# Path to mode and object.
Tree = Mapping[bytes, tuple[str, str]]


@dataclass(frozen=True)
class Proof:
    """Compares one workspace with what can be restored of it.

    Attributes:
        bundle: From which it would be restored; `None` if nothing of it was stored.
        rehearsal: Has what the repository offers, and the bundle.
    """

    git: Git
    path: Path
    survey: Survey
    bundle: Bundle | None
    rehearsal: Rehearsal

    def require(self) -> None:
        """Check that everything can be restored.

        Raises:
            Stays: If something would be lost.
        """
        self._require_base()
        self._require_commits()
        self._require_tags()
        files = self._tree_of(self.restored_commit)
        self._require_staged(files)
        self._require_files(files)

    @property
    def is_delivered(self) -> bool:
        """Whether the repository has every branch, merged as one commit too, and all files."""
        tips = {*self.survey.branches.values(), *([self.survey.head] if self.survey.head else [])}
        saved = self.bundle.saved_commit if self.bundle is not None else None
        return saved is None and all(
            self.rehearsal.is_on_remote(tip) or self.rehearsal.squash_commit(tip) is not None
            for tip in tips
        )

    @property
    def restored_commit(self) -> str | None:
        """The commit whose files the restored workspace has; `None` if it has none."""
        if self.bundle is not None:
            return self.bundle.newest_commit
        return self.survey.head

    def _require_base(self) -> None:
        base = self.bundle.base_commit if self.bundle is not None else None
        if base is not None and not self.rehearsal.is_on_remote(base):
            raise Stays(Stay.of(StayReason.UNPUSHED, [f"commit {base[:12]}"]))

    def _require_commits(self) -> None:
        bundle = self.bundle
        carried = dict(bundle.references) if bundle is not None else {}
        tips = {*carried.values(), *([bundle.newest_commit] if bundle is not None else [])}
        needed = {**self.survey.branches, **self.survey.private}
        if self.survey.head is not None:
            needed["HEAD"] = self.survey.head
        lost = [
            name
            for name, commit in needed.items()
            if carried.get(name) != commit
            and not self.rehearsal.is_on_remote(commit)
            and not self.rehearsal.is_reachable(commit, tips)
            and self.rehearsal.squash_commit(commit) is None
        ]
        if lost:
            names = [name.removeprefix("refs/heads/").removeprefix("refs/") for name in lost]
            raise Stays(Stay.of(StayReason.UNPUSHED, names))

    def _require_tags(self) -> None:
        offered = self.rehearsal.remote.tags
        lost = [name for name, one in self.survey.tags.items() if offered.get(name) != one]
        if lost:
            raise Stays(
                Stay.of(StayReason.TAGS, [name.removeprefix("refs/tags/") for name in lost])
            )

    def _tree_of(self, commit: str | None) -> dict[bytes, tuple[str, str]]:
        if commit is None:
            return {}
        listed = self.rehearsal.run("ls-tree", "-r", "-z", "--full-tree", commit)
        found: dict[bytes, tuple[str, str]] = {}
        for entry in listed.split(b"\0"):
            values, _, name = entry.partition(b"\t")
            if name:
                mode, _, one = values.decode().split(" ")
                found[name] = mode, one
        return found

    def _require_staged(self, files: Tree) -> None:
        """Check that nothing is only in the index."""
        staged = self.survey.staged
        if not staged:
            return
        committed = self._tree_of(self.survey.head) if self.survey.head else {}
        lost = [
            path
            for path, entry in staged.items()
            if entry[1] not in _EMPTY_BLOBS and entry not in (files.get(path), committed.get(path))
        ]
        if lost:
            raise Stays(about(StayReason.STAGED, lost))

    def _require_files(self, files: Tree) -> None:
        """Check that every file is restored with its bytes and its mode, and no other one."""
        listing = self.survey.listing.files
        held = {path: one for path, one in files.items() if one[0] != _LINK_TO_REPOSITORY}
        differing = [path for path, (mode, _) in held.items() if listing.get(path) != mode]
        additional = [path for path in listing if path not in held]
        suspects = []
        for path, (mode, one) in held.items():
            if listing.get(path) == mode and not self._is_same(path, mode, one):
                suspects.append(path)
        with open_worktree(self.git, self.path, known_id=self.survey.head) as tree:
            ignored = ignored_of(tree, additional)
        differing += [path for path in additional if path not in ignored]
        differing += self._differing_converted(files, suspects)
        if differing:
            raise Stays(about(StayReason.UNCOMMITTED, differing))
        if ignored:
            raise Stays(about(StayReason.IGNORED, ignored))

    def _is_same(self, path: bytes, mode: str, one: str) -> bool:
        if self.git.is_stopped:
            raise GitFailed("comparison", None, "was stopped")
        return object_id(self.path, path, mode, self.survey.object_format) == one

    def _differing_converted(self, files: Tree, suspects: list[bytes]) -> list[bytes]:
        """Of the files that differ from their objects, those that git would not write like that."""
        attributes = [path for path in files if path.rpartition(b"/")[2] == b".gitattributes"]
        converts = any(
            _CONVERSIONS.search(self.rehearsal.run("cat-file", "blob", files[path][1]))
            for path in attributes
            if files[path][0] != _LINK_TO_REPOSITORY
        )
        if not converts:
            return suspects
        plain = [path for path, (mode, _) in files.items() if mode.startswith("100")]
        others = [path for path in suspects if path not in {*plain}]
        # An object that has the file's bytes may still be written in another way.
        compared = sorted({*suspects} - {*others} | self._converted(plain))
        if len(compared) > _MAX_CONVERTED:
            return suspects or compared
        return others + self._not_written_like(compared)

    def _converted(self, paths: list[bytes]) -> set[bytes]:
        """The files for which an attribute asks git to write other bytes than the object has."""
        commit = self.restored_commit
        if commit is None or not paths:
            return set()
        self.rehearsal.run("read-tree", commit)
        listed = self.rehearsal.run("check-attr", "--cached", "-z", "--stdin", *_ATTRIBUTES,
                                    stdin=b"".join(path + b"\0" for path in paths))  # fmt: skip
        parts = listed.split(b"\0")
        return {
            path
            for path, value in zip(parts[0::3], parts[2::3], strict=False)
            if value not in _WITHOUT_EFFECT
        }

    def _not_written_like(self, paths: list[bytes]) -> list[bytes]:
        commit = self.restored_commit
        if commit is None or not paths:
            return []
        with tempfile.TemporaryDirectory(
            prefix="signalbox-", dir=self.git.temporary_dir, ignore_cleanup_errors=True
        ) as folder:
            self.git.run(
                f"--git-dir={self.rehearsal.path}", f"--work-tree={folder}",
                "checkout-index", "--force", "-z", "--stdin",
                cwd=Path(folder), stdin=b"\0".join(paths) + b"\0", env=_AS_RESTORED,
            )  # fmt: skip
            return [path for path in paths if not self._has_same_bytes(Path(folder), path)]

    def _has_same_bytes(self, folder: Path, path: bytes) -> bool:
        written, own = (
            object_id(root, path, "100644", self.survey.object_format)
            for root in (folder, self.path)
        )
        return written is not None and written == own
