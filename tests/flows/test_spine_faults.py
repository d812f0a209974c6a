"""Trouble of every kind on the way: each thread ends true, nothing is posted or started twice."""

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
from core.store.database.embedded import EmbeddedServer
from core.store.database.engine import Database, open_database
from core.store.slack import deliveries
from tests.console import BUILDS, Card, Console, console, idle_console, open_console, socket_console
from tests.database import CARELESS
from tests.processes import new_home
from tests.repositories import new_repository
from tests.sandbox import command_body

__all__ = ["console", "idle_console", "socket_console"]

SLOW = "builder [scenario: long] [turns: 12] [delay: 0.4s] work"


def slots(card: Card) -> Counter[str]:
    """How often each thing is said in a thread."""
    return Counter(
        str(message["metadata"]["event_payload"]["slot"])
        for message in card.messages
        if message.get("metadata")
    )


async def ended_true(console: Console, card: Card, words: str = "Completed") -> None:
    """Wait until the thread is at its end, and see that nothing is in it twice."""
    await card.says(words)
    await console.drawn()
    assert set(slots(card).values()) == {1}, slots(card)
    assert sum(slot.startswith("result:") for slot in slots(card)) == 1
    assert len(console.cards()) == 1
    run = (await console.run_of(card)).run
    assert not run.is_live
    assert "Kill" not in card.labels


async def test_a_command_delivered_again_starts_once(console: Console) -> None:
    body = command_body(console.sandbox, "run builder [scenario: long] [turns: 1] once")
    deliver = console.sandbox.deliverer.interact

    await asyncio.gather(
        *(deliver("slash_commands", "/workflow", copy.deepcopy(body)) for _ in range(3))
    )
    card = await console.human.wait_for(lambda: next(iter(console.cards()), None), what="the card")
    await ended_true(console, card)
    await deliver("slash_commands", "/workflow", copy.deepcopy(body))

    await console.drawn()
    assert len(await console.runs()) == 1
    assert len(console.cards()) == 1


async def test_a_mention_delivered_twice_acts_once(console: Console) -> None:
    # The same event again, as after an acknowledgement that was lost.
    await console.human.say(BUILDS, "@signalbox run builder [scenario: long] [turns: 1] once")
    card = await console.human.wait_for(lambda: next(iter(console.cards()), None), what="the card")
    sent = [
        entry
        for entry in console.sandbox.inspector.entries
        if entry.direction == "delivery" and entry.name == "app_mention"
    ]
    outcome = await console.sandbox.deliverer._attempt(
        "events_api",
        "app_mention",
        copy.deepcopy(sent[0].request),
        retry=1,
        reason="http_timeout",
        timeout=3,
    )

    await ended_true(console, card)
    assert outcome.error is None
    assert len(await console.runs()) == 1


async def test_a_delivery_that_a_dead_bot_accepted_is_taken_up_by_the_next(
    idle_console: Console,
) -> None:
    body = command_body(idle_console.sandbox, "run builder [scenario: long] [turns: 1] left behind")
    a_minute_ago = datetime.now(UTC) - timedelta(minutes=1)
    async with idle_console.database.sessions.begin() as session:
        await deliveries.receive(session, f"command:{body['trigger_id']}", body, now=a_minute_ago)

    async with idle_console.serving():
        card = await idle_console.human.wait_for(
            lambda: next(iter(idle_console.cards()), None), what="the card"
        )
        await ended_true(idle_console, card)
        await idle_console.settle()
        assert len(await idle_console.runs()) == 1


async def test_a_thread_ends_true_when_the_bot_is_replaced_in_mid_run(
    idle_console: Console,
) -> None:
    console = idle_console
    async with console.serving(hears=False, home=console.home.parent / "worker"):
        async with console.serving(works=False):
            card = await console.run(SLOW)
            await card.says("Running")
        async with console.serving(works=False):
            await ended_true(console, card)
            await console.settle()

    assert len(console.cards()) == 1


@pytest.mark.parametrize("flags", ["", "--repo {repository} --branch stable"])
async def test_a_run_handed_over_goes_on_where_its_workspace_is_not(
    database: Database, tmp_path: Path, flags: str
) -> None:
    repository = await asyncio.to_thread(new_repository, tmp_path / "api", branch="stable")
    async with open_console(database, tmp_path / "home", transport="socket") as console:
        async with console.serving():
            card = await console.in_mid_tool(
                f"builder {flags.format(repository=repository)} [scenario: long] [turns: 12]"
                " [delay: 0.5s] work"
            )
        async with console.serving(home=await asyncio.to_thread(new_home, tmp_path / "other")):
            await ended_true(console, card)
            await console.settle()
        run = (await console.run_of(card)).run

    assert run.attempt == 2
    assert run.status is RunStatus.COMPLETED, run.error_message
    assert run.git_branch == (f"signalbox/implement/{run.run_id}" if flags else "main")


async def test_two_bots_draw_each_thread_once(idle_console: Console) -> None:
    console = idle_console
    async with (
        console.serving(),
        console.serving(works=False, home=console.home.parent / "other"),
    ):
        card = await console.run("builder [scenario: long] [turns: 4] [delay: 0.2s] work")
        await ended_true(console, card)
        await console.settle()

        assert len(await console.runs()) == 1


@pytest.mark.parametrize("kind", ["lost_answer", "429", "500", "reset"])
@pytest.mark.parametrize("method", ["chat.postMessage", "chat.update"])
async def test_a_thread_ends_true_through_failing_calls(
    socket_console: Console, method: str, kind: str
) -> None:
    # The first call of each kind, and one in mid-run.
    socket_console.sandbox.faults.add(method, kind, times=2, retry_after=1)

    card = await socket_console.run("builder [scenario: long] [turns: 6] [delay: 0.3s] work")

    await ended_true(socket_console, card)
    assert socket_console.sandbox.faults.left(method) == 0


async def test_a_run_goes_on_while_the_sockets_are_cut(socket_console: Console) -> None:
    card = await socket_console.run(SLOW)
    await socket_console.sandbox.disconnect("abrupt")

    await ended_true(socket_console, card)
    assert (await socket_console.run_of(card)).run.attempt == 1


@pytest.mark.parametrize("transport", ["socket", "http"])
async def test_a_run_survives_five_seconds_without_postgres(transport: str, tmp_path: Path) -> None:
    # A short path: a Unix socket lives in it.
    with tempfile.TemporaryDirectory(prefix="sbpg-") as folder:
        server = EmbeddedServer(Path(folder) / "pg", CARELESS)
        dsn = await asyncio.to_thread(server.enter)
        try:
            await asyncio.to_thread(migrate.upgrade, dsn)
            async with (
                open_database(dsn) as database,
                open_console(database, tmp_path / "home", transport=transport) as console,
                console.serving(),
            ):
                card = await console.run(SLOW)
                await card.says("Running")

                await asyncio.to_thread(server.stop)
                lost = await console.human.slash(BUILDS, "/workflow", "run builder lost")
                # An outage has a length; there is no condition to wait for.
                await asyncio.sleep(5)
                await asyncio.to_thread(server.start)

                await ended_true(console, card)
                seen = await console.run_of(card)
                assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message
                assert seen.run.attempt == 1
                assert lost.response_text is not None
                assert "nothing was started" in lost.response_text
                assert len(await console.runs()) == 1
                await console.settle()
        finally:
            await asyncio.to_thread(server.leave)
