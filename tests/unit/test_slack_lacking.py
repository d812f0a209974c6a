"""What a message of a thread lacks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from bot.slack.drawing.diff import Kind, kind_of, may_be_back
from bot.slack.drawing.posting import UNSENT, content_hash
from bot.slack.views.message import Message, TextFile
from core.domain.runs.snapshot import Shown, ShownState
from tests.unit.drawn import NOW

MESSAGE = Message(text="hi", blocks=({"type": "divider"},))
SHOWN = Shown(
    id=UUID(int=1),
    thread_key="run_1",
    slot="card",
    channel_id="C1",
    state=ShownState.SHOWN,
    updated_at=NOW,
    message_ts="1.2",
    content_hash=content_hash(MESSAGE),
)


@pytest.mark.parametrize(
    ("shown", "kind"),
    [
        (None, Kind.POST),
        (SHOWN, None),
        (replace(SHOWN, content_hash="other"), Kind.UPDATE),
        (replace(SHOWN, state=ShownState.SENDING), Kind.FIND),
        (replace(SHOWN, state=ShownState.GONE, error=UNSENT), Kind.POST),
        (replace(SHOWN, state=ShownState.GONE, error="is_archived"), None),
    ],
)
def test_a_message_lacks_what_its_row_says(shown: Shown | None, kind: Kind | None) -> None:
    assert kind_of(shown, MESSAGE) is kind


def test_a_file_is_never_changed() -> None:
    file = TextFile(name="a.md", title="a", content="a")

    assert kind_of(SHOWN, file) is None
    assert kind_of(None, file) is Kind.POST


@pytest.mark.parametrize(
    ("error", "minutes", "is_worth_it"),
    [
        ("not_in_channel", 6, True),
        ("not_in_channel", 1, False),
        ("deleted", 60, False),
        (UNSENT, 60, False),
    ],
)
def test_a_lost_place_is_tried_again_after_a_while(
    error: str, minutes: int, is_worth_it: bool
) -> None:
    gone = replace(SHOWN, state=ShownState.GONE, error=error)

    assert may_be_back(gone, NOW + timedelta(minutes=minutes)) is is_worth_it
