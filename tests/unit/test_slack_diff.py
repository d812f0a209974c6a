"""The action that brings a message to its desired state."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from bot.slack.drawing.diff import ActionKind, action_kind, is_worth_retrying, next_action
from bot.slack.drawing.messages.forms import CHARTS_REFUSED, lost_charts, new_forms
from bot.slack.drawing.messages.posting import UNSENT, content_hash
from bot.slack.drawing.messages.replacing import MAX_REPLACEMENTS, Verdict, verdict
from bot.slack.views import blocks
from bot.slack.views.chart_pictures import chart_pictures
from bot.slack.views.message import Content, Message, TextFile
from core.domain.drawables import (
    SlackMessage,
    SlackMessageState,
)
from tests.unit.view_helpers import NOW

MESSAGE = Message(text="hi", blocks=({"type": "divider"},))
SHOWN = SlackMessage(
    id=UUID(int=1),
    thread_key="run_1",
    slot="card",
    channel_id="C1",
    state=SlackMessageState.SHOWN,
    updated_at=NOW,
    message_ts="1.2",
    content_hash=content_hash(MESSAGE),
)


@pytest.mark.parametrize(
    ("shown", "kind"),
    [
        (None, ActionKind.POST),
        (SHOWN, None),
        (replace(SHOWN, content_hash="other"), ActionKind.UPDATE),
        (replace(SHOWN, state=SlackMessageState.SENDING), ActionKind.FIND),
        (replace(SHOWN, state=SlackMessageState.GONE, error=UNSENT), ActionKind.POST),
        (replace(SHOWN, state=SlackMessageState.GONE, error="is_archived"), None),
    ],
)
def test_the_action_depends_on_the_message_row(
    shown: SlackMessage | None, kind: ActionKind | None
) -> None:
    assert action_kind(shown, MESSAGE) is kind


def test_a_file_is_never_changed() -> None:
    file = TextFile(name="a.md", title="a", content="a")

    assert action_kind(SHOWN, file) is None
    assert action_kind(None, file) is ActionKind.POST


def with_chart() -> Message:
    chart = blocks.bar_chart("Runs", ["Completed"], {"This day": [2]}, unit="runs")
    return Message(text="hi", blocks=({"type": "divider"}, chart))


def test_pictures_follow_a_message_that_lost_its_charts() -> None:
    message = with_chart()
    desired: dict[str, Content] = {"card": message, **chart_pictures(message.blocks)}
    shown = replace(SHOWN, content_hash=content_hash(message))

    whole = next_action({"card": shown}, desired, channel_id="C1", now=NOW)
    reduced = replace(shown, error=CHARTS_REFUSED)
    wanted = next_action({"card": reduced}, desired, channel_id="C1", now=NOW)
    uploaded = replace(SHOWN, slot="picture:1", message_ts="")
    done = next_action({"card": reduced, "picture:1": uploaded}, desired, channel_id="C1", now=NOW)

    assert whole is None
    assert wanted is not None
    assert (wanted.kind, wanted.slot, wanted.thread_ts) == (ActionKind.POST, "picture:1", "1.2")
    assert wanted.method == "files.completeUploadExternal"
    assert done is None


def test_a_message_has_lost_its_charts_if_another_form_of_it_was_accepted() -> None:
    message = with_chart()

    found = [lost_charts(message, form) for form in new_forms(message)]

    assert found == [None, CHARTS_REFUSED, CHARTS_REFUSED]
    assert [lost_charts(MESSAGE, form) for form in new_forms(MESSAGE)] == [None, None]


@pytest.mark.parametrize(
    ("error", "minutes", "is_worth_it"),
    [
        ("not_in_channel", 6, True),
        ("not_in_channel", 1, False),
        ("deleted", 60, False),
        (UNSENT, 60, False),
    ],
)
def test_a_lost_channel_is_retried_after_some_time(
    error: str, minutes: int, is_worth_it: bool
) -> None:
    gone = replace(SHOWN, state=SlackMessageState.GONE, error=error)

    assert is_worth_retrying(gone, NOW + timedelta(minutes=minutes)) is is_worth_it


def test_replacements_come_further_and_further_apart() -> None:
    def after(minutes: int, *, attempts: int, is_final: bool = False) -> Verdict:
        posted = NOW - timedelta(minutes=minutes)
        shown = replace(SHOWN, attempts=attempts, message_ts=f"{posted.timestamp():.6f}")
        return verdict(shown, is_final=is_final, now=NOW)

    assert after(0, attempts=0) is Verdict.REPLACE
    assert after(0, attempts=1) is Verdict.WAIT
    assert after(2, attempts=1) is Verdict.REPLACE
    assert after(2, attempts=2) is Verdict.WAIT
    assert after(11, attempts=2) is Verdict.REPLACE
    assert after(99, attempts=MAX_REPLACEMENTS) is Verdict.GIVE_UP
    assert after(0, attempts=MAX_REPLACEMENTS, is_final=True) is Verdict.REPLACE
    assert after(0, attempts=MAX_REPLACEMENTS + 1, is_final=True) is Verdict.GIVE_UP
