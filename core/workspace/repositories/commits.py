"""Whether a repository still has a commit, asked without fetching its files."""

from __future__ import annotations

import tempfile
from pathlib import Path

from core.domain.reach.repositories import RepositoryPolicy
from core.workspace.command import Git
from core.workspace.mirror import list_remote_refs
from core.workspace.scratch import Scratch
from core.workspace.source import Source

_SHA256_DIGITS = 64


def has_commit(
    git: Git,
    source: Source,
    commit: str,
    *,
    policy: RepositoryPolicy,
    root: Path,
    scratch: Scratch | None,
) -> bool:
    """Ask a repository for one commit, also for one that is on no branch any more.

    Raises:
        RepositoryNotAllowed: If it may not be cloned.
        UnreachableRepository: If it does not answer, or is not a repository.
    """
    advertised = list_remote_refs(git, source, policy, cwd=root)
    if commit in {*advertised.branches.values(), advertised.head}:
        return True
    contact = advertised.contact
    kind = "sha256" if len(commit) == _SHA256_DIGITS else "sha1"
    with tempfile.TemporaryDirectory(dir=None if scratch is None else scratch.folder) as folder:
        path = Path(folder) / "probe.git"
        git.run(
            "init", "--quiet", "--bare", "--template=", f"--object-format={kind}", str(path),
            cwd=path.parent,
        )  # fmt: skip
        # Without history, and without files if the repository can leave them out.
        contact.run(
            git, "fetch", "--quiet", "--depth=1", "--filter=tree:0", "--no-tags",
            "--no-write-fetch-head", "--", contact.url, commit, cwd=path, accept=range(256),
        )  # fmt: skip
        answer = git.run(
            "cat-file", "--batch-check=%(objecttype)", cwd=path, stdin=f"{commit}\n".encode()
        )
    return answer.strip() == b"commit"
