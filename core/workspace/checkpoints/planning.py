"""What going back to a checkpoint does to the files, and what it must not touch.

Git would overwrite or remove any file in its way.  Files that the present state has are on the
safety reference, so they may go.  Everything else that is on the disk was ignored: it is either
saved too, or the restore is refused.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.workspace.checkpoints.errors import RestoreRefused
from core.workspace.work.worktree import WorkTree

# More ignored files in the way than anybody wants to have saved without asking.
_MAX_IN_THE_WAY = 10_000
_IGNORE_FILE = b".gitignore"


@dataclass(frozen=True, kw_only=True)
class FilePlan:
    """The differences between the present files and those of a checkpoint.

    Attributes:
        written: The files that the checkpoint has, and that are missing now or differ.
        removed: The files that the checkpoint does not have.
        added: Those of `written` that the present state does not have, each with its line for
            git's index.
    """

    written: frozenset[bytes]
    removed: frozenset[bytes]
    added: Mapping[bytes, bytes]


def plan_files(tree: WorkTree, now: str, target: str) -> FilePlan:
    """Compare the present files with those of a checkpoint.

    Args:
        tree: The work tree.
        now: The tree of the present files.
        target: The commit or tree of the checkpoint.
    """
    listed = tree.run("diff-tree", "-r", "-z", "--raw", "--no-renames", now, target)
    fields = listed.split(b"\0")[:-1]
    written, removed, added = set[bytes](), set[bytes](), dict[bytes, bytes]()
    for about, path in zip(fields[::2], fields[1::2], strict=True):
        # Both modes, both ids, and the status.
        _, mode, _, object_id, status = about.split(b" ")
        if status == b"D":
            removed.add(path)
            continue
        written.add(path)
        if status == b"A":
            added[path] = mode + b" " + object_id + b"\t" + path
    return FilePlan(written=frozenset(written), removed=frozenset(removed), added=added)


def find_in_the_way(tree: WorkTree, plan: FilePlan) -> set[bytes]:
    """Find the ignored files that the checkpoint's files would replace.

    Raises:
        RestoreRefused: If a nested repository or too many files are in the way.
    """
    root = os.fsencode(tree.path)
    folders = {folder for path in plan.written for folder in _folders_above(path)}
    for folder in folders:
        _refuse_nested(root, folder)
    found: set[bytes] = set()
    for path in plan.added:
        full = os.path.join(root, path)  # noqa: PTH118 - bytes
        if os.path.isdir(full) and not os.path.islink(full):  # noqa: PTH112, PTH114 - bytes
            found |= _files_below(root, path)
        elif os.path.lexists(full):
            found.add(path)
    for folder in {folder for path in plan.added for folder in _folders_above(path)}:
        full = os.path.join(root, folder)  # noqa: PTH118 - bytes
        is_folder = os.path.isdir(full) and not os.path.islink(full)  # noqa: PTH112, PTH114
        if os.path.lexists(full) and not is_folder:
            found.add(folder)
    return found


def find_ignored_then(tree: WorkTree, plan: FilePlan, target: str) -> set[bytes]:
    """Find the files to be removed that the checkpoint's own rules ignore.

    A checkpoint does not tell whether they were there, so they stay.
    """
    if not plan.removed:
        return set()
    with tempfile.TemporaryDirectory(
        prefix="rules-", dir=tree.env["GIT_DIR"], ignore_cleanup_errors=True
    ) as folder:
        _write_rules(tree, target, Path(folder))
        env = {**tree.env, "GIT_WORK_TREE": folder}
        ignored = tree.git.run(
            "check-ignore", "--no-index", "-z", "--stdin",
            # A confined git sees the workspace, where the objects are, and the git directory.
            cwd=tree.path, env=env, accept=(0, 1),
            stdin=b"".join(path + b"\0" for path in sorted(plan.removed)),
        )  # fmt: skip
    found = set(ignored.split(b"\0")) - {b""}
    # What the checkpoint itself has at this place was no folder with ignored files.
    return {
        path
        for path in found
        if not any(folder in plan.written for folder in _folders_above(path))
        and not any(written.startswith(path + b"/") for written in plan.written)
    }


def _write_rules(tree: WorkTree, target: str, folder: Path) -> None:
    """Write the `.gitignore` files of a checkpoint into an empty folder."""
    listed = tree.run("ls-tree", "-r", "-z", "--full-tree", target)
    for entry in listed.split(b"\0"):
        about, _, path = entry.partition(b"\t")
        if os.path.basename(path) != _IGNORE_FILE or not about.startswith(b"100"):  # noqa: PTH119
            continue
        content = tree.run("cat-file", "blob", about.split(b" ")[2].decode())
        file = folder / os.fsdecode(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def _folders_above(path: bytes) -> Iterable[bytes]:
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path


def _refuse_nested(root: bytes, folder: bytes) -> None:
    if os.path.lexists(os.path.join(root, folder, b".git")):  # noqa: PTH118 - bytes
        raise _in_the_way(folder, "a git repository of its own", "Move it away")


def _files_below(root: bytes, folder: bytes) -> set[bytes]:
    found: set[bytes] = set()
    top = os.path.join(root, folder)  # noqa: PTH118 - bytes
    for current, folders, names in os.walk(top):
        if b".git" in (*folders, *names):
            raise _in_the_way(folder, "a folder with a git repository", "Move it away")
        links = [one for one in folders if os.path.islink(os.path.join(current, one))]  # noqa: PTH114, PTH118
        for name in (*names, *links):
            found.add(os.path.relpath(os.path.join(current, name), root))  # noqa: PTH118
        if len(found) > _MAX_IN_THE_WAY:
            raise _in_the_way(
                folder, f"a folder with more than {_MAX_IN_THE_WAY:,} ignored files", "Remove it"
            )
    return found


def _in_the_way(path: bytes, what: str, advice: str) -> RestoreRefused:
    name = path.decode(errors="replace")
    return RestoreRefused(
        f"{name} is {what}",
        user_message=f"`{name}` in the workspace is {what} now; the checkpoint has files there. "
        f"{advice}, then try again. Nothing was changed.",
        path=name,
    )
