"""Faults of every kind: each thread ends true, nothing is posted or started twice."""

from __future__ import annotations

import asyncio
import copy
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.domain.runs.run import RunStatus
from core.store.database import migrate
from core.store.database.embedded.server import EmbeddedServer
from core.store.database.engine import Database, open_database
from core.store.slack import deliveries
from tests.card import BUILDS, Card
from tests.database import NO_DURABILITY
from tests.harness import Harness, harness, idle_harness, open_harness, socket_harness
from tests.lasting import LASTING, MANY_TURNS, LastingWork
from tests.processes import new_home
from tests.repositories import new_repository
from tests.sandbox import command_body
from tests.transports import BOTH_TRANSPORTS

__all__ = ["harness", "idle_harness", "socket_harness"]

pytestmark = pytest.mark.sampled(4)

SLOW = f"builder --turns {MANY_TURNS} {LASTING}"


def slots(card: Card) -> Counter[str]:
    """How often each slot is shown in a thread."""
    return Counter(
        str(message["metadata"]["event_payload"]["slot"])
        for message in card.messages
        if message.get("metadata")
    )


async def assert_ended_true(harness: Harness, card: Card, words: str | None = None) -> None:
    """Wait for the end of the thread, and assert that it has no duplicates."""
    await (card.wait_until_completed() if words is None else card.wait_for_text(words))
    await harness.wait_until_drawn()
    assert set(slots(card).values()) == {1}, slots(card)
    assert sum(slot.startswith("result:") for slot in slots(card)) == 1
    assert len(harness.run_cards()) == 1
    run = (await harness.run_of(card)).run
    assert not run.is_live
    assert "Kill" not in card.labels


@BOTH_TRANSPORTS
async def test_a_redelivered_command_starts_once(harness: Harness) -> None:
    body = command_body(harness.sandbox, "run builder [scenario: long] [turns: 1] once")
    deliver = harness.sandbox.deliverer.interact

    await asyncio.gather(
        *(deliver("slash_commands", "/workflow", copy.deepcopy(body)) for _ in range(3))
    )
    card = await harness.human.wait_for(
        lambda: next(iter(harness.run_cards()), None), what="the card"
    )
    await assert_ended_true(harness, card)
    await deliver("slash_commands", "/workflow", copy.deepcopy(body))

    await harness.wait_until_drawn()
    assert len(await harness.runs()) == 1
    assert len(harness.run_cards()) == 1


@BOTH_TRANSPORTS
async def test_a_mention_delivered_twice_acts_once(harness: Harness) -> None:
    # The same event again, as after a lost acknowledgement.
    await harness.human.say(BUILDS, "@signalbox run builder [scenario: long] [turns: 1] once")
    card = await harness.human.wait_for(
        lambda: next(iter(harness.run_cards()), None), what="the card"
    )
    sent = [
        entry
        for entry in harness.sandbox.inspector.entries
        if entry.direction == "delivery" and entry.name == "app_mention"
    ]
    outcome = await harness.sandbox.deliverer._attempt(
        "events_api",
        "app_mention",
        copy.deepcopy(sent[0].request),
        retry=1,
        reason="http_timeout",
        timeout=3,
    )

    await assert_ended_true(harness, card)
    assert outcome.error is None
    assert len(await harness.runs()) == 1


@BOTH_TRANSPORTS
async def test_the_next_bot_handles_a_delivery_accepted_by_a_dead_bot(
    idle_harness: Harness,
) -> None:
    body = command_body(idle_harness.sandbox, "run builder [scenario: long] [turns: 1] left behind")
    a_minute_ago = datetime.now(UTC) - timedelta(minutes=1)
    async with idle_harness.database.sessions.begin() as session:
        await deliveries.receive(session, f"command:{body['trigger_id']}", body, now=a_minute_ago)

    async with idle_harness.serving():
        card = await idle_harness.human.wait_for(
            lambda: next(iter(idle_harness.run_cards()), None), what="the card"
        )
        await assert_ended_true(idle_harness, card)
        await idle_harness.settle()
        assert len(await idle_harness.runs()) == 1


