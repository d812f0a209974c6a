"""The fleet in words: each state has its text, and silent or missing workers are shown."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.cli.workers import _json, _table
from bot.slack.commands.command import CommandContext, ShowWorkers
from bot.slack.commands.parser import parse_slash
from bot.slack.views.fleet import fleet_message
from bot.words.fleet import STATE_WORDS
from core.domain.fleet.attempt import build_host_id
from core.domain.fleet.workers import FleetSnapshot, WorkerRecord, WorkerState
from core.domain.runs.request import Place
from tests.unit.view_helpers import assert_fits, text_of

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
WORKER = WorkerRecord(
    worker_id="build-1:aa",
    node="build-1",
    host="build <&>",
    slots=4,
    state=WorkerState.UP,
    started_at=NOW - timedelta(hours=1),
    heartbeat_at=NOW - timedelta(seconds=3),
    program_version="0.2",
    live_runs=3,
)


def view(*workers: WorkerRecord, waiting: int = 0) -> FleetSnapshot:
    return FleetSnapshot(at=NOW, workers=workers, pending_runs=waiting)


def test_every_state_has_its_words() -> None:
    assert STATE_WORDS.keys() == set(WorkerState)


def test_a_worker_is_shown_with_its_slots_and_last_heartbeat() -> None:
    drawn = fleet_message(view(WORKER, replace(WORKER, node="build-2", live_runs=0), waiting=2))

    assert_fits(drawn)
    words = text_of(drawn)
    assert "3 of 8 slots in use" in words
    assert "2 runs wait" in words
    assert "`build-1` on build &lt;&amp;&gt;" in words
    assert "version 0.2" in words


def test_a_silent_worker_is_marked() -> None:
    silent = replace(WORKER, heartbeat_at=NOW - timedelta(seconds=20))

    assert "silent" in text_of(fleet_message(view(silent)))
    assert "silent" in _table(view(silent))
    assert not replace(silent, state=WorkerState.GONE).is_silent(NOW)


@pytest.mark.parametrize("gone", [(), (replace(WORKER, state=WorkerState.GONE, live_runs=0),)])
def test_an_empty_fleet_is_shown_with_advice(gone: tuple[WorkerRecord, ...]) -> None:
    drawn = fleet_message(view(*gone, waiting=1))

    assert_fits(drawn)
    assert "There is no worker" in text_of(drawn)
    assert "signalbox worker" in text_of(drawn)
    assert "1 run waits" in text_of(drawn)


def test_a_long_list_fits_a_message() -> None:
    many = [replace(WORKER, node=f"node-{number}") for number in range(200)]

    assert_fits(fleet_message(view(*many)))


def test_the_table_has_a_column_for_each_fact() -> None:
    heads, row, rest = _table(view(WORKER, waiting=2)).splitlines()

    expected = ["NODE", "HOST", "STATE", "USED", "FREE", "ISOLATED", "VERSION", "HEARTBEAT"]
    assert heads.split() == expected
    assert row.startswith("build-1  build <&>  up")
    assert row.endswith("3 s ago")
    assert rest == "Runs that wait: 2"
    assert "There is no worker." in _table(view())


def test_programs_get_the_same_facts() -> None:
    document = json.loads(_json(view(WORKER, waiting=2)))

    assert document["waiting_runs"] == 2
    (worker,) = document["workers"]
    assert worker["node"] == "build-1"
    assert (worker["slots"], worker["live_runs"], worker["free_slots"]) == (4, 3, 1)
    assert worker["heartbeat_at"] == WORKER.heartbeat_at.isoformat()


def test_a_host_is_shown_by_its_hostname() -> None:
    seen = view(replace(WORKER, host=build_host_id("build", boot="6dd256fd", namespace=4026531836)))

    assert "`build-1` on build\n" in text_of(fleet_message(seen))
    assert _table(seen).splitlines()[1].split()[:3] == ["build-1", "build", "up"]
    assert json.loads(_json(seen))["workers"][0]["host"] == "build"


def test_a_draining_worker_has_no_free_slot() -> None:
    assert WORKER.free_slots == 1
    assert replace(WORKER, state=WorkerState.DRAINING).free_slots == 0
    assert replace(WORKER, live_runs=9).free_slots == 0


@pytest.mark.parametrize("text", ["workers", "Workers", "fleet"])
def test_workers_is_a_command(text: str) -> None:
    context = CommandContext(request_key="k", place=Place(team_id="T1", channel_id="C1"))

    assert parse_slash(text, context) == ShowWorkers()
