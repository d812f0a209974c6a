"""Unpacking carried work: into a fresh clone, or into an older copy that it goes on from.

A bundle holds what an agent made, so it is taken for hostile: its objects are checked as they
come in, its references are made by us, and nothing of it is run.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from core.domain.runs.carried_work import Bundle
from core.workspace.carry import HEADS, START_REF, branches_of
from core.workspace.command import Git
from core.workspace.errors import GitFailed, WorkspaceError
from core.workspace.source import Source
from core.workspace.worktree import WorkTree, head_of, open_worktree, save, workspace_env

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# A name goes into a list of commands to git: no space, no line end.
_BRANCH = re.compile(rf"{HEADS}[^\x00-\x20\x7f]+")
_BASE_REF = "refs/signalbox/base"
# Objects of a bundle, unpacked: a pack of 25 MB can hold much more, not everything.
_MAX_PACK_BYTES = 500_000_000
# What old commits of real repositories have, and what harms nobody.
_TOLERATED_FLAWS = ",".join(
    f"{flaw}=warn"
    for flaw in (
        "badDate", "badDateOverflow", "badEmail", "badName", "badTimezone", "missingEmail",
        "missingNameBeforeEmail", "missingSpaceBeforeDate", "missingSpaceBeforeEmail",
        "missingTaggerEntry", "multipleAuthors", "zeroPaddedDate", "zeroPaddedFilemode",
    )
)  # fmt: skip
# Work that git itself is in the middle of.
_IN_PROGRESS_FILES = (
    "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "BISECT_LOG", "rebase-merge", "rebase-apply",
)  # fmt: skip


class UnusableBundle(WorkspaceError):
    """Carried work does not fit, or is damaged."""

    code = "unusable_bundle"

    def __init__(self, detail: str, *, user_message: str | None = None) -> None:
        super().__init__(
            f"carried work: {detail}",
            user_message=user_message
            or "The work that was carried from another worker is damaged and cannot be unpacked. "
            "It is kept in the database; start a new run to begin from the repository.",
        )


class Diverged(Exception):
    """The copy here has something that the carried work does not go on from."""


@dataclass(frozen=True)
class Repository:
    """A repository to unpack into; `env` names it to git."""

    git: Git
    path: Path
    env: Mapping[str, str]

    def run(self, *arguments: str, stdin: bytes = b"", accept: Collection[int] = (0,)) -> bytes:
        """A git command in it."""
        return self.git.run(*arguments, cwd=self.path, env=self.env, stdin=stdin, accept=accept)

    def has_commit(self, commit: str) -> bool:
        """Whether a commit is there."""
        answer = self.run("cat-file", "--batch-check=%(objecttype)", stdin=f"{commit}\n".encode())
        return answer.strip() == b"commit"


def unpack_into_clone(
    git: Git, path: Path, bundle: Bundle, *, fetch: Callable[[str], object] | None = None
) -> None:
    """Make of a clone without a work tree what the bundle's workspace was.

    Args:
        git: Runs the commands.
        path: The clone.
        bundle: What goes into it.
        fetch: Tries to get the commit on which the bundle stands, if no branch has it.

    Raises:
        UnusableBundle: If the bundle cannot be unpacked here.
    """
    repo = Repository(git, path, workspace_env(path))
    with _translate_git_errors():
        _import_objects(repo, bundle, fetch)
        stale = branches_of(git, path)
        _point_head(repo, bundle)
        repo.run("update-ref", "--no-deref", "--stdin",
                  stdin="".join(f"delete {name}\n" for name in stale).encode())  # fmt: skip
        _set_references(repo, bundle)
        repo.run("read-tree", "--reset", "-u", bundle.newest_commit)
        if bundle.saved_commit is not None:
            _reset_index(repo, bundle)


def fast_forward(git: Git, path: Path, bundle: Bundle, *, label: str) -> str | None:
    """Bring an older copy to where the carried work is.

    Returns:
        The private reference on which what it had uncommitted is kept, if it had any.

    Raises:
        Diverged: If it has commits of its own, or git is in the middle of something.
        UnusableBundle: If the bundle cannot be unpacked here.
    """
    git_dir = path / ".git"
    if git_dir.is_symlink() or not git_dir.is_dir():
        raise Diverged("not a plain repository")
    if any((git_dir / name).exists() for name in _IN_PROGRESS_FILES):
        raise Diverged("a merge or rebase is under way")
    head = head_of(git, path)
    with _translate_git_errors(), open_worktree(git, path) as tree:
        private_repo = Repository(git, path, tree.env)
        if bundle.base_commit is not None and not private_repo.has_commit(bundle.base_commit):
            raise Diverged("its history is another")
        _import_objects(private_repo, bundle, None)
        _require_ancestor(private_repo, head, branches_of(git, path), bundle)
        saved_ref = _save_uncommitted(tree, head, label)
        tree.run("read-tree", "--reset", "-u", bundle.newest_commit)
        workspace_repo = Repository(git, path, workspace_env(path))
        _point_head(workspace_repo, bundle)
        _set_references(workspace_repo, bundle)
        _reset_index(private_repo, bundle)
        staged_index = git_dir / f"index.{uuid4().hex[:8]}"
        shutil.copyfile(tree.env["GIT_INDEX_FILE"], staged_index)
        staged_index.replace(git_dir / "index")
    return saved_ref


def fetch_commit(git: Git, path: Path, commit: str, *, mirror: Path, source: Source) -> None:
    """Try to get one commit that no branch has: from the mirror, then from the repository."""
    upload_pack = "git -c uploadpack.allowAnySHA1InWant=true upload-pack"
    quiet = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head")
    for remote_args in (
        (f"--upload-pack={upload_pack}", "--", str(mirror), commit),
        ("--", source.url, commit),
    ):
        git.run(*quiet, *remote_args, cwd=path, settings=source.settings, secrets=source.secrets,
                accept=range(256))  # fmt: skip


def left_empty(git: Git, path: Path, bundle: Bundle) -> tuple[str, ...]:
    """Repositories inside the work tree: their directories are here, what was in them is not."""
    listed = git.run("ls-tree", "-r", "-z", "--full-tree", bundle.newest_commit,
                     cwd=path, env=workspace_env(path)).decode(errors="replace")  # fmt: skip
    return tuple(
        line.partition("\t")[2] for line in listed.split("\0") if line.startswith("160000 ")
    )


@contextmanager
def _translate_git_errors() -> Iterator[None]:
    """Lay what git refuses to the bundle, unless it was about the disk or took too long."""
    try:
        yield
    except GitFailed as error:
        if error.is_disk_error or error.status is None or error.status < 0:
            raise
        raise UnusableBundle(f"git {error.subcommand}: {error.stderr.strip()[-300:]}") from error


def _import_objects(
    repo: Repository, bundle: Bundle, fetch: Callable[[str], object] | None
) -> None:
    """Bring the objects in, checked, and see that all that is named is there."""
    commits = {*bundle.references.values(), bundle.newest_commit}
    commits |= {commit for commit in (bundle.base_commit, bundle.head_commit) if commit is not None}
    if not all(_COMMIT.fullmatch(commit) for commit in commits):
        raise UnusableBundle("it names something that is no commit")
    if bundle.base_commit is not None:
        _require_base(repo, bundle.base_commit, fetch)
    if bundle.data:
        _unpack(repo, bundle.data)
    missing = [commit for commit in sorted(commits) if not repo.has_commit(commit)]
    if missing:
        raise UnusableBundle(f"commit {missing[0]} is not in it")


def _unpack(repo: Repository, data: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="signalbox-", dir=repo.git.temporary_dir) as folder:
        file = Path(folder) / "carried.bundle"
        file.write_bytes(data)
        repo.run("bundle", "verify", "--quiet", str(file))
    # The pack follows the header's blank line.  What `git fetch` checks of a bundle depends on
    # git's version; the indexer checks each object.
    repo.run(
        "index-pack", "--stdin", "--fix-thin", f"--strict={_TOLERATED_FLAWS}",
        f"--max-input-size={_MAX_PACK_BYTES}", stdin=data.partition(b"\n\n")[2],
    )  # fmt: skip


def _require_base(repo: Repository, base: str, fetch: Callable[[str], object] | None) -> None:
    if not repo.has_commit(base) and fetch is not None:
        fetch(base)
    if not repo.has_commit(base):
        raise UnusableBundle(
            f"start commit {base[:12]} is gone",
            user_message=f"The repository no longer has commit `{base[:12]}`, on which the work "
            "of this session stands. Push that commit to any branch of the repository, then "
            "continue; the work itself is kept in the database.",
        )
    repo.run("update-ref", "--no-deref", _BASE_REF, base)


def _require_ancestor(
    repo: Repository, head: str | None, branches: Mapping[str, str], bundle: Bundle
) -> None:
    pairs = [(tip, bundle.references[name]) for name, tip in branches.items()
             if name in bundle.references]  # fmt: skip
    if head is not None:
        if bundle.head_commit is None:
            raise Diverged("it has commits, the carried work has none")
        pairs.append((head, bundle.head_commit))
    for older, newer in set(pairs):
        if older != newer and not _is_ancestor(repo, older, newer):
            raise Diverged(f"{older[:12]} is not part of {newer[:12]}")


def _is_ancestor(repo: Repository, older: str, newer: str) -> bool:
    found = repo.run("rev-list", "--max-count=1", older, f"^{newer}")
    return not found.strip()


def _save_uncommitted(tree: WorkTree, head: str | None, label: str) -> str | None:
    """Keep what is not committed before it is replaced; afterwards the index knows every file."""
    now = tree.write_tree()
    clean = (
        tree.run("rev-parse", f"{head}^{{tree}}").decode().strip() if head else tree.empty_tree()
    )
    return None if now == clean else str(save(tree.git, tree.path, label)["ref"])


def _point_head(repo: Repository, bundle: Bundle) -> None:
    if bundle.branch is not None:
        name = f"{HEADS}{bundle.branch}"
        repo.run("check-ref-format", name)
        repo.run("symbolic-ref", "HEAD", name)
    elif bundle.head_commit is not None:
        repo.run("update-ref", "--no-deref", "HEAD", bundle.head_commit)


def _set_references(repo: Repository, bundle: Bundle) -> None:
    wanted = {name: commit for name, commit in bundle.references.items()
              if _BRANCH.fullmatch(name) or name == START_REF}  # fmt: skip
    if bundle.branch is not None and bundle.head_commit is not None:
        wanted[f"{HEADS}{bundle.branch}"] = bundle.head_commit
    if bundle.saved_commit is not None:
        wanted["refs/signalbox/carried"] = bundle.saved_commit
    lines = "".join(f"update {name} {commit}\n" for name, commit in wanted.items())
    repo.run("update-ref", "--no-deref", "--stdin", stdin=lines.encode())


def _reset_index(repo: Repository, bundle: Bundle) -> None:
    """Make the index what HEAD is: the rest shows as changes of the work tree."""
    repo.run("read-tree", *([bundle.head_commit] if bundle.head_commit else ["--empty"]))
    repo.run("update-index", "-q", "--refresh", accept=(0, 1))
