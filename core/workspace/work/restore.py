"""Unpacking of carried work, into a fresh clone or into an older copy of the workspace.

A bundle's content comes from an agent, so it is treated as hostile: git checks every object when
it is imported, this module creates the references itself, and nothing from the bundle is run.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from core.domain.runs.work.carried_work import Bundle
from core.workspace.command import Git
from core.workspace.errors import GitFailed, WorkspaceError
from core.workspace.repositories.contact import Contact
from core.workspace.work.changes import save
from core.workspace.work.references import HEADS, branches_of
from core.workspace.work.worktree import WorkTree, head_of, open_worktree, workspace_env

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# Names become part of commands to git, one on a line: no space and no line break is allowed.
_BRANCH = re.compile(rf"{HEADS}[^\x00-\x20\x7f]+")
# What Signalbox saved on earlier occasions, and the start of the run.
_PRIVATE = re.compile(r"refs/signalbox/[^\x00-\x20\x7f]+")
_BASE_REF = "refs/signalbox/base"
# The most that the objects of a bundle may take when unpacked.  A bundle of 25 MB can be a bomb.
_MAX_PACK_BYTES = 500_000_000
# Harmless flaws that commits of real, old repositories have.
_TOLERATED_FLAWS = ",".join(
    f"{flaw}=warn"
    for flaw in (
        "badDate", "badDateOverflow", "badEmail", "badName", "badTimezone", "missingEmail",
        "missingNameBeforeEmail", "missingSpaceBeforeDate", "missingSpaceBeforeEmail",
        "missingTaggerEntry", "multipleAuthors", "zeroPaddedDate", "zeroPaddedFilemode",
    )
)  # fmt: skip
# Files in the git directory that show an operation in progress.
_IN_PROGRESS_FILES = (
    "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "BISECT_LOG", "rebase-merge", "rebase-apply",
)  # fmt: skip


class UnusableBundle(WorkspaceError):
    """Carried work is damaged, or does not fit the repository."""

    code = "unusable_bundle"

    def __init__(self, detail: str, *, user_message: str | None = None) -> None:
        super().__init__(
            f"carried work: {detail}",
            user_message=user_message
            or "The work that was carried from another worker is damaged and cannot be unpacked. "
            "It is kept in the database; start a new run to begin from the repository.",
        )


class Diverged(Exception):
    """The local copy contains something on which the carried work is not based."""


@dataclass(frozen=True)
class Repository:
    """A repository to unpack into; `env` points git to it."""

    git: Git
    path: Path
    env: Mapping[str, str]

    def run(self, *arguments: str, stdin: bytes = b"", accept: Collection[int] = (0,)) -> bytes:
        """Run a git command in the repository."""
        return self.git.run(*arguments, cwd=self.path, env=self.env, stdin=stdin, accept=accept)

    def has_commit(self, commit: str) -> bool:
        """Return whether a commit exists."""
        answer = self.run("cat-file", "--batch-check=%(objecttype)", stdin=f"{commit}\n".encode())
        return answer.strip() == b"commit"


def unpack_into_clone(
    git: Git,
    path: Path,
    bundle: Bundle,
    *,
    earlier: Sequence[bytes] = (),
    fetch: Callable[[str], object] | None = None,
) -> None:
    """Turn a clone without a work tree into the workspace that was bundled.

    Args:
        git: Runs the commands.
        path: The clone.
        bundle: The carried work.
        earlier: Bundles on which it stands, in the order to unpack them.
        fetch: Tries to fetch the bundle's base commit if no branch contains it.

    Raises:
        UnusableBundle: If the bundle is damaged, or its base commit cannot be found.
    """
    repo = Repository(git, path, workspace_env(path))
    with translate_git_errors():
        import_objects(repo, bundle, fetch, earlier=earlier)
        stale = branches_of(git, path)
        _point_head(repo, bundle)
        repo.run("update-ref", "--no-deref", "--stdin",
                  stdin="".join(f"delete {name}\n" for name in stale).encode())  # fmt: skip
        _set_references(repo, bundle)
        repo.run("read-tree", "--reset", "-u", bundle.newest_commit)
        if bundle.saved_commit is not None:
            _reset_index(repo, bundle)


def fast_forward(git: Git, path: Path, bundle: Bundle, *, label: str) -> str | None:
    """Bring an older copy of the workspace to the state of the carried work.

    Returns:
        The private reference `refs/signalbox/<label>` with the copy's uncommitted changes; `None`
        if there were none.

    Raises:
        Diverged: If the copy has commits of its own, or a merge or rebase is in progress.
        UnusableBundle: If the bundle is damaged.
    """
    git_dir = path / ".git"
    if git_dir.is_symlink() or not git_dir.is_dir():
        raise Diverged("not a plain repository")
    if any((git_dir / name).exists() for name in _IN_PROGRESS_FILES):
        raise Diverged("a merge or rebase is under way")
    head = head_of(git, path)
    with translate_git_errors(), open_worktree(git, path, known_id=head) as tree:
        private_repo = Repository(git, path, tree.env)
        if bundle.base_commit is not None and not private_repo.has_commit(bundle.base_commit):
            raise Diverged("it has another history")
        import_objects(private_repo, bundle, None)
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


def fetch_commit(git: Git, path: Path, commit: str, *, mirror: Path, contact: Contact) -> None:
    """Try to fetch a commit that no branch contains, from the mirror and from the repository.

    Errors of git are ignored; the caller checks whether the commit has arrived.
    """
    upload_pack = "git -c uploadpack.allowAnySHA1InWant=true upload-pack"
    quiet = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head")
    ignored = range(256)
    git.run(*quiet, f"--upload-pack={upload_pack}", "--", str(mirror), commit, cwd=path,
            accept=ignored)  # fmt: skip
    contact.run(git, *quiet, "--", contact.url, commit, cwd=path, accept=ignored)


def left_empty(git: Git, path: Path, bundle: Bundle) -> tuple[str, ...]:
    """List nested repositories: their directories were restored, their content was not carried."""
    listed = git.run("ls-tree", "-r", "-z", "--full-tree", bundle.newest_commit,
                     cwd=path, env=workspace_env(path)).decode(errors="replace")  # fmt: skip
    return tuple(
        line.partition("\t")[2] for line in listed.split("\0") if line.startswith("160000 ")
    )


@contextmanager
def translate_git_errors() -> Iterator[None]:
    """Report a failure of git as `UnusableBundle`, except disk errors, timeouts and kills."""
    try:
        yield
    except GitFailed as error:
        if error.is_disk_error or error.status is None or error.status < 0:
            raise
        raise UnusableBundle(f"git {error.subcommand}: {error.stderr.strip()[-300:]}") from error


def import_objects(
    repo: Repository,
    bundle: Bundle,
    fetch: Callable[[str], object] | None,
    *,
    earlier: Sequence[bytes] = (),
) -> None:
    """Import the bundle's objects with checks, and make sure that every named commit exists.

    Raises:
        UnusableBundle: If it is damaged, or does not fit the repository.
    """
    commits = {*bundle.references.values(), bundle.newest_commit}
    commits |= {commit for commit in (bundle.base_commit, bundle.head_commit) if commit is not None}
    if not all(_COMMIT.fullmatch(commit) for commit in commits):
        raise UnusableBundle("it names something that is no commit")
    if bundle.base_commit is not None:
        _require_base(repo, bundle.base_commit, fetch)
    for data in earlier:
        _index_pack(repo, data)
    if bundle.data and earlier:
        # Verifying would want what it stands on to be on a reference.
        _index_pack(repo, bundle.data)
    elif bundle.data:
        _unpack(repo, bundle.data)
    missing = [commit for commit in sorted(commits) if not repo.has_commit(commit)]
    if missing:
        raise UnusableBundle(f"commit {missing[0]} is not in it")


def _unpack(repo: Repository, data: bytes) -> None:
    # In the git directory, because a confined git sees no other.
    file = Path(repo.env["GIT_DIR"]) / "carried.bundle"
    try:
        file.write_bytes(data)
        repo.run("bundle", "verify", "--quiet", str(file))
    finally:
        file.unlink(missing_ok=True)
    _index_pack(repo, data)


def _index_pack(repo: Repository, data: bytes) -> None:
    import_pack(repo.git, repo.path, data, env=repo.env)


def import_pack(git: Git, path: Path, data: bytes, *, env: Mapping[str, str] | None = None) -> None:
    """Import the objects of a bundle into a repository, and check each of them.

    Raises:
        GitFailed: If it is damaged.
    """
    # The pack follows the blank line after the header.  `index-pack --strict` checks each object;
    # how much `git fetch` checks depends on git's version.
    git.run(
        "index-pack", "--stdin", "--fix-thin", f"--strict={_TOLERATED_FLAWS}",
        f"--max-input-size={_MAX_PACK_BYTES}",
        cwd=path, env=env, stdin=data.partition(b"\n\n")[2],
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
    """Save uncommitted changes on a reference before they are replaced.

    Writing the tree also updates the private index, so that `read-tree -u` knows every file.
    """
    now = tree.write_tree()
    clean = tree.run("rev-parse", f"{head}^{{tree}}").decode().strip() if head else tree.empty_tree
    return None if now == clean else str(save(tree.git, tree.path, label)["ref"])


def _point_head(repo: Repository, bundle: Bundle) -> None:
    if bundle.branch is not None:
        name = f"{HEADS}{bundle.branch}"
        repo.run("check-ref-format", name)
        repo.run("symbolic-ref", "HEAD", name)
    elif bundle.head_commit is not None:
        repo.run("update-ref", "--no-deref", "HEAD", bundle.head_commit)


def _set_references(repo: Repository, bundle: Bundle) -> None:
    references = {name: commit for name, commit in bundle.references.items()
                  if _BRANCH.fullmatch(name) or _PRIVATE.fullmatch(name)}  # fmt: skip
    if bundle.branch is not None and bundle.head_commit is not None:
        references[f"{HEADS}{bundle.branch}"] = bundle.head_commit
    if bundle.saved_commit is not None:
        references["refs/signalbox/carried"] = bundle.saved_commit
    lines = "".join(f"update {name} {commit}\n" for name, commit in references.items())
    repo.run("update-ref", "--no-deref", "--stdin", stdin=lines.encode())


def _reset_index(repo: Repository, bundle: Bundle) -> None:
    """Set the index to HEAD, so that everything else shows as changes of the work tree."""
    repo.run("read-tree", *([bundle.head_commit] if bundle.head_commit else ["--empty"]))
    repo.run("update-index", "-q", "--refresh", accept=(0, 1))
