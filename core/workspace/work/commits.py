"""The commits that a run made, on any branch, told from those of others that it merged.

Nothing in a commit proves who made it, so this combines what git knows.  A commit that came by a
fetch is the run's only if it has the run's identity and is not older than the run.  Any other
one is the run's unless it is older than the run; one with the run's identity on the
first-parent line of a branch is, whatever date it claims.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from core.domain.runs.work.diff import CommitInfo, StartState
from core.workspace.command import Git
from core.workspace.work.references import HEADS, branches_of, detached_heads, fetched_tips
from core.workspace.work.worktree import WorkTree, workspace_env

MAX_COMMITS = 200
_MAX_SUBJECT_CHARS = 200
_MAX_NAME_CHARS = 200
# A merge of a long-lived branch brings thousands; more are not looked at.
_MAX_WALKED = 20_000
_FIELD = "\x1f"


@dataclass(frozen=True, kw_only=True)
class _Commit:
    sha: str
    parents: tuple[str, ...]
    committed_at: int
    email: str
    subject: str


@dataclass(frozen=True, kw_only=True)
class Commits:
    """The commits since a run started, newest first.

    Attributes:
        head: The commit checked out; `None` if there is none.
        branch: The branch checked out; `None` if HEAD is detached.
        tips: The commits at which branches are, by short name, the one checked out first.
        loose_tips: Commits that are checked out somewhere, on no branch.
        by_sha: All new commits, those of others too.
        own: The ids of the run's own.
    """

    head: str | None
    branch: str | None
    tips: Mapping[str, str]
    loose_tips: Sequence[str] = ()
    by_sha: Mapping[str, _Commit] = field(default_factory=dict)
    own: frozenset[str] = frozenset()

    @property
    def merged_count(self) -> int:
        """The number of commits of others."""
        return len(self.by_sha) - len(self.own)

    @cached_property
    def branch_of(self) -> Mapping[str, str | None]:
        """For each own commit the first branch that has it."""
        found: dict[str, str | None] = {}
        named: list[tuple[str | None, str]] = list(self.tips.items())
        for name, tip in [*named, *((None, tip) for tip in self.loose_tips)]:
            for commit in self.reachable(tip):
                found.setdefault(commit.sha, name)
        return {sha: name for sha, name in found.items() if sha in self.own}

    def reachable(self, tip: str) -> Iterator[_Commit]:
        """The new commits that a tip has."""
        seen, waiting = {tip}, [tip]
        while waiting:
            commit = self.by_sha.get(waiting.pop())
            if commit is None:
                continue
            yield commit
            waiting += [parent for parent in commit.parents if parent not in seen]
            seen.update(commit.parents)

    def base_of(self, tip: str) -> str | None:
        """The commit on which the own commits of a first-parent line stand; `None`: on nothing."""
        while tip in self.own:
            parents = self.by_sha[tip].parents
            if not parents:
                return None
            tip = parents[0]
        return tip

    def merged_into(self, tip: str) -> list[str]:
        """The commits of others that own merges on a branch brought in, in their order."""
        own = [commit for commit in self.reachable(tip) if commit.sha in self.own]
        found = [parent for commit in reversed(own) for parent in commit.parents[1:]
                 if parent not in self.own]  # fmt: skip
        return list(dict.fromkeys(found))

    def infos(self) -> tuple[CommitInfo, ...]:
        """The own commits, oldest first, but only the newest `MAX_COMMITS`."""
        newest = [commit for commit in self.by_sha.values() if commit.sha in self.own]
        return tuple(
            CommitInfo(
                sha=commit.sha,
                subject=commit.subject[:_MAX_SUBJECT_CHARS],
                branch=self.branch_of.get(commit.sha),
            )
            for commit in reversed(newest[:MAX_COMMITS])
        )


def find_commits(
    git: Git, tree: WorkTree, start: StartState, *, head: str | None, branch: str | None
) -> Commits:
    """Find all commits that the workspace has since the start."""
    path = tree.path
    heads = tree.existing(branches_of(git, path))
    tips = {name.removeprefix(HEADS)[:_MAX_NAME_CHARS]: commit for name, commit in heads.items()}
    branch = branch[:_MAX_NAME_CHARS] if branch is not None else None
    if branch is not None and head is not None:
        tips = {branch: head, **tips}
    loose = list(tree.existing({commit: commit for commit in detached_heads(path)}))
    if branch is None and head is not None:
        loose.insert(0, head)
    before = {commit: commit for commit in (start.commit, *start.branches.values()) if commit}
    known = [f"^{commit}" for commit in tree.existing(before)]
    wanted = list(dict.fromkeys((*tips.values(), *loose)))
    new = _walk(tree, [*wanted, *known]) if wanted else {}
    found = Commits(head=head, branch=branch, tips=tips, loose_tips=loose, by_sha=new)
    if not new:
        return found
    fetched = tree.existing({commit: commit for commit in fetched_tips(git, path)})
    local = set(_ids(tree, [*wanted, *known, *(f"^{one}" for one in fetched)]))
    identities = {_identity_of(git, path), *start.identities} - {""}
    own = _own_commits(found, start, local=local, identities=identities)
    return Commits(head=head, branch=branch, tips=tips, loose_tips=loose, by_sha=new, own=own)


def _own_commits(
    found: Commits, start: StartState, *, local: set[str], identities: set[str]
) -> frozenset[str]:
    first_parents = set(_first_parents(found))
    started_at = int(start.at.timestamp()) if start.at is not None else 0

    def is_own(commit: _Commit) -> bool:
        is_recent = commit.committed_at >= started_at
        has_identity = commit.email in identities
        if commit.sha not in local:
            return has_identity and is_recent
        return is_recent or (has_identity and commit.sha in first_parents)

    return frozenset(commit.sha for commit in found.by_sha.values() if is_own(commit))


def _first_parents(found: Commits) -> Iterator[str]:
    for tip in (*found.tips.values(), *found.loose_tips):
        commit = found.by_sha.get(tip)
        while commit is not None:
            yield commit.sha
            commit = found.by_sha.get(commit.parents[0]) if commit.parents else None


def _walk(tree: WorkTree, revisions: Sequence[str]) -> dict[str, _Commit]:
    wanted = _FIELD.join(("%H", "%P", "%ct", "%ce", "%s"))
    listed = tree.run(
        "log", "-z", f"--format={wanted}", f"--max-count={_MAX_WALKED}", "--topo-order",
        "--no-show-signature", "--stdin", stdin=_lines(revisions),
    )  # fmt: skip
    found: dict[str, _Commit] = {}
    for line in listed.decode(errors="replace").split("\0"):
        if not line:
            continue
        sha, parents, committed_at, rest = line.split(_FIELD, 3)
        # An address can contain anything; a subject too, so only the first separator counts.
        email, _, subject = rest.partition(_FIELD)
        found[sha] = _Commit(
            sha=sha,
            parents=tuple(parents.split()),
            committed_at=int(committed_at) if committed_at.isdecimal() else 0,
            email=email,
            subject=subject,
        )
    return found


def _ids(tree: WorkTree, revisions: Sequence[str]) -> list[str]:
    listed = tree.run(
        "rev-list", f"--max-count={_MAX_WALKED}", "--topo-order", "--stdin",
        stdin=_lines(revisions),
    )  # fmt: skip
    return listed.decode().split()


def _identity_of(git: Git, path: Path) -> str:
    found = git.run("config", "--get", "user.email", cwd=path, env=workspace_env(path),
                    accept=(0, 1, 2, 128))  # fmt: skip
    return found.decode(errors="replace").strip()


def _lines(revisions: Sequence[str]) -> bytes:
    return "".join(f"{revision}\n" for revision in revisions).encode()
