"""The files of a patch: what their heads say, before any of their lines is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from core.domain.runs.work.patch import files_of

_MAX_PATH_CHARS = 1_000
# Git writes names with quotes, backslashes and control characters like C does.
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\([0-7]{3}|.)")
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


class FileStatus(StrEnum):
    """What became of a file; the values are words for people."""

    ADDED = "added"
    DELETED = "deleted"
    RENAMED = "renamed"
    COPIED = "copied"
    MODIFIED = "changed"
    MODE = "mode changed"


@dataclass(frozen=True, kw_only=True)
class PatchFile:
    """A file of a patch.

    Attributes:
        path: Its path at the end; of a deleted file the one that it had.
        old_path: Its path at the start, if it was another one.
        old_mode: Its mode at the start, if that changed (`100644`).
        new_mode: Its mode at the end, the same.
        similarity: Of a renamed file in percent.
        body: Its hunks, as git writes them; empty if it has none.
        added: Added lines of the body.
        removed: Removed lines of it.
        note: What stands instead of lines.
    """

    path: str
    status: FileStatus = FileStatus.MODIFIED
    old_path: str | None = None
    old_mode: str | None = None
    new_mode: str | None = None
    similarity: int | None = None
    is_binary: bool = False
    body: str = ""
    added: int = 0
    removed: int = 0
    note: str = ""

    @property
    def line_count(self) -> int:
        """How many lines its hunks have, with their heads."""
        return self.body.count("\n")


def patch_files(text: str) -> list[PatchFile]:
    """The files of a patch, in its order.  It never fails: what is odd stays text."""
    return [_file(part) for part in files_of(text)]


def _file(part: str) -> PatchFile:
    place = 0 if part.startswith("@@ ") else part.find("\n@@ ") + 1
    head, body = (part[:place], part[place:]) if place else (part, "")
    lines = head.split("\n")
    values = _head_values(lines[1:])
    old, new = _paths(lines[0], values)
    status = _status(values, body)
    return PatchFile(
        path=(old if status is FileStatus.DELETED else new)[:_MAX_PATH_CHARS],
        old_path=old[:_MAX_PATH_CHARS] if old != new and _was_moved(status) else None,
        status=status,
        old_mode=values.get("old mode"),
        new_mode=values.get("new mode"),
        similarity=_percent(values.get("similarity index")),
        is_binary="Binary files" in values or "GIT binary patch" in values,
        body=body,
        added=_count(body, "+"),
        removed=_count(body, "-"),
        note=values.get("Lines of this file", ""),
    )


_FIELDS = (
    "old mode", "new mode", "new file mode", "deleted file mode", "similarity index",
    "rename from", "rename to", "copy from", "copy to", "--- ", "+++ ", "Binary files",
    "GIT binary patch", "Lines of this file",
)  # fmt: skip


def _head_values(lines: list[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for line in lines:
        name = next((one for one in _FIELDS if line.startswith(one)), None)
        if name is None:
            continue
        is_note = name == "Lines of this file"
        values.setdefault(name.strip(), line if is_note else line[len(name) :].strip(" "))
    return values


def _paths(first: str, values: dict[str, str]) -> tuple[str, str]:
    """The path at the start and at the end."""
    old = values.get("rename from") or values.get("copy from")
    new = values.get("rename to") or values.get("copy to")
    if old and new:
        return _name(old), _name(new)
    names = [values.get("---"), values.get("+++")]
    given = [_name(one)[2:] for one in names if one and not one.startswith("/dev/null")]
    if given:
        return given[0], given[-1]
    return (_of_head(first.removeprefix("diff --git ")),) * 2


def _of_head(pair: str) -> str:
    """The name that stands there twice, after `a/` and `b/`."""
    quoted = _QUOTED.match(pair)
    if quoted:
        return _name(quoted[0])[2:]
    half = (len(pair) - 1) // 2
    return pair[2:half] if pair[2:half] == pair[half + 3 :] else pair


def _name(written: str) -> str:
    written = written.removesuffix("\t")
    quoted = _QUOTED.fullmatch(written)
    if quoted is None:
        return written
    raw = b"".join(_unescaped(quoted[1]))
    return raw.decode("utf-8", "replace")


def _unescaped(text: str) -> Iterator[bytes]:
    start = 0
    for found in _ESCAPED.finditer(text):
        yield text[start : found.start()].encode("utf-8", "replace")
        code = found[1]
        yield (
            bytes([int(code, 8) & 0xFF])
            if len(code) == 3
            else _LETTERS.get(code, code).encode("utf-8", "replace")
        )
        start = found.end()
    yield text[start:].encode("utf-8", "replace")


def _status(values: dict[str, str], body: str) -> FileStatus:
    if "new file mode" in values:
        return FileStatus.ADDED
    if "deleted file mode" in values:
        return FileStatus.DELETED
    if "rename from" in values:
        return FileStatus.RENAMED
    if "copy from" in values:
        return FileStatus.COPIED
    is_same = not body and "Binary files" not in values
    return FileStatus.MODE if "old mode" in values and is_same else FileStatus.MODIFIED


def _was_moved(status: FileStatus) -> bool:
    return status in (FileStatus.RENAMED, FileStatus.COPIED)


def _percent(text: str | None) -> int | None:
    digits = (text or "").removesuffix("%")
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= 3 else None


def _count(body: str, sign: str) -> int:
    return body.count(f"\n{sign}")
