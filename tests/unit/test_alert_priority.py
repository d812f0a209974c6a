"""Which messages about alerts are drawn first."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from bot.slack.client.rate_limits import Priority
from bot.slack.drawing.alert_priority import alert_priority
from bot.slack.drawing.diff import ActionKind, DrawAction
from bot.slack.views.alerts.message import ALERT
from bot.slack.views.alerts.receipts import already_ended
from core.domain.alerts.history import AlertEvent
from core.domain.alerts.kinds import AlertKind
from core.domain.drawables import SlackMessage, SlackMessageState
from tests.alerts.sample_messages import event, in_state, message_of
from tests.alerts.samples import open_alert
from tests.unit.view_helpers import NOW


def action_of(kind: ActionKind, slot: str = ALERT, *, shown_before: float = 60) -> DrawAction:
    current = SlackMessage(
        id=UUID(int=9),
        thread_key="x",
        slot=slot,
        channel_id="C1",
        state=SlackMessageState.SHOWN,
        updated_at=NOW - timedelta(seconds=shown_before),
    )
    return DrawAction(
        kind=kind,
        slot=slot,
        message=already_ended([in_state(AlertKind.STALLED, "resolved")]),
        current=None if kind is ActionKind.POST else current,
        channel_id="C1",
        thread_ts=None,
    )


def test_what_calls_people_comes_first_and_numbers_come_last() -> None:
    alert = open_alert(AlertKind.STALLED)
    quiet = message_of(alert)
    acknowledged = message_of(
        alert, events=[event(2, alert, AlertEvent.ACKNOWLEDGED, NOW, by="Ben")]
    )
    notice = message_of(open_alert(AlertKind.COMPLETED))
    post, update = action_of(ActionKind.POST), action_of(ActionKind.UPDATE)

    assert alert_priority(quiet, post, False) is Priority.FINAL
    assert alert_priority(notice, post, False) is Priority.ANSWER
    assert alert_priority(acknowledged, update, False) is Priority.ANSWER
    assert alert_priority(quiet, update, False) is Priority.STEP
    assert alert_priority(quiet, update, True) is Priority.IDLE
    history = action_of(ActionKind.POST, "history")
    assert alert_priority(acknowledged, history, False) is Priority.STEP
