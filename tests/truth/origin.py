"""The repository that generated runs work on: as others made it, and as the script knows it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from tests.truth.repository import Commit, Content, Repository, Tree

MAIN, RELEASE = "main", "release"
# Branches of others that a run can merge; each has one commit more than the one before.
OTHERS = ("theirs-1", "theirs-2", "theirs-3")
# How many files there are for each kind of change.
COUNT = 6
_LINES = 10


@cache
def offered() -> dict[str, Commit]:
    """The branches of the repository."""
    numbers = iter(range(1_000, 1_000_000, 1_000))

    def new() -> Content:
        first = next(numbers)
        return Content(first, first + _LINES)

    names = [f"{kind}/{n} é.txt" for kind in ("edit", "drop", "move") for n in range(COUNT)]
    tree: Tree = {name: new() for name in [*names, *(f"shared/{one}.txt" for one in OTHERS)]}
    main = Commit(subject="Begin", tree=tree, is_own=False)
    tips = {MAIN: main, RELEASE: _of_others("Prepare", main, {"release.txt": new()})}
    for count, name in enumerate(OTHERS, start=1):
        shared = f"shared/{name}.txt"
        longer = replace(tree[shared], stop=tree[shared].stop + count)
        tip = _of_others(f"Extend {name}", main, {shared: longer})
        for number in range(count):
            tip = _of_others(f"Add {name} {number}", tip, {f"{name}/{number}.txt": new()})
        tips[name] = tip
    return tips


def repository_at(branch: str, tips: Mapping[str, Commit]) -> Repository:
    """A workspace that starts from a branch; see `RUN_BRANCH`."""
    return Repository("{run}", {"{run}": tips[branch], MAIN: tips[MAIN]},
                      dict(tips[branch].tree), tips)  # fmt: skip


def create(path: Path, tips: Mapping[str, Commit]) -> Path:
    """Create the repository; its commits are old, and of somebody else."""
    path.mkdir()
    _git(path, "init", "--quiet", f"--initial-branch={MAIN}")
    stream = "".join(_stream(tips))
    _git(path, "fast-import", "--quiet", stdin=stream)
    return path


def _of_others(subject: str, parent: Commit, files: Tree) -> Commit:
    tree = {**parent.tree, **files}
    return Commit(subject=subject, tree=tree, parents=(parent,), is_own=False)


def _stream(tips: Mapping[str, Commit]) -> Iterator[str]:
    marks: dict[Commit, int] = {}
    for branch, tip in tips.items():
        for commit in reversed(list(tip.history())):
            if commit in marks:
                continue
            marks[commit] = len(marks) + 1
            yield f"commit refs/heads/{branch}\nmark :{marks[commit]}\n"
            yield f"committer Bob <bob@example.org> 978307200 +0000\n{_data(commit.subject)}"
            for parent in commit.parents[:1]:
                yield f"from :{marks[parent]}\n"
            before = commit.parents[0].tree if commit.parents else {}
            for name, content in commit.tree.items():
                if before.get(name) != content:
                    text = "".join(f"{line}\n" for line in range(content.first, content.stop))
                    yield f"M 100644 inline {name}\n{_data(text)}"


def _data(text: str) -> str:
    return f"data {len(text.encode())}\n{text}\n"


def _git(path: Path, *arguments: str, stdin: str = "") -> None:
    subprocess.run(["git", *arguments], cwd=path, check=True, input=stdin.encode())
