"""The files that a run changed: as they were counted, with their lines if these were kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bot.web.dashboard.diff.patch_files import FileStatus, PatchFile
from core.domain.runs.work.diff import DiffStat, FileChange


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """A changed file.

    Attributes:
        number: On the page, from 0.
        shown: Its path; of a renamed file both.
        added: Added lines; `None` of a binary file.
        removed: Removed lines; the same.
        file: Its part of the patch; `None` if that was not kept.
        note: What stands instead of lines; empty if there are lines.
    """

    number: int
    shown: str
    status: FileStatus
    added: int | None
    removed: int | None
    is_committed: bool
    branch: str | None
    file: PatchFile | None
    note: str

    @property
    def line_count(self) -> int:
        """How many lines there are to show."""
        return 0 if self.file is None or self.note else self.file.line_count


def file_entries(
    diff: DiffStat, files: Sequence[PatchFile] | None, *, is_cut: bool
) -> list[FileEntry]:
    """The files of a run.

    Args:
        diff: What was counted.
        files: Those of the patch; `None` if no patch was kept.
        is_cut: Whether only the beginning of the patch was kept.
    """
    counted = diff.files[:-1] if diff.omitted_files else diff.files
    by_path = {_shown(one): one for one in reversed(files or ())}
    pairs: list[tuple[FileChange | None, PatchFile | None]] = []
    for change in counted:
        file = by_path.pop(change.path, None) if change.branch is None else None
        pairs.append((change, file))
    left = set(by_path)
    pairs += [(None, one) for one in files or () if _shown(one) in left]
    return list(_entries(pairs, has_patch=files is not None, is_cut=is_cut))


def _entries(
    pairs: Sequence[tuple[FileChange | None, PatchFile | None]], *, has_patch: bool, is_cut: bool
) -> Iterator[FileEntry]:
    for number, (change, file) in enumerate(pairs):
        is_binary = file is not None and file.is_binary
        counts = (None, None) if is_binary or file is None else (file.added, file.removed)
        yield FileEntry(
            number=number,
            shown=change.path if change is not None else _shown_of(file),
            status=FileStatus.MODIFIED if file is None else file.status,
            added=counts[0] if change is None else change.added,
            removed=counts[1] if change is None else change.removed,
            is_committed=change is None or change.committed,
            branch=None if change is None else change.branch,
            file=file,
            note=_note(change, file, has_patch=has_patch, is_cut=is_cut),
        )


def _note(
    change: FileChange | None, file: PatchFile | None, *, has_patch: bool, is_cut: bool
) -> str:
    if file is None:
        if change is not None and change.branch is not None:
            return "It is on another branch, whose lines are not kept."
        if change is not None and change.added is None:
            return "A binary file."
        if is_cut:
            return "The changes are too long: its lines were not kept."
        return "There are no lines to show." if has_patch else "Its lines were not kept."
    if file.note:
        return file.note
    if file.is_binary:
        is_large = change is not None and change.added is not None
        return "It is too large for its lines to be kept." if is_large else "A binary file."
    if file.body:
        return ""
    if file.status in (FileStatus.RENAMED, FileStatus.COPIED):
        return f"{file.status.value.capitalize()} without other changes."
    if file.status is FileStatus.MODE:
        return f"Its mode was {file.old_mode}, and is {file.new_mode}."
    return "An empty file."


def _shown(file: PatchFile) -> str:
    return file.path if file.old_path is None else f"{file.old_path} → {file.path}"


def _shown_of(file: PatchFile | None) -> str:
    return "" if file is None else _shown(file)
