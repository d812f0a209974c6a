"""Words about workspaces: what they take, why they stay, and what was reclaimed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bot.words import counts, times
from bot.words.markup import Markup
from core.domain.workspaces.record import (
    HomeDisk,
    ListedWorkspace,
    RemovalWhy,
    WorkspaceState,
    WorkspacesView,
)
from core.domain.workspaces.stay import Stay, StayReason

_NAME_CHARS = 60
_TITLE_CHARS = 80
# `{names}` are the first names; `{n}` is how many there are, with the noun beside it.
STAY_WORDS: Mapping[StayReason, tuple[str, str]] = MappingProxyType(
    {
        StayReason.IN_USE: ("a run works in it", ""),
        StayReason.LIVE_RUN: ("a run works in it or waits for it", ""),
        StayReason.WORK_PENDING: ("the work of its last run is still being saved", ""),
        StayReason.NOT_DUE: ("it was used recently", ""),
        StayReason.UNCOMMITTED: ("it has uncommitted changes that are stored nowhere", "file"),
        StayReason.STAGED: ("its index has content that no commit and no file has", "file"),
        StayReason.IGNORED: ("it has ignored files that are stored nowhere", "file"),
        StayReason.STASHED: ("it has stashed changes", ""),
        StayReason.OPERATION: ("a merge, rebase or other operation of git is unfinished", ""),
        StayReason.UNPUSHED: ("it has commits that are neither pushed nor stored", "reference"),
        StayReason.TOO_LARGE: ("its work is neither pushed nor small enough to be stored", ""),
        StayReason.TAGS: ("it has tags that its repository does not have", "tag"),
        StayReason.REFERENCES: ("it has references of its own", "reference"),
        StayReason.NESTED: ("it contains another repository", ""),
        StayReason.WORKTREES: ("it has linked worktrees", "worktree"),
        StayReason.SPECIAL_FILES: ("it has files that git cannot store", "file"),
        StayReason.UNKNOWN_SESSION: ("no session of this database has it", ""),
        StayReason.UNREADABLE: ("its repository is damaged or cannot be read safely", ""),
        StayReason.TOO_MANY_FILES: ("it has too many files to compare", ""),
        StayReason.UNREACHABLE: ("its repository cannot be reached, so nobody can compare", ""),
        StayReason.FAILED: ("it could not be examined", ""),
    }
)
# Names of what keeps it are facts of the repository; in these cases they are texts for a log.
_UNNAMED = frozenset({StayReason.UNREADABLE, StayReason.OPERATION})
REMOVAL_WORDS: Mapping[RemovalWhy, str] = MappingProxyType(
    {
        RemovalWhy.DELIVERED: "its work was delivered",
        RemovalWhy.AGE: "nobody used it for long",
        RemovalWhy.ROOM: "the disk needed room",
        RemovalWhy.REQUEST: "somebody asked for it",
    }
)
STATE_WORDS: Mapping[WorkspaceState, str] = MappingProxyType(
    {
        WorkspaceState.PRESENT: "there",
        WorkspaceState.REMOVING: "being removed",
        WorkspaceState.REMOVED: "removed",
        WorkspaceState.MISSING: "gone from the disk",
    }
)


def stay_words(stay: Stay, markup: Markup) -> str:
    """Why a workspace stays, to complete "stays: …"."""
    words, noun = STAY_WORDS[stay.reason]
    if not stay.names or stay.reason in _UNNAMED:
        return words
    shown = ", ".join(markup.code(name, _NAME_CHARS) for name in stay.names)
    more = stay.count - len(stay.names)
    rest = f" and {counts.plural(more, noun)} more" if more > 0 and noun else ""
    return f"{words} ({shown}{rest})"


def workspaces_lead(view: WorkspacesView, markup: Markup) -> str:
    """How much all workspaces take, and what the last clean-ups have reclaimed."""
    present = [one for one in view.workspaces if one.row.state is WorkspaceState.PRESENT]
    if not present and not view.disks:
        return "There is no workspace, and no worker has reported its disk yet."
    total = sum(one.row.bytes or 0 for one in present)
    gone = [one for one in view.workspaces if one.row.state is WorkspaceState.REMOVED]
    reclaimed = sum(one.row.reclaimed_bytes or 0 for one in gone)
    lead = markup.strong(f"{counts.plural(len(present), 'workspace')}, {counts.megabytes(total)}")
    if not gone:
        return lead
    return f"{lead} · {len(gone)} removed in the last day, {counts.megabytes(reclaimed)} reclaimed"


def disk_line(disk: HomeDisk, markup: Markup) -> str:
    """The room on a disk."""
    facts = [
        f"{counts.megabytes(disk.room.free_bytes)} free",
        f"workspaces and mirrors take {counts.megabytes(disk.room.used_bytes)}"
        + ("" if disk.max_bytes is None else f" of {counts.megabytes(disk.max_bytes)}"),
    ]
    if disk.removable_bytes:
        facts.append(f"{counts.megabytes(disk.removable_bytes)} can go when room is needed")
    if disk.missing_bytes:
        facts.append(f"no room for a run: {counts.megabytes(disk.missing_bytes)} too little")
    return f"Disk of {markup.inline(disk.machine, _NAME_CHARS)}: {', '.join(facts)}"


def workspace_title(listed: ListedWorkspace, markup: Markup) -> str:
    """What a workspace is for: the name of its session, or the task."""
    if listed.session_name:
        return markup.inline(listed.session_name, _TITLE_CHARS)
    return markup.inline(listed.title, _TITLE_CHARS) if listed.title else "unknown session"


def workspace_facts(listed: ListedWorkspace, view: WorkspacesView, markup: Markup) -> list[str]:
    """Repository, size, age and state of a workspace."""
    row = listed.row
    facts = [markup.code(row.workspace_id, _NAME_CHARS)]
    if row.repo is not None:
        facts.append(markup.inline(row.repo, _TITLE_CHARS))
    if row.state is WorkspaceState.REMOVED:
        size = counts.megabytes(row.reclaimed_bytes or 0)
        why = "" if row.removal_why is None else f": {REMOVAL_WORDS[row.removal_why]}"
        return [*facts, f"removed, {size} reclaimed{why}"]
    if row.bytes is not None:
        facts.append(counts.megabytes(row.bytes))
    facts.append(f"used {times.elapsed(row.used_at, view.at)} ago")
    facts.append(state_words(listed, markup))
    return facts


def state_words(listed: ListedWorkspace, markup: Markup) -> str:
    """What is to be said of a workspace that is on its disk."""
    row = listed.row
    if row.state is not WorkspaceState.PRESENT:
        return STATE_WORDS[row.state]
    if listed.live_run is not None:
        return f"in use by {markup.code(listed.live_run, _NAME_CHARS)}"
    if row.requested_at is not None:
        return "to be removed, as soon as its worker has looked at it"
    if row.is_removable:
        return "stays: it was used recently; everything in it can be restored"
    return "not examined yet" if row.stay is None else f"stays: {stay_words(row.stay, markup)}"
