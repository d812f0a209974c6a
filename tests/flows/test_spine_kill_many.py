"""Kills that are asked about first: of many runs, and of somebody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from bot.sandbox.slack.errors import HumanRefused
from core.domain.kills.termination import Phase
from core.domain.runs.run import RunStatus
from core.store import audit
from tests.console import Card, Console, console, idle_console, socket_console
from tests.flows.test_spine_kill import audited, proven_dead
from tests.unit.drawn import words_of

__all__ = ["console", "idle_console", "socket_console"]

TASK = "builder [scenario: kill-me] work"


async def form_of(console: Console, user: str | None = None) -> Mapping[str, Any]:
    return await console.human.wait_for(lambda: console.human.modal(user), what="a form")


async def question_of(console: Console, label: str, user: str | None = None) -> Mapping[str, Any]:
    """A private message with this button."""
    human = console.human
    return await human.wait_for(
        lambda: next((m for m in human.ephemerals(user) if label in human.labels(m)), None),
        what=f"a private question with {label!r}",
    )


async def kills_of(console: Console, *cards: Card) -> list[bool]:
    return [(await console.run_of(card)).termination is not None for card in cards]


async def test_kill_all_lists_ones_own_runs_and_kills_those(socket_console: Console) -> None:
    console = socket_console
    mine = [await console.in_mid_tool(TASK), await console.in_mid_tool(TASK)]
    bens = await console.run(TASK, user="ben")

    await console.command("kill --all mine")
    form = await form_of(console)
    untouched = await kills_of(console, *mine, bens)
    await console.human.submit(str(form["id"]), {"reason": "it is late"})

    assert form["submit"]["text"] == "Stop 2 runs"
    assert "2 live runs of yours" in words_of(dict(form))
    assert untouched == [False, False, False]
    await console.told("Asked 2 runs to stop")
    seen = [await proven_dead(console, card) for card in mine]
    assert {one.termination.reason for one in seen if one.termination} == {"it is late"}
    assert await kills_of(console, bens) == [False]
    kills = [entry for entry in await audited(console) if entry.action == "kill"]
    assert sorted(str(entry.run_id) for entry in kills) == sorted(str(one.run.id) for one in seen)
    await console.answer("kill --all mine", "there are no live runs of yours")
    await console.command("kill --all live", user="ada")
    await console.human.submit(str((await form_of(console))["id"]))
    await proven_dead(console, bens)


async def test_a_list_that_is_confirmed_twice_kills_once(idle_console: Console) -> None:
    console = idle_console
    async with console.serving(works=False):
        cards = [await console.run("builder one"), await console.run("builder two")]
        await console.command("kill --all workflow=implement")
        form = await form_of(console)

        pressed = await asyncio.gather(
            *(console.human.submit(str(form["id"])) for _ in range(2)), return_exceptions=True
        )

        # The second press may find the form closed.
        assert all(one is None or isinstance(one, HumanRefused) for one in pressed)
        for card in cards:
            await card.says("Killed before it started")
        await console.settle()
        async with console.database.sessions() as session:
            lines = [line for line in await audit.recent(session, 50) if line.action == "kill"]
        assert len(lines) == 2


async def test_an_operator_is_asked_before_somebody_elses_run_is_killed(
    socket_console: Console,
) -> None:
    console = socket_console
    card = await console.in_mid_tool(TASK, user="ben")
    run = (await console.run_of(card)).run

    await console.command(f"kill {run.run_id[:12]} wrong branch", user="ada")
    form = await form_of(console, "ada")
    await console.command(f"kill {run.run_id}", user="cleo")
    await console.told("somebody else's run", user="cleo")
    untouched = await console.look(run)
    await console.human.submit(str(form["id"]))

    assert "Stop @ben's run?" in words_of(dict(form))
    assert "wrong branch" in words_of(dict(form))
    assert untouched.run.kill_requested_at is None
    seen = await proven_dead(console, card)
    assert seen.termination is not None
    assert seen.termination.requested_by_name == "ada"
    assert seen.termination.reason == "wrong branch"
    assert console.human.modal("cleo") is None


async def test_a_mention_asks_in_private_before_somebody_elses_run_is_killed(
    console: Console,
) -> None:
    card = await console.in_mid_tool(TASK, user="ben")
    run = (await console.run_of(card)).run

    await card.say("@signalbox kill it runs in circles", user="ada")
    question = await question_of(console, "Stop it", "ada")
    untouched = await console.look(run)
    await console.human.click(card.channel, str(question["ts"]), label="Stop it", user="ada")

    assert "Stop @ben's run?" in console.human.text(question)
    assert untouched.run.kill_requested_at is None
    seen = await proven_dead(console, card)
    assert seen.termination is not None
    assert seen.termination.reason == "it runs in circles"
    assert seen.termination.phase is Phase.CONFIRMED
    # The answer has taken the question's place: there is nothing left to press.
    await console.human.wait_for(
        lambda: not any(console.human.labels(m) for m in console.human.ephemerals("ada")),
        what="the end of the question",
    )


async def test_a_mention_opens_the_list_of_many_by_a_button(idle_console: Console) -> None:
    console = idle_console
    async with console.serving(works=False):
        card = await console.run("builder waits")

        await card.say("@signalbox kill --all mine --force enough")
        question = await question_of(console, "Look and decide…")
        await console.human.click(card.channel, str(question["ts"]), label="Look and decide…")
        form = await form_of(console)
        await console.human.submit(str(form["id"]))

        assert form["submit"]["text"] == "Force kill 1 run"
        await card.says("Killed before it started")
        seen = await console.run_of(card)
        assert seen.run.status is RunStatus.KILLED
        assert seen.termination is not None
        assert seen.termination.force
        assert seen.termination.reason == "enough"
        await console.told("Asked 1 run to stop")
        await console.settle()


async def test_stats_count_runs_spend_and_kills(idle_console: Console) -> None:
    console = idle_console
    async with console.serving(works=False):
        await console.answer("stats", "*Runs:* none in this period")
        card = await console.run("builder waits")
        await card.press("Kill")
        await card.says("Killed before it started")

        told = await console.answer("stats 24h", "1 killed")
        refused = await console.answer("stats 5d", "`24h`, `7d`, `30d`")

        assert "1 proven" in told
        assert "1 of the proven had not begun" in told
        assert "not `5d`" in refused
        await console.settle()


async def test_a_trigger_that_is_used_up_leads_to_the_private_question(
    idle_console: Console,
) -> None:
    console = idle_console
    async with console.serving(works=False):
        card = await console.run("builder waits", user="ben")
        run = (await console.run_of(card)).run
        console.sandbox.faults.add("views.open", "expired_trigger_id")

        await console.command(f"kill {run.run_id} enough")
        question = await question_of(console, "Stop it")
        untouched = await console.look(run)
        await console.human.click(card.channel, str(question["ts"]), label="Stop it")

        await card.says("Killed before it started")
        assert untouched.run.is_live
        seen = await console.run_of(card)
        assert seen.termination is not None
        assert seen.termination.reason == "enough"
        await console.settle()