@BOTH_TRANSPORTS
async def test_a_thread_ends_true_when_the_bot_is_replaced_during_a_run(
    idle_harness: Harness,
) -> None:
    harness, lasting = idle_harness, LastingWork(idle_harness.model)
    async with harness.serving(serves_slack=False, home=harness.home.parent / "worker"):
        async with harness.serving(runs_worker=False):
            card = await harness.run(SLOW)
            await card.wait_for_text("Running")
        lasting.finish()
        async with harness.serving(runs_worker=False):
            await assert_ended_true(harness, card)
            await harness.settle()

    assert len(harness.run_cards()) == 1


@pytest.mark.parametrize("flags", ["", "--repo {repository} --branch stable"])
async def test_a_run_handed_over_continues_on_a_node_without_its_workspace(
    database: Database, tmp_path: Path, flags: str
) -> None:
    repository = await asyncio.to_thread(new_repository, tmp_path / "api", branch="stable")
    async with open_harness(database, tmp_path / "home", transport="socket") as harness:
        lasting = LastingWork(harness.model)
        async with harness.serving():
            card = await harness.start_in_tool_call(
                f"builder {flags.format(repository=repository)} --turns {MANY_TURNS} {LASTING}"
            )
        lasting.finish()
        async with harness.serving(home=await asyncio.to_thread(new_home, tmp_path / "other")):
            await assert_ended_true(harness, card)
            await harness.settle()
        run = (await harness.run_of(card)).run

    assert run.attempt == 2
    assert run.status is RunStatus.COMPLETED, run.error_message
    assert run.git_branch == (f"signalbox/implement/{run.run_id}" if flags else "main")


async def test_two_bots_draw_each_thread_once(idle_harness: Harness) -> None:
    harness = idle_harness
    async with (
        harness.serving(),
        harness.serving(runs_worker=False, home=harness.home.parent / "other"),
    ):
        card = await harness.run("builder [scenario: long] [turns: 4] [delay: 0.2s] work")
        await assert_ended_true(harness, card)
        await harness.settle()

        assert len(await harness.runs()) == 1


@pytest.mark.parametrize("kind", ["lost_answer", "429", "500", "reset"])
async def test_a_thread_ends_true_through_failing_calls(socket_harness: Harness, kind: str) -> None:
    # The first call of each method, and one more.
    faults = socket_harness.sandbox.faults
    for method in ("chat.postMessage", "chat.update"):
        faults.add(method, kind, times=2, retry_after=1)
    lasting = LastingWork(socket_harness.model)

    card = await socket_harness.run(SLOW)
    await card.wait_for_text("Running")
    # The card is there, so that the end is an update.
    lasting.finish()

    await assert_ended_true(socket_harness, card)
    assert faults.remaining("chat.postMessage") == faults.remaining("chat.update") == 0


async def test_a_run_continues_while_the_sockets_are_cut(socket_harness: Harness) -> None:
    lasting = LastingWork(socket_harness.model)
    card = await socket_harness.run(SLOW)
    await socket_harness.sandbox.disconnect("abrupt")
    lasting.finish()

    await assert_ended_true(socket_harness, card)
    assert (await socket_harness.run_of(card)).run.attempt == 1


@BOTH_TRANSPORTS
async def test_a_run_survives_five_seconds_without_postgres(transport: str, tmp_path: Path) -> None:
    # A short path, because it contains a Unix socket.
    with tempfile.TemporaryDirectory(prefix="sbpg-") as folder:
        server = EmbeddedServer(Path(folder) / "pg", NO_DURABILITY)
        dsn = await asyncio.to_thread(server.acquire)
        try:
            await asyncio.to_thread(migrate.upgrade, dsn)
            async with (
                open_database(dsn) as database,
                open_harness(database, tmp_path / "home", transport=transport) as harness,
                harness.serving(),
            ):
                lasting = LastingWork(harness.model)
                card = await harness.run(SLOW)
                await card.wait_for_text("Running")

                await asyncio.to_thread(server.stop)
                lost = await harness.human.slash(BUILDS, "/workflow", "run builder lost")
                # The length of the outage; there is no condition to wait for.
                await asyncio.sleep(5)
                await asyncio.to_thread(server.start)
                lasting.finish()

                await assert_ended_true(harness, card)
                seen = await harness.run_of(card)
                assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message
                assert seen.run.attempt == 1
                assert lost.response_text is not None
                assert "nothing was started" in lost.response_text
                assert len(await harness.runs()) == 1
                await harness.settle()
        finally:
            await asyncio.to_thread(server.release)
