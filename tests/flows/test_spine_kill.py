"""Kill from Slack: by button, command and mention; by those who may, and by those who may not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from bot.sandbox.slack.people import CLEO, GUS, SAM
from core.agent.process.ladder import find_tree
from core.domain.audit import AuditEntry
from core.domain.kills.termination import Phase
from core.domain.runs.run import RunStatus
from core.domain.runs.snapshot import RunSnapshot
from core.store import audit
from tests.console import Card, Console, console, idle_console, socket_console

__all__ = ["console", "idle_console", "socket_console"]

KILL_LIMIT = timedelta(seconds=10)


async def proven_dead(console: Console, card: Card) -> RunSnapshot:
    """Wait until the thread says that the run is dead, and look for what is left of it."""
    await card.says("nothing left running", within=20)
    await card.reply("found no process of this run alive")
    seen = await console.run_of(card)
    assert seen.run.status is RunStatus.KILLED
    assert seen.termination is not None
    assert seen.termination.phase is Phase.CONFIRMED
    assert seen.termination.survivors == ()
    assert seen.termination.elapsed is not None
    assert seen.termination.elapsed < KILL_LIMIT
    assert await asyncio.to_thread(find_tree, seen.run.run_id, None) == ()
    return seen


async def audited(console: Console) -> Sequence[AuditEntry]:
    async with console.database.sessions() as session:
        return await audit.recent(session, 50)


@pytest.mark.parametrize("scenario", ["kill-stubborn", "kill-escaped"])
async def test_the_kill_button_ends_the_whole_tree_and_shows_the_proof(
    console: Console, scenario: str
) -> None:
    card = await console.in_mid_tool(f"builder [scenario: {scenario}] work")
    await card.offers("Kill")

    await card.press("Kill")

    seen = await proven_dead(console, card)
    assert console.human.confirmed
    assert seen.termination is not None
    assert seen.termination.requested_by_name == "ada"
    assert "Kill" not in card.labels


async def test_two_clicks_on_kill_are_one_termination(console: Console) -> None:
    card = await console.in_mid_tool("builder [scenario: kill-me] work")
    await card.offers("Kill")

    await asyncio.gather(card.press("Kill"), card.press("Kill"))

    await proven_dead(console, card)
    await console.drawn()
    assert sum("Proof" in text for text in card.of_bot()) == 1


async def test_the_kill_command_gives_its_reason(socket_console: Console) -> None:
    card = await socket_console.in_mid_tool("builder [scenario: kill-me] work")
    run = (await socket_console.run_of(card)).run

    await socket_console.command(f"kill {run.run_id[:10]} --force wrong <branch>")

    seen = await proven_dead(socket_console, card)
    assert seen.termination is not None
    assert seen.termination.reason == "wrong <branch>"
    assert seen.termination.force
    await socket_console.told(run.run_id[:10])


async def test_a_mention_in_the_thread_kills_its_run(console: Console) -> None:
    card = await console.in_mid_tool("builder [scenario: kill-me] work")

    await card.say("@signalbox kill had enough")

    seen = await proven_dead(console, card)
    assert seen.termination is not None
    assert seen.termination.reason == "had enough"


async def test_somebody_elses_run_is_killed_by_an_operator_only(console: Console) -> None:
    card = await console.in_mid_tool("builder [scenario: kill-me] work", user="ben")
    await card.offers("Kill")

    await card.press("Kill", user="cleo")
    await console.told("somebody else's run", user="cleo")
    still = (await console.run_of(card)).run
    await card.press("Kill", user="ada")

    assert still.is_live
    assert still.kill_requested_at is None
    await proven_dead(console, card)
    kills = [entry for entry in await audited(console) if entry.action == "kill"]
    assert {(entry.actor.name, entry.allowed) for entry in kills} == {
        ("cleo", False),
        ("ada", True),
    }


async def test_who_does_not_belong_here_is_refused_in_private_and_audited(
    console: Console,
) -> None:
    await console.command("run builder guest work", channel="#general", user="gus")
    await console.command("run builder shared work", channel="#partners", user="ben")
    await console.command("run builder foreign work", channel="#partners", user="sam")
    await console.command("run builder work", channel="#random", user="cleo")
    await console.command("run builder work", channel="#secret", user="ben")

    await console.told("full members", user="gus")
    await console.told("shared with another organisation", user="ben")
    await console.human.wait_for(lambda: console.private("sam"), what="an answer to sam")
    await console.told("/invite @signalbox", user="cleo")
    await console.told("/invite @signalbox", user="ben")
    assert await console.runs() == []
    refused = [entry for entry in await audited(console) if not entry.allowed]
    reasons = {str(entry.actor.external_id): str(entry.reason) for entry in refused}
    assert len(refused) == 5
    assert reasons[GUS] == "guest"
    # Two reasons hold; which is found first does not matter.
    assert reasons[SAM] in {"stranger", "shared channel"}
    assert reasons[CLEO] == "bot not in channel"


async def test_a_run_that_waits_is_killed_before_it_starts(idle_console: Console) -> None:
    async with idle_console.serving(works=False):
        card = await idle_console.run("builder never begins")
        await card.offers("Kill")
        await card.press("Kill")

        await card.says("Killed before it started")
        await idle_console.settle()
        killed = await idle_console.run_of(card)
        assert killed.run.status is RunStatus.KILLED
        assert killed.run.started_at is None


async def test_killing_a_run_that_has_ended_says_so(socket_console: Console) -> None:
    card = await socket_console.run("builder [scenario: long] [turns: 3] [delay: 1s] work")
    await card.offers("Kill")
    before = card.screenshot()
    await card.says("Completed")

    await card.press_old(before, "Kill")
    await socket_console.told("already ended")
    run = (await socket_console.run_of(card)).run
    await socket_console.command(f"kill {run.run_id}")

    await socket_console.human.wait_for(
        lambda: sum("already ended" in text for text in socket_console.private()) == 2,
        what="the second answer",
    )
    assert (await socket_console.look(run)).run.status is RunStatus.COMPLETED
