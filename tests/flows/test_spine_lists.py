"""Lists, Home and answers: every run links to its thread, live ones can be stopped there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bot.assembly.serve import web_server
from bot.sandbox.page_routes import add_page
from core.domain.runs.run import RunStatus
from tests.card import Card
from tests.flows.test_spine_kill import wait_until_proven_dead
from tests.harness import Harness, idle_harness, socket_harness
from tests.repositories import new_repository

__all__ = ["idle_harness", "socket_harness"]

pytestmark = pytest.mark.sampled(4)

TASK = "builder [scenario: kill-me] work"


def address_of(harness: Harness, card: Card) -> str:
    """The address of a card, as Slack makes it."""
    channel = harness.sandbox.workspace.channel(card.channel).id
    return f"/archives/{channel}/p{card.ts.replace('.', '')}"


async def answer_with(harness: Harness, label: str, user: str | None = None) -> Mapping[str, Any]:
    """The newest private message with a button of this label."""
    human = harness.human
    return await human.wait_for(
        lambda: next(
            (m for m in reversed(human.ephemerals(user)) if label in human.labels(m)), None
        ),
        what=f"an answer with the button {label!r}",
    )


async def test_a_list_links_each_run_and_stops_a_live_one(socket_harness: Harness) -> None:
    harness = socket_harness
    card = await harness.start_in_tool_call(TASK)

    await harness.command("list")
    answer = await answer_with(harness, "Kill")
    await harness.human.click(card.channel, str(answer["ts"]), label="Kill")

    assert address_of(harness, card) in str(answer["blocks"])
    receipt = await harness.wait_for_private("[scenario: kill-me] work” (")
    assert address_of(harness, card) in receipt
    await wait_until_proven_dead(harness, card)


async def test_a_link_leads_to_the_thread_on_the_page() -> None:
    app = web.Application()
    add_page(app)

    async with (
        web_server(app, host="127.0.0.1", port=0) as url,
        aiohttp.ClientSession() as session,
        session.get(f"{url}/archives/C0BUILDS/p1769220155940449", allow_redirects=False) as page,
    ):
        assert page.headers["Location"] == "/#/C0BUILDS/1769220155.940449"


async def test_a_later_leg_is_listed_under_the_task_of_the_first(socket_harness: Harness) -> None:
    harness = socket_harness
    card = await harness.run("builder --turns 2 [scenario: max-turns] [turns: 3] long work")
    await card.wait_for_button("+20 turns")
    await card.press("+20 turns")
    await card.wait_until_completed()

    answer = await harness.command_and_wait("list", "newest first")
    listed = str(harness.human.ephemerals()[-1]["blocks"])

    assert answer
    assert "long work> · leg 2" in listed
    assert "Please go on" not in listed
    assert listed.count(address_of(harness, card)) == 2


async def test_kill_alone_offers_the_persons_live_runs(idle_harness: Harness) -> None:
    harness = idle_harness
    async with harness.serving(runs_worker=False):
        await harness.command_and_wait("kill", "no live run")
        mine = await harness.run("builder mine waits")
        await harness.run("builder theirs waits", user="ben")

        await harness.command("kill")
        offer = await answer_with(harness, "Kill")
        await harness.human.click(mine.channel, str(offer["ts"]), label="Kill")

        await mine.wait_for_text("Killed before it started")
        assert "mine waits" in str(offer["blocks"])
        assert "theirs" not in str(offer["blocks"])
        await harness.settle()


async def test_an_id_that_is_too_short_stops_and_continues_nothing(idle_harness: Harness) -> None:
    harness = idle_harness
    async with harness.serving(runs_worker=False):
        card = await harness.run("builder waits")
        run = (await harness.run_of(card)).run
        short = run.run_id[:7]

        killed = await harness.command_and_wait(f"kill {short}", "too short")
        await harness.command_and_wait(f"continue {short}", "too short")
        await harness.command_and_wait(f"status {short}", "waits")

        assert "at least 4 characters" in killed
        assert (await harness.read_run(run)).run.kill_requested_at is None
        answer = await harness.command_and_wait(f"kill {run.run_id[:8]}", "“waits”")
        assert run.run_id in answer
        await card.wait_for_text("Killed before it started")
        await harness.settle()


async def test_flags_after_the_task_are_pointed_out(idle_harness: Harness) -> None:
    harness = idle_harness
    async with harness.serving(runs_worker=False):
        card = await harness.run("builder Add x --turns 5")

        note = await harness.wait_for_private("stands at the end of the task")
        run = (await harness.run_of(card)).run

        assert run.task_input == "Add x --turns 5"
        assert "/workflow run implement --turns 5 Add x" in note
        await harness.settle()


async def test_a_repository_whose_path_has_a_space_is_worked_on(socket_harness: Harness) -> None:
    harness = socket_harness
    path = new_repository(harness.home.parent / "my repo")

    card = await harness.run(f'builder --repo "{path}" [scenario: long] [turns: 1] quick')

    await card.wait_until_completed()
    run = (await harness.run_of(card)).run
    assert run.git_repo == str(path)
    assert run.initial_commit_hash is not None
    assert run.status is RunStatus.COMPLETED


async def test_the_home_tab_runs_a_workflow_and_stops_live_runs(idle_harness: Harness) -> None:
    harness = idle_harness
    async with harness.serving(runs_worker=False):
        card = await harness.run("builder waits")
        await harness.human.open_home()
        await harness.human.wait_for(
            lambda: "waits" in str(harness.human.home()), what="the run on the Home tab"
        )
        home = harness.human.home()
        assert home is not None

        await harness.human.click_view(str(home["id"]), label="Run a workflow…")
        form = await harness.human.wait_for(harness.human.modal, what="the form")
        await harness.human.click_view(str(home["id"]), label="Kill")

        assert form["callback_id"] == "run_form"
        assert address_of(harness, card) in str(home["blocks"])
        await card.wait_for_text("Killed before it started")
        await harness.settle()
