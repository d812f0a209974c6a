"""Kills with a confirmation: of many runs, and of another person's run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from bot.sandbox.slack.errors import ActionRefused
from bot.slack.views.blocks import CHART
from core.domain.kills.termination import Phase
from core.domain.runs.run import RunStatus
from core.store import audit
from tests.card import Card
from tests.flows.test_spine_kill import audited, wait_until_proven_dead
from tests.harness import Harness, harness, idle_harness, socket_harness
from tests.unit.view_helpers import text_of

__all__ = ["harness", "idle_harness", "socket_harness"]

pytestmark = pytest.mark.sampled(4)

TASK = "builder [scenario: kill-me] work"


async def form_of(harness: Harness, user: str | None = None) -> Mapping[str, Any]:
    return await harness.human.wait_for(lambda: harness.human.modal(user), what="a form")


async def question_of(harness: Harness, label: str, user: str | None = None) -> Mapping[str, Any]:
    """A private message with this button."""
    human = harness.human
    return await human.wait_for(
        lambda: next((m for m in human.ephemerals(user) if label in human.labels(m)), None),
        what=f"a private question with {label!r}",
    )


async def kills_of(harness: Harness, *cards: Card) -> list[bool]:
    return [(await harness.run_of(card)).termination is not None for card in cards]


async def test_kill_all_lists_and_kills_the_persons_own_runs(socket_harness: Harness) -> None:
    harness = socket_harness
    mine = [await harness.start_in_tool_call(TASK), await harness.start_in_tool_call(TASK)]
    bens = await harness.run(TASK, user="ben")

    await harness.command("kill --all mine")
    form = await form_of(harness)
    untouched = await kills_of(harness, *mine, bens)
    await harness.human.submit(str(form["id"]), {"reason": "it is late"})

    assert form["submit"]["text"] == "Stop 2 runs"
    assert "2 live runs of yours" in text_of(dict(form))
    assert untouched == [False, False, False]
    await harness.wait_for_private("Asked 2 runs to stop")
    seen = [await wait_until_proven_dead(harness, card) for card in mine]
    assert {one.termination.reason for one in seen if one.termination} == {"it is late"}
    assert await kills_of(harness, bens) == [False]
    kills = [entry for entry in await audited(harness) if entry.action == "kill"]
    assert sorted(str(entry.run_id) for entry in kills) == sorted(str(one.run.id) for one in seen)
    await harness.command_and_wait("kill --all mine", "there are no live runs of yours")
    await harness.command("kill --all live", user="ada")
    await harness.human.submit(str((await form_of(harness))["id"]))
    await wait_until_proven_dead(harness, bens)


async def test_a_list_that_is_confirmed_twice_kills_once(idle_harness: Harness) -> None:
    harness = idle_harness
    async with harness.serving(runs_worker=False):
        cards = [await harness.run("builder one"), await harness.run("builder two")]
        await harness.command("kill --all workflow=implement")
        form = await form_of(harness)

        pressed = await asyncio.gather(
            *(harness.human.submit(str(form["id"])) for _ in range(2)), return_exceptions=True
        )

        # The second click may find the form closed.
        assert all(one is None or isinstance(one, ActionRefused) for one in pressed)
        for card in cards:
            await card.wait_for_text("Killed before it started")
        await harness.settle()
        async with harness.database.sessions() as session:
            lines = [line for line in await audit.recent(session, 50) if line.action == "kill"]
        assert len(lines) == 2


async def test_an_operator_confirms_the_kill_of_another_persons_run(
    socket_harness: Harness,
) -> None:
    harness = socket_harness
    card = await harness.start_in_tool_call(TASK, user="ben")
    run = (await harness.run_of(card)).run

    await harness.command(f"kill {run.run_id[:12]} wrong branch", user="ada")
    form = await form_of(harness, "ada")
    await harness.command(f"kill {run.run_id}", user="cleo")
    await harness.wait_for_private("or an operator can stop this", user="cleo")
    untouched = await harness.read_run(run)
    await harness.human.submit(str(form["id"]))

    assert "Stop @ben's run?" in text_of(dict(form))
    assert "wrong branch" in text_of(dict(form))
    assert untouched.run.kill_requested_at is None
    seen = await wait_until_proven_dead(harness, card)
    assert seen.termination is not None
    assert seen.termination.requested_by_name == "ada"
    assert seen.termination.reason == "wrong branch"
    assert harness.human.modal("cleo") is None


async def test_a_mention_asks_in_private_before_killing_another_persons_run(
    harness: Harness,
) -> None:
    card = await harness.start_in_tool_call(TASK, user="ben")
    run = (await harness.run_of(card)).run

    await card.say("@signalbox kill it runs in circles", user="ada")
    question = await question_of(harness, "Stop it", "ada")
    untouched = await harness.read_run(run)
    await harness.human.click(card.channel, str(question["ts"]), label="Stop it", user="ada")

    assert "Stop @ben's run?" in harness.human.text(question)
    assert untouched.run.kill_requested_at is None
    seen = await wait_until_proven_dead(harness, card)
    assert seen.termination is not None
    assert seen.termination.reason == "it runs in circles"
    assert seen.termination.phase is Phase.CONFIRMED
    # The answer has replaced the question: there is no button left.
    await harness.human.wait_for(
        lambda: not any(harness.human.labels(m) for m in harness.human.ephemerals("ada")),
        what="the end of the question",
    )


async def test_a_mention_offers_the_list_of_runs_by_a_button(idle_harness: Harness) -> None:
    harness = idle_harness
    async with harness.serving(runs_worker=False):
        card = await harness.run("builder waits")

        await card.say("@signalbox kill --all mine --force enough")
        question = await question_of(harness, "Look and decide…")
        await harness.human.click(card.channel, str(question["ts"]), label="Look and decide…")
        form = await form_of(harness)
        await harness.human.submit(str(form["id"]))

        assert form["submit"]["text"] == "Force kill 1 run"
        await card.wait_for_text("Killed before it started")
        seen = await harness.run_of(card)
        assert seen.run.status is RunStatus.KILLED
        assert seen.termination is not None
        assert seen.termination.force
        assert seen.termination.reason == "enough"
        await harness.wait_for_private("Asked 1 run to stop")
        await harness.settle()


async def test_stats_count_runs_cost_and_kills(idle_harness: Harness) -> None:
    harness = idle_harness
    async with harness.serving(runs_worker=False):
        await harness.command_and_wait("stats", "*Runs:* none in this period")
        card = await harness.run("builder waits")
        await card.press("Kill")
        await card.wait_for_text("Killed before it started")

        answer = await harness.command_and_wait("stats 24h", "1 killed")
        refused = await harness.command_and_wait("stats 5d", "`24h`, `7d`, `30d`")
        [*_, shown, _] = harness.human.ephemerals()
        # A workspace that does not know charts reads the same figures.
        harness.sandbox.gate.unknown_blocks = frozenset({CHART})
        in_words = await harness.command_and_wait("stats 24h", "1 killed")
        reduced = harness.human.ephemerals()[-1]

        assert "1 proven" in answer
        assert "1 of the proven had not begun" in answer
        assert "not `5d`" in refused
        assert CHART in [block["type"] for block in shown["blocks"]]
        assert CHART not in [block["type"] for block in reduced["blocks"]]
        assert "Killed: last 24 hours 1" in in_words
        await harness.settle()


async def test_a_used_trigger_leads_to_the_private_question(
    idle_harness: Harness,
) -> None:
    harness = idle_harness
    async with harness.serving(runs_worker=False):
        card = await harness.run("builder waits", user="ben")
        run = (await harness.run_of(card)).run
        harness.sandbox.faults.add("views.open", "expired_trigger_id")

        await harness.command(f"kill {run.run_id} enough")
        question = await question_of(harness, "Stop it")
        untouched = await harness.read_run(run)
        await harness.human.click(card.channel, str(question["ts"]), label="Stop it")

        await card.wait_for_text("Killed before it started")
        assert untouched.run.is_live
        seen = await harness.run_of(card)
        assert seen.termination is not None
        assert seen.termination.reason == "enough"
        await harness.settle()
