"""The kinds of work that generated runs do in their workspaces.

To let runs do something else, add a function to `KINDS`.  Each draws what can be done in the
present state of the repository; `None` if that is nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from tests.truth.effects import (
    CommitFiles,
    Delete,
    Fill,
    Merge,
    Move,
    RenameBranch,
    RunTests,
    ShellEffect,
    State,
    Switch,
    TestRun,
)
from tests.truth.origin import OTHERS
from tests.truth.repository import FIRST_BRANCH, RUN_BRANCH, Content, Repository

_MANY_LINES = 250_000
_MANY_BYTES = 3_000_000


@dataclass(frozen=True)
class Site:
    """Where work is drawn.

    Attributes:
        ids: Numbers that nothing else of the session has.
    """

    rng: random.Random
    state: State
    ids: Iterator[int]

    @property
    def repository(self) -> Repository:
        """The repository at present."""
        return self.state.repository

    def content(self, lines: int, *, is_binary: bool = False) -> Content:
        """A content that no other file has any line of."""
        first = 1_000_000 * next(self.ids)
        return Content(first, first + lines, is_binary)

    def new_file(self, lines: int | None = None) -> Fill:
        """A new file."""
        name = self.rng.choice(("src/part {}.txt", "docs/größe-{}.md", "top-{}.txt"))
        count = self.rng.randint(1, 40) if lines is None else lines
        return Fill(name.format(next(self.ids)), self.content(count), is_new=True)

    def pick(self, folder: str, *, is_dirty: bool = False) -> str | None:
        """A file of a folder, changed or not since the last commit."""
        dirty, files = self.repository.dirty(), self.repository.files
        found = [name for name in sorted(files) if name.startswith(folder)
                 and (name in dirty) is is_dirty]  # fmt: skip
        return self.rng.choice(found) if found else None


Work = tuple[ShellEffect, ...]
Kind = Callable[[Site], Work | None]


def new_file(site: Site) -> Work:
    """A file that is left uncommitted."""
    return (site.new_file(),)


def commit_files(site: Site) -> Work:
    """A commit of one or several files, new ones and changed ones."""
    fills = [site.new_file() for _ in range(site.rng.randint(1, 3))]
    known = site.pick("src/")
    if known is not None and site.rng.random() < 0.7:
        old = site.repository.files[known]
        cut = site.rng.randint(0, old.lines - 1)
        longer = Content(old.first + cut, old.stop + site.rng.randint(0, 5))
        fills.append(Fill(known, longer))
    names = tuple(fill.path for fill in fills)
    return (*fills, CommitFiles(f"Add {next(site.ids)}", names))


def commit_leftovers(site: Site) -> Work | None:
    """A commit of all that earlier work, also of an earlier run, left."""
    dirty = tuple(sorted(site.repository.dirty()))
    return (CommitFiles(f"Add the rest {next(site.ids)}", dirty),) if dirty else None


def amend(site: Site) -> Work | None:
    """One more file in the commit checked out, which the agent made."""
    head = site.repository.head
    if head is None or not head.is_own:
        return None
    fill = site.new_file()
    return fill, CommitFiles(f"Amended {next(site.ids)}", (fill.path,), amends=True)


def visit_branch(site: Site) -> Work | None:
    """A branch that is made, worked on and left again."""
    before = site.repository.branch
    if site.repository.head is None:
        return None
    work: list[ShellEffect] = [Switch(f"feat/{next(site.ids)}", is_new=True)]
    for _ in range(site.rng.randint(1, 2)):
        fill = site.new_file()
        work += [fill, CommitFiles(f"On the side {next(site.ids)}", (fill.path,))]
    return (*work, Switch(before))


def stay_on_branch(site: Site) -> Work | None:
    """A branch that is made, and not left."""
    if site.repository.head is None:
        return None
    fill = site.new_file()
    commit = CommitFiles(f"Further {next(site.ids)}", (fill.path,))
    return Switch(f"work-{next(site.ids)}", is_new=True), fill, commit


def return_to_first_branch(site: Site) -> Work | None:
    """Back to the branch on which the session began."""
    repository = site.repository
    first = RUN_BRANCH if RUN_BRANCH in repository.tips else FIRST_BRANCH
    is_there = first in repository.tips and repository.branch != first
    # An agent does not go to the repository's own branch of that name.
    return (
        (Switch(first),) if is_there and (first == RUN_BRANCH or not repository.offered) else None
    )


def rename_branch(site: Site) -> Work | None:
    """Another name for the branch checked out."""
    head = site.repository.head
    return (RenameBranch(f"renamed/{next(site.ids)}"),) if head is not None else None


def merge_others(site: Site) -> Work | None:
    """The merge of a branch of the repository, with others' commits."""
    repository, head = site.repository, site.repository.head
    if head is None or not repository.offered:
        return None
    known = set(head.history())
    left = [name for name in OTHERS if repository.offered[name] not in known]
    if not left:
        return None
    name = site.rng.choice(left)
    can_move = head in set(repository.offered[name].history())
    is_forward = can_move and site.rng.random() < 0.5
    return (Merge(name, None if is_forward else f"Merge {name} {next(site.ids)}"),)


