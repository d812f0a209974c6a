"""Kill from Slack by button, command and mention, with and without permission."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from bot.sandbox.slack.people import CLEO, GUS, SAM
from bot.words.kills import PROOF_WORDS
from core.agent.process.process_tree import find_run_processes
from core.domain.audit import AuditEntry
from core.domain.kills.termination import Phase, ProofMethod
from core.domain.runs.run import RunStatus
from core.domain.runs.snapshot import RunSnapshot
from core.store import audit
from tests.card import Card
from tests.harness import Harness, harness, idle_harness, socket_harness
from tests.isolation import found_isolation
from tests.lasting import LASTING, MANY_TURNS, LastingWork
from tests.limits import patient

__all__ = ["harness", "idle_harness", "socket_harness"]

pytestmark = pytest.mark.sampled(4)

# Seconds; the benchmark of kills measures how fast they really are.
KILL_LIMIT = 10.0


async def wait_until_proven_dead(harness: Harness, card: Card) -> RunSnapshot:
    """Wait until the thread shows the run as dead, and check that no process is left."""
    await card.wait_for_text("nothing left running", within=20)
    proof = (
        ProofMethod.KERNEL_NAMESPACE if found_isolation().isolation else ProofMethod.PROCESS_SCAN
    )
    await card.wait_for_reply(PROOF_WORDS[proof])
    seen = await harness.run_of(card)
    assert seen.run.status is RunStatus.KILLED
    assert seen.termination is not None
    assert seen.termination.phase is Phase.CONFIRMED
    assert seen.termination.proof_by is proof
    assert seen.termination.survivors == ()
    assert seen.termination.elapsed is not None
    assert seen.termination.elapsed.total_seconds() < patient(KILL_LIMIT)
    assert await asyncio.to_thread(find_run_processes, seen.run.run_id, None) == ()
    return seen


async def audited(harness: Harness) -> Sequence[AuditEntry]:
    async with harness.database.sessions() as session:
        return await audit.recent(session, 50)


@pytest.mark.parametrize(
    ("transport", "scenario"),
    [("socket", "kill-stubborn"), ("http", "kill-escaped")],
    indirect=["transport"],
)
async def test_the_kill_button_ends_the_whole_tree_and_shows_the_proof(
    harness: Harness, scenario: str
) -> None:
    card = await harness.start_in_tool_call(f"builder [scenario: {scenario}] work")
    await card.wait_for_button("Kill")

    await card.press("Kill")

    seen = await wait_until_proven_dead(harness, card)
    assert harness.human.confirmed_dialogs
    assert seen.termination is not None
    assert seen.termination.requested_by_name == "ada"
    assert "Kill" not in card.labels


async def test_two_clicks_on_kill_are_one_termination(harness: Harness) -> None:
    card = await harness.start_in_tool_call("builder [scenario: kill-me] work")
    await card.wait_for_button("Kill")

    await asyncio.gather(card.press("Kill"), card.press("Kill"))

    await wait_until_proven_dead(harness, card)
    await harness.wait_until_drawn()
    assert sum("Proof" in text for text in card.bot_replies()) == 1


async def test_the_kill_command_gives_its_reason(socket_harness: Harness) -> None:
    card = await socket_harness.start_in_tool_call("builder [scenario: kill-me] work")
    run = (await socket_harness.run_of(card)).run

    await socket_harness.command(f"kill {run.run_id[:10]} --force wrong <branch>")

    seen = await wait_until_proven_dead(socket_harness, card)
    assert seen.termination is not None
    assert seen.termination.reason == "wrong <branch>"
    assert seen.termination.force
    await socket_harness.wait_for_private(run.run_id[:10])


async def test_a_mention_in_the_thread_kills_its_run(harness: Harness) -> None:
    card = await harness.start_in_tool_call("builder [scenario: kill-me] work")

    await card.say("@signalbox kill had enough")

    seen = await wait_until_proven_dead(harness, card)
    assert seen.termination is not None
    assert seen.termination.reason == "had enough"


async def test_only_an_operator_kills_another_persons_run(harness: Harness) -> None:
    card = await harness.start_in_tool_call("builder [scenario: kill-me] work", user="ben")
    await card.wait_for_button("Kill")

    await card.press("Kill", user="cleo")
    await harness.wait_for_private("or an operator can stop this", user="cleo")
    still = (await harness.run_of(card)).run
    await card.press("Kill", user="ada")

    assert still.is_live
    assert still.kill_requested_at is None
    await wait_until_proven_dead(harness, card)
    kills = [entry for entry in await audited(harness) if entry.action == "kill"]
    assert {(entry.actor.name, entry.allowed) for entry in kills} == {
        ("cleo", False),
        ("ada", True),
    }


async def test_a_person_without_access_is_refused_in_private_and_audited(
    harness: Harness,
) -> None:
    await harness.command("run builder guest work", channel="#general", user="gus")
    await harness.command("run builder shared work", channel="#partners", user="ben")
    await harness.command("run builder foreign work", channel="#partners", user="sam")
    await harness.command("run builder work", channel="#random", user="cleo")
    await harness.command("run builder work", channel="#secret", user="ben")

    await harness.wait_for_private("full members", user="gus")
    await harness.wait_for_private("shared with another organisation", user="ben")
    await harness.human.wait_for(lambda: harness.private_messages("sam"), what="an answer to sam")
    await harness.wait_for_private("/invite @signalbox", user="cleo")
    await harness.wait_for_private("/invite @signalbox", user="ben")
    assert await harness.runs() == []
    refused = [entry for entry in await audited(harness) if not entry.allowed]
    reasons = {str(entry.actor.external_id): str(entry.reason) for entry in refused}
    assert len(refused) == 5
    assert reasons[GUS] == "guest"
    # There are two reasons; either may be found first.
    assert reasons[SAM] in {"stranger", "shared channel"}
    assert reasons[CLEO] == "bot not in channel"


async def test_a_waiting_run_is_killed_before_it_starts(idle_harness: Harness) -> None:
    async with idle_harness.serving(runs_worker=False):
        card = await idle_harness.run("builder never begins")
        await card.wait_for_button("Kill")
        await card.press("Kill")

        await card.wait_for_text("Killed before it started")
        await idle_harness.settle()
        killed = await idle_harness.run_of(card)
        assert killed.run.status is RunStatus.KILLED
        assert killed.run.started_at is None


async def test_killing_a_run_that_has_ended_says_so(socket_harness: Harness) -> None:
    lasting = LastingWork(socket_harness.model)
    card = await socket_harness.run(f"builder --turns {MANY_TURNS} {LASTING}")
    await card.wait_for_button("Kill")
    before = card.screenshot()
    lasting.finish()
    await card.wait_until_completed()

    await card.press_stale(before, "Kill")
    await socket_harness.wait_for_private("already ended")
    run = (await socket_harness.run_of(card)).run
    await socket_harness.command(f"kill {run.run_id}")

    await socket_harness.human.wait_for(
        lambda: sum("already ended" in text for text in socket_harness.private_messages()) == 2,
        what="the second answer",
    )
    assert (await socket_harness.read_run(run)).run.status is RunStatus.COMPLETED
