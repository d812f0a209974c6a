"""Workspaces in words: each reason and state has its text, on every surface."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from bot.cli.client.acts.workspaces import clean_text, list_text
from bot.slack.commands.command import CommandContext, ShowWorkspaces
from bot.slack.commands.parser import parse_slash
from bot.slack.views.fleet import workspaces_message
from bot.web.api.workspace_routes import WorkspaceRoutes
from bot.words.markup import PLAIN
from bot.words.workspaces import (
    REMOVAL_WORDS,
    STATE_WORDS,
    STAY_WORDS,
    disk_line,
    state_words,
    stay_words,
)
from core.domain.actor import SYSTEM, Actor
from core.domain.runs.request import Place
from core.domain.workspaces.policy import CleanUpPolicy, DiskRoom
from core.domain.workspaces.record import (
    HomeDisk,
    ListedWorkspace,
    RemovalWhy,
    WorkspaceRow,
    WorkspaceState,
    WorkspacesView,
)
from core.domain.workspaces.stay import Stay, StayReason
from tests.unit.view_helpers import assert_fits, text_of

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ROW = WorkspaceRow(
    disk_id="here-aa",
    workspace_id="ws_0a1b2c3d4e5f",
    state=WorkspaceState.PRESENT,
    used_at=NOW - timedelta(days=3),
    reported_at=NOW,
    session_id=uuid4(),
    repo="https://github.com/acme/api",
    bytes=12_300_000,
)
LISTED = ListedWorkspace(row=ROW, title="Add <rate> limiting", machine="build")
DISK = HomeDisk(
    disk_id="here-aa",
    node="here-aa-1",
    machine="build",
    room=DiskRoom(total_bytes=10**11, free_bytes=5 * 10**8, used_bytes=3 * 10**9),
    removable_bytes=10**8,
    min_free_bytes=10**9,
    max_bytes=4 * 10**9,
    reported_at=NOW,
)


def view(*rows: WorkspaceRow) -> WorkspacesView:
    listed = tuple(replace(LISTED, row=row) for row in rows)
    return WorkspacesView(at=NOW, workspaces=listed, disks=(DISK,))


class Fixed:
    """Answers with one view."""

    def __init__(self, found: WorkspacesView) -> None:
        self.found = found

    async def view(self, *, by: Actor) -> WorkspacesView:
        return self.found

    async def find(
        self, workspace_id: str, *, disk_id: str | None = None, by: Actor
    ) -> ListedWorkspace:
        return self.found.workspaces[0]

    clean = find


def test_every_reason_and_state_has_its_words() -> None:
    assert STAY_WORDS.keys() == set(StayReason)
    assert STATE_WORDS.keys() == set(WorkspaceState)
    assert REMOVAL_WORDS.keys() == set(RemovalWhy)


def test_a_reason_names_what_it_is_about() -> None:
    stay = Stay.of(StayReason.IGNORED, [f"file{number}" for number in range(9)])

    words = stay_words(stay, PLAIN)

    assert words == (
        "it has ignored files that are stored nowhere (file0, file1, file2, file3, file4 and 4 "
        "files more)"
    )


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        (LISTED, "not examined yet"),
        (replace(LISTED, live_run="run_1"), "in use by run_1"),
        (
            replace(LISTED, row=replace(ROW, stay=Stay.of(StayReason.STASHED, ["2 stashes"]))),
            "stays: it has stashed changes (2 stashes)",
        ),
        (
            replace(LISTED, row=replace(ROW, is_removable=True)),
            "stays: it was used recently; everything in it can be restored",
        ),
        (
            replace(LISTED, row=replace(ROW, requested_at=NOW)),
            "to be removed, as soon as its worker has looked at it",
        ),
        (replace(LISTED, row=replace(ROW, state=WorkspaceState.MISSING)), "gone from the disk"),
    ],
)
def test_the_state_of_a_workspace_in_words(listed: ListedWorkspace, words: str) -> None:
    assert state_words(listed, PLAIN) == words


def test_a_disk_without_room_says_how_much_is_missing() -> None:
    assert disk_line(DISK, PLAIN) == (
        "Disk of build: 500.0 MB free, workspaces and mirrors take 3,000.0 MB of 4,000.0 MB, 100.0 "
        "MB can go when room is needed, no room for a run: 500.0 MB too little"
    )


def test_the_message_escapes_tasks_and_shows_what_was_reclaimed() -> None:
    removed = replace(
        ROW,
        state=WorkspaceState.REMOVED,
        removed_at=NOW,
        reclaimed_bytes=5_000_000,
        removal_why=RemovalWhy.DELIVERED,
    )

    message = workspaces_message(view(ROW, removed))

    assert_fits(message)
    text = text_of(message)
    assert "Add &lt;rate&gt; limiting" in text
    assert "1 workspace, 12.3 MB" in text
    assert "1 removed in the last day, 5.0 MB reclaimed" in text
    assert "removed, 5.0 MB reclaimed: its work was delivered" in text


def test_many_workspaces_fit_into_a_message() -> None:
    assert_fits(workspaces_message(view(*[ROW] * 300)))


@pytest.mark.parametrize("typed", ["workspaces", "workspace", "disk"])
def test_the_command_lists_workspaces(typed: str) -> None:
    context = CommandContext(request_key="k", place=Place(team_id="T1", channel_id="C1"))

    assert parse_slash(typed, context) == ShowWorkspaces()


async def test_the_command_line_shows_what_the_api_answers() -> None:
    stay = Stay.of(StayReason.STASHED, ["1 stash"])
    routes = WorkspaceRoutes(Fixed(view(replace(ROW, stay=stay))))
    call = type("Call", (), {"actor": SYSTEM})()

    body = (await routes.list_workspaces(call)).model_dump(mode="json")
    lines = list_text(body, now=NOW, width=160).splitlines()

    assert lines[1].startswith("ws_0a1b2c3d4e5f  Add <rate> limiting")
    assert lines[1].endswith("stays: it has stashed changes (1 stash)")
    assert lines[2].startswith("Disk of build (here-aa): 500.0 MB free")
    assert clean_text(body["workspaces"][0]) == (
        "ws_0a1b2c3d4e5f stays: it has stashed changes (1 stash)."
    )


def test_a_policy_tells_what_is_due() -> None:
    policy = CleanUpPolicy()
    day, hour = timedelta(days=1), timedelta(hours=1)

    assert policy.is_due(idle=2 * day, is_delivered=True)
    assert not policy.is_due(idle=2 * day, is_delivered=False)
    assert not policy.is_due(idle=hour, is_delivered=True)
    assert policy.is_due(idle=15 * day, is_delivered=False)
    assert not replace(policy, max_age=None).is_due(idle=900 * day, is_delivered=False)


def test_the_missing_room_is_the_larger_of_floor_and_quota() -> None:
    room = DiskRoom(total_bytes=100, free_bytes=10, used_bytes=50)

    assert room.missing_bytes(CleanUpPolicy(min_free_bytes=30)) == 20
    assert room.missing_bytes(CleanUpPolicy(min_free_bytes=5, max_bytes=20)) == 30
    assert room.missing_bytes(CleanUpPolicy(min_free_bytes=5, max_bytes=60)) == 0
