"""The changed lines of a work tree, for people who read them later: bounded and without secrets."""

from __future__ import annotations

import logging

from core.domain.redact import redact
from core.domain.runs.work.patch import WorkPatch, files_of, without_torn_end
from core.workspace.errors import GitFailed
from core.workspace.work.worktree import WorkTree

log = logging.getLogger(__name__)

# More than anybody reads; the numbers of lines are counted without this bound.
MAX_BYTES = 4_000_000
# Larger files are shown as binary ones.
_MAX_FILE_BYTES = "2m"
_LEFT_OUT = "Lines of this file are left out: a secret in it goes over several lines.\n"


def patch_of(tree: WorkTree, old: str | None, new: str) -> WorkPatch | None:
    """What differs between two commits or trees; `None` is the empty tree.

    Returns:
        `None` if git cannot tell; a run does not fail for that.
    """
    if new == (old or tree.empty_tree):
        return WorkPatch(text="")
    try:
        printed = tree.run(
            "diff-tree", "-r", "-p", "-M", "-l400", "--full-index", "--no-color", "--no-ext-diff",
            "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/", old or tree.empty_tree, new,
            settings={"core.bigFileThreshold": _MAX_FILE_BYTES},
            first_bytes=MAX_BYTES + 1,
        )  # fmt: skip
    except GitFailed as error:
        if error.is_disk_error:
            raise
        log.warning(
            "the changed lines of %s cannot be read: %s", tree.path.name, error,
            extra={"event": "workspace_patch.failed", "workspace_id": tree.path.name},
        )  # fmt: skip
        return None
    is_cut = len(printed) > MAX_BYTES
    files = files_of(printed[:MAX_BYTES].decode(errors="replace"))
    if is_cut and files:
        files[-1] = without_torn_end(files[-1])
    return WorkPatch(text="".join(map(_without_secrets, files)), is_cut=is_cut)


def _without_secrets(file: str) -> str:
    """A file's part without secrets, with as many lines as its heads say."""
    clean = redact(file)
    if clean == file or clean.count("\n") == file.count("\n"):
        return clean
    head, _, _ = file.partition("\n@@ ")
    return f"{redact(head)}\n{_LEFT_OUT}"
