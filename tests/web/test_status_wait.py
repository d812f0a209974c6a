"""Waiting for a change of a status, and lists that say whether they have changed."""

from __future__ import annotations

import asyncio
import time

import pytest

from bot.web.streams.limits import StreamLimits
from core.domain.actor import SYSTEM, Role
from core.store.database.engine import Database
from tests.api import CONSOLE, ApiHarness, open_api
from tests.database import running_run
from tests.limits import limit
from tests.streams import add_events, until


@pytest.fixture
async def token(api: ApiHarness) -> str:
    return await api.token(role=Role.VIEWER)


async def until_waiting(api: ApiHarness) -> None:
    """Return when a request waits for a change."""
    await until(lambda: api.gate.open_count and api.watches._watched)


async def test_a_status_that_is_known_is_answered_when_it_changes(
    api: ApiHarness, token: str
) -> None:
    run = await running_run(api.database)
    path = f"{CONSOLE}/run/{run.run_id}/status"
    known = await api.get(path, token)
    headers = {"If-None-Match": known.headers["ETag"]}

    by_etag = asyncio.create_task(api.get(f"{path}?wait=50", token, headers=headers))
    await until_waiting(api)
    version = known.body["version"]
    by_version = asyncio.create_task(api.get(f"{path}?wait=50&version={version}", token))
    await asyncio.sleep(0.2)
    assert not by_etag.done()
    assert not by_version.done()
    await add_events(api.database, run, "something")
    async with limit(10):
        changed = [await by_etag, await by_version]

    assert [one.status for one in changed] == [200, 200]
    assert {one.body["last_activity"] for one in changed} == {"something"}
    assert changed[0].headers["ETag"] != known.headers["ETag"]


async def test_a_status_that_has_changed_already_is_answered_at_once(
    api: ApiHarness, token: str
) -> None:
    run = await running_run(api.database)
    path = f"{CONSOLE}/run/{run.run_id}/status?wait=50"
    known = await api.get(path, token)
    await add_events(api.database, run, "something")

    async with limit(2):
        reply = await api.get(path, token, headers={"If-None-Match": known.headers["ETag"]})

    assert (known.status, reply.status) == (200, 200)
    assert reply.body["last_activity"] == "something"


async def test_a_wait_without_a_change_ends_in_time(api: ApiHarness, token: str) -> None:
    run = await running_run(api.database)
    path = f"{CONSOLE}/run/{run.run_id}/status"
    known = await api.get(path, token)
    began = time.monotonic()

    by_etag = await api.get(
        f"{path}?wait=1", token, headers={"If-None-Match": known.headers["ETag"]}
    )
    by_version = await api.get(f"{path}?wait=1&version={known.body['version']}", token)

    assert time.monotonic() - began >= 2
    assert (by_etag.status, by_etag.text) == (304, "")
    assert by_version.body["version"] == known.body["version"]


async def test_a_wait_is_bounded_and_ends_with_its_token(api: ApiHarness, token: str) -> None:
    run = await running_run(api.database)
    path = f"{CONSOLE}/run/{run.run_id}/status"

    too_long = await api.get(f"{path}?wait=56", token)
    wait = asyncio.create_task(api.get(f"{path}?wait=50&version={run.version}", token))
    await until_waiting(api)
    await api.tokens.revoke("ci", by=SYSTEM)
    async with limit(5):
        ended = await wait

    assert (too_long.status, too_long.error) == (400, "invalid_request")
    assert (ended.status, ended.body["details"]) == (401, {"problem": "revoked"})


async def test_waits_count_among_streams_and_end_when_the_server_stops(database: Database) -> None:
    async with open_api(database, limits=StreamLimits(per_token=1)) as api:
        token = await api.token(role=Role.VIEWER)
        run = await running_run(database)
        path = f"{CONSOLE}/run/{run.run_id}/status?version={run.version}&wait="
        wait = asyncio.create_task(api.get(f"{path}50", token))
        await until_waiting(api)

        too_many = await api.get(f"{path}1", token)
        at_once = await api.get(f"{path}0", token)
        await api.gate.close()
        async with limit(5):
            stopped = await wait

    assert (too_many.status, too_many.error) == (429, "too_many_streams")
    assert at_once.status == 200
    assert (stopped.status, stopped.error) == (503, "server_stopping")


async def test_a_list_of_runs_says_whether_it_has_changed(api: ApiHarness, token: str) -> None:
    run = await running_run(api.database)
    first = await api.get(f"{CONSOLE}/runs", token)
    headers = {"If-None-Match": first.headers["ETag"]}

    same = await api.get(f"{CONSOLE}/runs", token, headers=headers)
    await add_events(api.database, run, "something")
    unseen = await api.get(f"{CONSOLE}/runs", token, headers=headers)
    await running_run(api.database)
    changed = await api.get(f"{CONSOLE}/runs", token, headers=headers)

    assert (same.status, same.text) == (304, "")
    # What a list does not show is no change of the list.
    assert unseen.status == 304
    assert changed.status == 200
    assert changed.body["total_count"] == 2
