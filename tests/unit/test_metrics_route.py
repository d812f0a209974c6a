"""`/metrics` over HTTP: access to it, and Prometheus's own check of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import aiohttp
import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from bot.assembly.config.problems import first_problem
from bot.assembly.config.tables import Config
from bot.assembly.serve import web_server
from bot.slack.client.meter import CallOutcome
from bot.web.metrics.access import MetricsAccess
from bot.web.metrics.counted import CountedMetrics
from bot.web.metrics.families import ProcessState
from bot.web.metrics.route import Metrics, metrics_route
from core.domain.errors import Unavailable
from core.domain.fleet.gauges import FleetGauges
from core.domain.fleet.workers import QueueReason, WorkerState
from core.domain.kills.termination import Phase
from core.domain.runs.run import RunStatus
from core.store.database.pool_use import PoolUse
from tests.promtool import needs_promtool, promtool

TOKEN = "0123456789abcdef"
GAUGES = FleetGauges(
    live_runs={
        (RunStatus.RUNNING, "implement"): 3,
        (RunStatus.PENDING, "gone-1"): 1,
        (RunStatus.PENDING, "gone-2"): 1,
    },
    pending_runs={None: 1, QueueReason.PERSON: 1},
    oldest_pending=timedelta(seconds=90),
    workers={WorkerState.UP: 2},
    slots=8,
    agent_processes=3,
    open_kills={Phase.UNCONFIRMED: 1},
    outdated_drawables={"thread": 2, "made up": 1, "made up too": 1},
)


@dataclass
class Gauges:
    """A reader with fixed numbers, or a failure."""

    failure: Exception | None = None
    hangs: bool = False

    async def read(self) -> FleetGauges:
        if self.hangs:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        return GAUGES


def metrics(gauges: Gauges | None) -> Metrics:
    counted = CountedMetrics(version="1.2.3")
    counted.expect_workflows(["implement"])
    counted.slack_called("chat.update", CallOutcome.OK, 0.1)
    counted.drawn("thread", 0.5)
    return Metrics(
        counted=counted,
        state=ProcessState(
            pool=lambda: PoolUse(size=15, in_use=2, idle=1, waiting=0), drawing_lag=lambda: 1.5
        ),
        gauges=gauges,
        read_limit=timedelta(seconds=0.05),
    )


@asynccontextmanager
async def scraping(
    access: MetricsAccess, gauges: Gauges | None = None
) -> AsyncIterator[aiohttp.ClientSession]:
    app = web.Application()
    app.add_routes([metrics_route(metrics(gauges or Gauges()), access)])
    async with (
        web_server(app, host="127.0.0.1", port=0) as url,
        aiohttp.ClientSession(base_url=url) as http,
    ):
        yield http


async def status(http: aiohttp.ClientSession, **headers: str) -> int:
    given = {name.replace("_", "-"): text for name, text in headers.items()}
    async with http.get("/metrics", headers=given) as answer:
        return answer.status


async def scrape(gauges: Gauges | None = None) -> dict[str, dict[tuple[str, ...], float]]:
    """The samples by name and label values."""
    async with scraping(MetricsAccess(), gauges) as http, http.get("/metrics") as answer:
        assert answer.status == 200
        text = await answer.text()
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


async def test_this_machine_may_read() -> None:
    async with scraping(MetricsAccess()) as http:
        assert await status(http) == 200
        assert await status(http, Host="localhost:8765") == 200
        assert await status(http, Host="[::1]:8765") == 200


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Host", "signalbox.example.com"),
        ("Host", "127.0.0.1.example.com"),
        ("X_Forwarded_For", "203.0.113.9"),
        ("Forwarded", "for=203.0.113.9"),
        ("Via", "1.1 proxy"),
    ],
)
async def test_what_came_through_a_proxy_or_by_a_foreign_name_is_refused(
    name: str, text: str
) -> None:
    async with scraping(MetricsAccess()) as http:
        assert await status(http, **{name: text}) == 403


async def test_a_token_is_asked_of_everybody() -> None:
    async with scraping(MetricsAccess(token=TOKEN)) as http:
        found = [
            await status(http),
            await status(http, Authorization="Bearer wrong"),
            await status(http, Authorization=f"Basic {TOKEN}"),
            await status(http, Authorization="Bearer ümläut"),
            await status(http, Authorization=f"bearer {TOKEN}"),
            await status(http, Authorization=f"Bearer {TOKEN}", X_Forwarded_For="203.0.113.9"),
        ]

    assert found == [401, 401, 401, 401, 200, 200]


async def test_the_switch_opens_it() -> None:
    async with scraping(MetricsAccess(is_open=True)) as http:
        assert await status(http, Host="signalbox.example.com") == 200


async def test_the_numbers_of_the_fleet_have_bounded_labels() -> None:
    found = await scrape()

    assert found["signalbox_live_runs"] == {("running", "implement"): 3, ("pending", "other"): 2}
    assert found["signalbox_outdated_drawables"] == {
        ("thread",): 2,
        ("owner_notice",): 0,
        ("home",): 0,
        ("alert",): 0,
        ("digest",): 0,
        ("other",): 2,
    }
    assert found["signalbox_queue_depth"] == {
        ("worker",): 1,
        ("person",): 1,
        ("repository",): 0,
        ("fleet",): 0,
    }
    assert found["signalbox_queue_oldest_age_seconds"] == {(): 90}
    assert found["signalbox_workers"] == {("up",): 2, ("draining",): 0, ("gone",): 0}
    assert found["signalbox_open_kills"][("unconfirmed",)] == 1
    assert found["signalbox_database_up"] == {(): 1}
    assert found["signalbox_drawing_oldest_outdated_seconds"] == {(): 1.5}
    assert found["signalbox_database_pool_connections"] == {("in_use",): 2, ("idle",): 1}


@pytest.mark.parametrize(
    "gauges", [Gauges(failure=Unavailable("away", user_message="Away.")), Gauges(hangs=True)]
)
async def test_without_the_database_the_process_still_answers(gauges: Gauges) -> None:
    found = await scrape(gauges)

    assert found["signalbox_database_up"] == {(): 0}
    assert "signalbox_live_runs" not in found
    assert found["signalbox_slack_calls_total"] == {("chat.update", "ok"): 1}


async def test_no_series_says_when_a_counter_was_created() -> None:
    found = await scrape()

    assert not [name for name in found if name.endswith("_created")]


@needs_promtool
@pytest.mark.parametrize("gauges", [Gauges(), Gauges(hangs=True)])
async def test_prometheus_accepts_the_metrics(gauges: Gauges) -> None:
    async with scraping(MetricsAccess(), gauges) as http, http.get("/metrics") as answer:
        content_type = answer.headers["Content-Type"]
        text = await answer.text()

    checked = await asyncio.to_thread(promtool, "check", "metrics", stdin=text)

    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


async def test_openmetrics_is_answered_where_it_is_asked_for() -> None:
    accept = "application/openmetrics-text;version=1.0.0"
    async with (
        scraping(MetricsAccess()) as http,
        http.get("/metrics", headers={"Accept": accept}) as answer,
    ):
        text = await answer.text()

    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"token": "short"}, "metrics.token must have 16 to 200"),
        ({"token": "0123456789abcde "}, "metrics.token must have 16 to 200"),
        ({"token": TOKEN, "open": True}, "metrics.open cannot be true with a token"),
        ({"opened": True}, "metrics.opened is not known; did you mean open?"),
    ],
)
def test_a_wrong_table_is_named(table: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Config(metrics=table)  # type: ignore[arg-type]

    found = first_problem(caught.value, Config)
    assert f"{found.name} {found.problem}".startswith(problem)
