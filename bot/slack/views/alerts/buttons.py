"""The buttons of a message about alerts: at most three, the last one a menu.

They carry the id of the message, not those of its alerts: a person means what the message is about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from bot.slack import ids
from bot.slack.views import blocks
from bot.slack.views.message import Block
from bot.slack.views.runs.continue_buttons import continue_buttons
from bot.slack.views.thread.buttons import live_buttons
from bot.words.kills import WORK_IS_KEPT, owned_run_words
from core.domain.alerts.episode import Episode
from core.domain.alerts.kinds import AlertKind
from core.domain.alerts.message import AlertMessage
from core.domain.runs.snapshot import RunSnapshot

SNOOZE_LABELS: Mapping[str, str] = MappingProxyType(
    {
        ids.ALERT_SNOOZE_1H: "Snooze 1 h",
        ids.ALERT_SNOOZE_4H: "Snooze 4 h",
        ids.ALERT_SNOOZE_MORNING: "Snooze until 9:00",
    }
)
# What a person can say of an alert, without the snoozes.
_LABELS: Mapping[str, str] = MappingProxyType(
    {ids.ALERT_ACKNOWLEDGE: "Acknowledge", ids.ALERT_STILL_FINE: "Still fine"}
)


def alert_buttons(message: AlertMessage, now: datetime) -> list[Block]:
    """The buttons that help now; none once all alerts have ended."""
    alerts = [alert for alert in message.alerts if alert.is_open]
    if not alerts:
        return []
    of_run: list[Block] = []
    if len(message.alerts) == 1 and alerts[0].run_id is not None:
        of_run = run_buttons(message.runs.get(alerts[0].run_id))
    # On a phone three elements fit beside each other: the menu takes what else there is.
    is_stalled = all(alert.kind is AlertKind.STALLED for alert in alerts)
    is_acknowledged = all(alert.acknowledged_by is not None for alert in alerts)
    acts = [ids.ALERT_STILL_FINE] if is_stalled and not _are_snoozed(alerts, now) else []
    acts += [] if is_acknowledged else [ids.ALERT_ACKNOWLEDGE]
    shown = acts[: 2 - len(of_run)]
    options = {
        **{act: _LABELS[act] for act in acts if act not in shown},
        **SNOOZE_LABELS,
    }
    group_id = str(message.group.id)
    every = " all" if len(message.alerts) > 1 else ""
    return [
        *of_run,
        *(blocks.button(f"{_LABELS[act]}{every}", action_id=act, value=group_id) for act in shown),
        blocks.overflow(
            ids.ALERT_MENU,
            {
                ids.menu_value(act, group_id): _with_all(label, every)
                for act, label in options.items()
            },
        ),
    ]


def run_buttons(run: RunSnapshot | None) -> list[Block]:
    """The likeliest act on the run that an alert is about: stop it, or go on with it."""
    if run is None:
        return []
    if run.run.is_live:
        # Without the cost, with which the message would change all the time.
        question = f"Stop {owned_run_words(run)}? {WORK_IS_KEPT}"
        return live_buttons(run, question=question)
    offered = continue_buttons(run.run)
    likely = [button for button in offered if button.get("style") is not None]
    return [_short(button) for button in (likely or offered)[:1]]


def _short(button: Block) -> Block:
    """A button that leaves room for two others beside it: the card has the number of turns."""
    if button["action_id"] != ids.CONTINUE_LEFT:
        return button
    return {**button, "text": blocks.plain("Continue", blocks.BUTTON_LIMIT)}


def _are_snoozed(alerts: Sequence[Episode], now: datetime) -> bool:
    return all(alert.is_snoozed(now) for alert in alerts)


def _with_all(label: str, every: str) -> str:
    """`Snooze 1 h`, of several alerts `Snooze all 1 h`."""
    return label.replace("Snooze", f"Snooze{every}") if "Snooze" in label else f"{label}{every}"
