"""Notices about work that was carried to another machine, or could not be."""

from __future__ import annotations

from collections.abc import Sequence

from bot.words.counts import megabytes
from bot.words.markup import Markup
from core.domain.runs.event import EventRecord

_NAMES_SHOWN = 5
_SHA_CHARS = 7


def not_carried_lines(events: Sequence[EventRecord], markup: Markup) -> list[str]:
    """One line if the newest work could not be stored for other machines."""
    if not events:
        return []
    data = events[-1].data
    where = f"It stays on its worker, in workspace {_code(data.get('workspace'), markup)}"
    if data.get("too_large"):
        what = "commits are" if data.get("commits") else "uncommitted work is"
        size, limit = _size(data.get("bytes")), _size(data.get("limit"))
        line = (
            f"📦 The {what} too large to be carried to another machine ({size}, limit {limit}). "
            f"{where}: the run can be continued there. To keep it safe, let the agent push it, or "
            "keep large files out of git."
        )
        return [line]
    if data.get("failed"):
        why = markup.inline(str(data["failed"]), 200).rstrip(".")
        line = (
            f"📦 The work could not be stored for other machines: {why}. {where}; the run can be "
            "continued there."
        )
        return [line]
    return []


def restored_lines(events: Sequence[EventRecord], markup: Markup) -> list[str]:
    """One line for each time that a run continued from carried work, or without it."""
    return [" ".join(_restored_parts(event, markup)) for event in events]


def _restored_parts(event: EventRecord, markup: Markup) -> list[str]:
    data = event.data
    lines = [*_damaged_lines(event, markup), _resume_line(event, markup)]
    lines = [f"📦 {lines[0]}", *lines[1:], *_missing_lines(event, markup)]
    if data.get("kept"):
        # Beside a checkpoint everything is kept that was there, uncommitted or not.
        what = (
            "The older copy on this machine is kept in it on"
            if data.get("checkpoint")
            else "An older copy on this machine had uncommitted files; they are kept in it on"
        )
        lines.append(f"{what} {_code(data['kept'], markup)}.")
    empty = data.get("left_empty")
    if isinstance(empty, list) and empty:
        named = ", ".join(_code(name, markup) for name in empty[:_NAMES_SHOWN])
        more = f" and {len(empty) - _NAMES_SHOWN} more" if len(empty) > _NAMES_SHOWN else ""
        lines.append(f"Repositories inside it are empty here: {named}{more}.")
    return lines


def _damaged_lines(event: EventRecord, markup: Markup) -> list[str]:
    """Why the work goes on in another workspace."""
    data = event.data
    if not data.get("damaged"):
        return []
    old, new = _code(data.get("workspace"), markup), _code(data.get("rebuilt"), markup)
    line = (
        f"The repository of workspace {old} was deleted or damaged, so it was built again beside "
        f"it, as {new}. The old files are still in {old}."
    )
    return [line]


def _missing_lines(event: EventRecord, markup: Markup) -> list[str]:
    """The work that was not stored when the previous attempt ended, and where it is."""
    data = event.data
    is_stored = any(data.get(name) for name in ("commit", "uncommitted", "checkpoint"))
    if is_stored and not data.get("incomplete"):
        return []
    # This includes commits in the last seconds of a worker that died.
    what = "What came after that, commits too," if is_stored else "What it had done, commits too,"
    workspace, node = _code(data.get("workspace"), markup), data.get("from_node")
    if data.get("damaged"):
        return [f"{what} is not in it; look for it in workspace {workspace}."]
    if data.get("gone") and node:
        return [f"{what} is lost: workspace {workspace} is no longer on this machine."]
    worker = f"worker {_code(node, markup)}" if node else "its earlier worker"
    return [f"{what} is not here: it stays on the machine of {worker}, in workspace {workspace}."]


def _resume_line(event: EventRecord, markup: Markup) -> str:
    data = event.data
    commit, checkpoint = data.get("commit"), data.get("checkpoint")
    if isinstance(checkpoint, int):
        at = f", at commit {_short(commit, markup)}" if commit else ""
        return f"Continues here with the files of checkpoint {_code(f'@{checkpoint}', markup)}{at}."
    if commit and data.get("uncommitted"):
        return f"Continues here from commit {_short(commit, markup)}, with the uncommitted work."
    if commit:
        return f"Continues here from commit {_short(commit, markup)}."
    if data.get("uncommitted"):
        return "Continues here with the uncommitted work; nothing was committed yet."
    return "Nothing of its work was stored, so it begins again from the repository."


def _short(commit: object, markup: Markup) -> str:
    return markup.code(str(commit)[:_SHA_CHARS], 20)


def _code(value: object, markup: Markup) -> str:
    return markup.code(str(value or "unknown"), 120)


def _size(value: object) -> str:
    return megabytes(value) if isinstance(value, int | float) else "too much"
