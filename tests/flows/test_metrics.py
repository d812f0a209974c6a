"""`/metrics` of a whole process: a run from Slack, and a kill, are in it."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from core.domain.actor import SYSTEM
from core.domain.runs.request import KillRequest
from core.domain.runs.run import CostSource
from core.store.database.engine import Database
from tests.harness import open_harness
from tests.lasting import LASTING, MANY_TURNS, LastingWork
from tests.limits import limit


async def scrape(url: str) -> dict[tuple[str, ...], float]:
    """The samples by name and label values."""
    async with aiohttp.ClientSession() as http, http.get(f"{url}/metrics") as answer:
        assert answer.status == 200
        text = await answer.text()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_runs_kills_and_calls_to_slack_are_counted(
    database: Database, tmp_path: Path
) -> None:
    async with (
        open_harness(database, tmp_path / "home", transport="socket") as harness,
        harness.serving() as running,
    ):
        url = running.url
        before = await scrape(url)
        card = await harness.run("builder Add rate limiting")
        await card.wait_until_completed()
        lasting = LastingWork(harness.model)
        killed = await harness.run(f"builder --turns {MANY_TURNS} {LASTING}")
        run = (await harness.run_of(killed)).run
        await harness.wait_until(run, lambda seen: seen.run.tool_calls >= 1)
        async with limit(20):
            # The rows are read once in a few seconds.
            while ("signalbox_live_runs", "running", "implement") not in (  # noqa: ASYNC110
                during := await scrape(url)
            ):
                await asyncio.sleep(0.2)
        await harness.backend.runs.kill(KillRequest(target=run.run_id), by=SYSTEM)
        ended = (await harness.wait_until_ended(run)).run
        await harness.wait_until_drawn()
        after = await scrape(url)
        lasting.finish()
        first = (await harness.run_of(card)).run
        posts = harness.calls("chat.postMessage")

    success = ("signalbox_runs_total", "completed", "success", "implement")
    assert (before[success], after[success]) == (0, 1)
    assert after["signalbox_runs_total", "killed", "killed", "implement"] == 1
    assert after["signalbox_run_duration_seconds_count", "completed", "implement"] == 1
    assert after["signalbox_run_wait_seconds_count",] == 2
    assert after["signalbox_kills_total", "confirmed"] == 1
    assert after["signalbox_kill_duration_seconds_count",] == 1
    costs = {CostSource.REPORTED: Decimal(0), CostSource.ESTIMATED: Decimal(0)}
    for one in (first, ended):
        if one.cost_usd is not None and one.cost_source is not None:
            costs[one.cost_source] += one.cost_usd
    assert {
        source: after["signalbox_cost_usd_total", source.value, "implement"]
        for source in CostSource
    } == pytest.approx({source: float(cost) for source, cost in costs.items()})
    assert during["signalbox_live_runs", "running", "implement"] == 1
    assert during["signalbox_agent_processes",] == 1
    assert during["signalbox_workers", "up"] == 1
    posted = ("signalbox_slack_calls_total", "chat.postMessage", "ok")
    assert after[posted] == posts
    assert after["signalbox_drawing_lag_seconds_count", "thread"] >= 2


async def test_a_worker_alone_leaves_the_fleets_numbers_to_the_bots(
    database: Database, tmp_path: Path
) -> None:
    async with (
        open_harness(database, tmp_path / "home", transport="socket") as harness,
        harness.serving(serves_slack=False) as running,
    ):
        found = {name for name, *_ in await scrape(running.url)}

    assert "signalbox_runs_total" in found
    assert "signalbox_database_pool_size" in found
    assert found.isdisjoint({"signalbox_live_runs", "signalbox_database_up"})
