"""The menu of a card leads to the run's page, where the dashboard's address is known."""

from __future__ import annotations

import pytest

from bot.slack.views.runs.links import ThreadLinks
from bot.slack.views.thread.card import run_card
from core.domain.runs.run import RunStatus, StopReason
from core.domain.runs.snapshot import RunSnapshot
from tests.unit.view_helpers import (
    NOW,
    buttons_of,
    make_ended_run,
    make_run,
    make_snapshot,
    problems_of,
)

LINKS = ThreadLinks(dashboard_url="https://signalbox.example.com/")
STATES = [
    make_snapshot(make_run(status=RunStatus.PENDING)),
    make_snapshot(),
    *(make_snapshot(make_ended_run(reason)) for reason in StopReason),
    make_snapshot(make_ended_run(StopReason.MAX_TURNS, turns=3, max_turns=60)),
    make_snapshot(make_ended_run(StopReason.KILLED, turns=3, max_turns=60)),
]


@pytest.mark.parametrize("snapshot", STATES, ids=lambda one: str(one.run.stop_reason))
def test_every_card_leads_to_its_page_and_keeps_its_buttons(snapshot: RunSnapshot) -> None:
    card = run_card(snapshot, now=NOW, links=LINKS)

    assert problems_of(card) == []
    (actions,) = [block["elements"] for block in card.blocks if block["type"] == "actions"]
    assert len(actions) <= 3
    options = actions[-1]["options"]
    assert options[-1]["url"] == f"https://signalbox.example.com/runs/{snapshot.run.run_id}"
    without = run_card(snapshot, now=NOW)
    wanted = {label.removeprefix("· ") for label in buttons_of(without)}
    assert {label.removeprefix("· ") for label in buttons_of(card)} == wanted | {"Dashboard"}
    assert "Dashboard" not in str(without.blocks)
