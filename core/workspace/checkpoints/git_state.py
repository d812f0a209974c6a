"""HEAD, index and unfinished operations of a workspace: setting them, and putting them back."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from core.domain.runs.work.carried_work import Bundle
from core.workspace.checkpoints.errors import RestoreRefused
from core.workspace.command import Git
from core.workspace.work.references import HEADS, branches_of, worktree_names
from core.workspace.work.untrusted_files import copy_untrusted, read_small
from core.workspace.work.worktree import WorkTree, branch_of, head_of, workspace_env

# Files of the git directory that belong to a merge, a rebase and the like.
_UNFINISHED = (
    "MERGE_HEAD", "MERGE_MODE", "MERGE_MSG", "MERGE_RR", "AUTO_MERGE", "SQUASH_MSG",
    "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD", "rebase-merge", "rebase-apply", "sequencer",
    "BISECT_LOG", "BISECT_START", "BISECT_TERMS", "BISECT_NAMES", "BISECT_EXPECTED_REV",
)  # fmt: skip
_MAX_INDEX_BYTES = 200_000_000


@dataclass
class GitState:
    """The state of git in a workspace before a restore, and how to return to it.

    Attributes:
        head: The commit checked out; `None` if there was none.
        branch: The branch checked out; `None` if HEAD was detached.
        branches: The local branches, full name to commit.
        folder: Where unfinished operations and the index are kept, below `.git`.
        moved: The names of the files of an unfinished operation that were moved there.
    """

    git: Git
    path: Path
    head: str | None
    branch: str | None
    branches: dict[str, str]
    folder: Path
    moved: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, git: Git, path: Path, label: str) -> GitState:
        """Read the state, and keep a copy of the index.

        Raises:
            RestoreRefused: If there is something in the place of the copy.
        """
        folder = path / ".git" / "signalbox" / label
        for one in (folder.parent, folder):
            if one.is_symlink() or (one.exists() and not one.is_dir()):
                raise RestoreRefused(
                    f"{one} is no folder",
                    user_message="The workspace's repository was tampered with: "
                    "`.git/signalbox` is not a folder. Nothing was changed.",
                )
            one.mkdir(mode=0o700, exist_ok=True)
        copy_untrusted(path, ".git/index", folder / "index", max_bytes=_MAX_INDEX_BYTES)
        return cls(
            git=git,
            path=path,
            head=head_of(git, path),
            branch=branch_of(git, path),
            branches=branches_of(git, path),
            folder=folder,
        )

    def tip_of(self, branch: str) -> str | None:
        """The commit of a local branch, by its short name."""
        return self.branches.get(f"{HEADS}{branch}")

    def go_to(self, target: Bundle, tree: WorkTree) -> None:
        """Set HEAD, its branch and the index as at a checkpoint.

        A branch that a linked worktree has checked out is not moved; HEAD is detached then.
        """
        for name in _UNFINISHED:
            source = self.path / ".git" / name
            if source.is_symlink() or source.exists():
                source.rename(self.folder / name)
                self.moved.append(name)
        branch = target.branch
        if branch is not None and f"{HEADS}{branch}" in _checked_out_elsewhere(self.path):
            branch = None if target.head_commit is not None else branch
        self._point_head(branch, target.head_commit)
        if branch is not None:
            self._move_branch(f"{HEADS}{branch}", target.head_commit)
        tree.run("read-tree", *(["--reset", target.head_commit] if target.head_commit
                                else ["--empty"]))  # fmt: skip
        tree.run("update-index", "-q", "--refresh", accept=(0, 1))
        self._replace_index(Path(tree.env["GIT_INDEX_FILE"]))

    def put_back(self, target: Bundle) -> None:
        """Return to the state from before `go_to`, however far that has come."""
        if target.branch is not None:
            name = f"{HEADS}{target.branch}"
            self._move_branch(name, self.branches.get(name))
        self._point_head(self.branch, self.head)
        for name in self.moved:
            (self.folder / name).rename(self.path / ".git" / name)
        self.moved.clear()
        copy = self.folder / "index"
        if copy.exists():
            self._replace_index(copy)
        else:
            (self.path / ".git" / "index").unlink(missing_ok=True)

    def forget(self) -> None:
        """Remove what was kept only to be put back; an unfinished operation stays there."""
        (self.folder / "index").unlink(missing_ok=True)
        (self.folder / "index.new").unlink(missing_ok=True)
        for folder in (self.folder, self.folder.parent):
            # What is not empty stays.
            with suppress(OSError):
                folder.rmdir()

    def _point_head(self, branch: str | None, commit: str | None) -> None:
        present = branch_of(self.git, self.path)
        if present == branch and (branch is not None or head_of(self.git, self.path) == commit):
            # Git would note it in the log of HEAD.
            return
        if branch is not None:
            self._run("check-ref-format", f"{HEADS}{branch}")
            self._run("symbolic-ref", "HEAD", f"{HEADS}{branch}")
        elif commit is not None:
            self._run("update-ref", "--no-deref", "HEAD", commit)

    def _move_branch(self, name: str, commit: str | None) -> None:
        present = branches_of(self.git, self.path).get(name)
        if present == commit:
            return
        change = ["-d", name] if commit is None else [name, commit]
        self._run("update-ref", "--no-deref", *change)

    def _replace_index(self, file: Path) -> None:
        staged = self.folder / "index.new"
        # With its time, from which git tells which files may have changed since.
        shutil.copy2(file, staged)
        staged.replace(self.path / ".git" / "index")

    def _run(self, *arguments: str) -> None:
        self.git.run(*arguments, cwd=self.path, env=workspace_env(self.path))


def _checked_out_elsewhere(path: Path) -> set[str]:
    """The full names of the branches that linked worktrees have checked out."""
    texts = (read_small(path, f".git/worktrees/{name}/HEAD") for name in worktree_names(path))
    return {text.strip().removeprefix("ref: ") for text in texts if text.startswith("ref: ")}