def change_merged_file(site: Site) -> Work | None:
    """A commit that adds lines to a file of others that a merge brought."""
    name = site.pick("theirs-")
    if name is None:
        return None
    content = site.repository.files[name]
    fill = Fill(name, replace(content, stop=content.stop + site.rng.randint(1, 5)))
    return fill, CommitFiles(f"Extend theirs {next(site.ids)}", (name,))


def edit(site: Site) -> Work | None:
    """A change of a known file that is left uncommitted."""
    name = site.pick("edit/")
    if name is None:
        return None
    content = site.repository.files[name]
    if content.first % 1_000:
        return None  # Changed before, and committed.
    return (Fill(name, Content(content.first + 3, content.stop + site.rng.randint(0, 9))),)


def delete_file(site: Site) -> Work | None:
    """The deletion of a file, committed or not; it may be one that the same run has committed."""
    name = site.pick(site.rng.choice(("drop/", "src/", "icon-")))
    if name is None:
        return None
    if site.rng.random() < 0.5:
        return (Delete(name),)
    return Delete(name), CommitFiles(f"Drop {next(site.ids)}", (name,))


def move_file(site: Site) -> Work | None:
    """A known file gets another name."""
    name = site.pick("move/")
    if name is None:
        return None
    new = f"moved-{next(site.ids)}.txt"
    return Move(name, new), CommitFiles(f"Move {next(site.ids)}", (name, new))


def big_file(site: Site) -> Work:
    """A file of some megabytes that is left uncommitted, of text or binary."""
    name = next(site.ids)
    if site.rng.random() < 0.5:
        return (Fill(f"big-{name}.txt", site.content(_MANY_LINES)),)
    return (Fill(f"big-{name}.bin", site.content(0, is_binary=True), _MANY_BYTES),)


def binary_file(site: Site) -> Work:
    """A binary file, committed or not."""
    padding = site.rng.randint(0, 99)
    fill = Fill(f"icon-{next(site.ids)}.bin", site.content(0, is_binary=True), padding)
    if site.rng.random() < 0.5:
        return (fill,)
    return fill, CommitFiles(f"Add an icon {next(site.ids)}", (fill.path,))


def run_tests(site: Site) -> Work:
    """A test program runs; a fourth of them fail."""
    rng = site.rng
    run = TestRun(
        passed=rng.randint(1, 200),
        failed=rng.choice((0, 0, 0, rng.randint(1, 9))),
        skipped=rng.choice((0, rng.randint(1, 9))),
    )
    return (RunTests(rng.choice(("python", "python", "javascript")), run),)


# Each kind as often as it stands here.
KINDS: tuple[Kind, ...] = (
    *(commit_files,) * 6,
    *(new_file, run_tests) * 3,
    *(commit_leftovers, amend, visit_branch, merge_others, edit, delete_file) * 2,
    stay_on_branch,
    return_to_first_branch,
    rename_branch,
    change_merged_file,
    move_file,
    big_file,
    binary_file,
)
