"""Threads reach their true state, whatever happens to a call or a bot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.sandbox.slack.people import BUILDS
from bot.sandbox.slack.server import Sandbox
from bot.slack.drawing import update_gaps
from core.domain.drawables import (
    SlackMessage,
    SlackMessageState,
)
from core.domain.runs.run import Run, StopReason, WaitingOn
from tests.fakes.bot import RunningBot, open_bot
from tests.fakes.services import FakeServices
from tests.fakes.threads import bot_messages, is_drawn, new_run, wait_until_drawn
from tests.sandbox import sandbox

__all__ = ["sandbox"]


def words(sandbox: Sandbox, message: Mapping[str, Any]) -> str:
    return sandbox.human.text(message)


async def test_a_post_whose_answer_is_lost_is_not_posted_again(sandbox: Sandbox) -> None:
    services = FakeServices()
    sandbox.faults.add("chat.postMessage", "lost_answer")
    async with open_bot(sandbox, services):
        run = new_run(services)
        card = await wait_until_drawn(services, run)

        assert [m["ts"] for m in bot_messages(sandbox)] == [card.message_ts]
        assert sandbox.faults.remaining("chat.postMessage") == 0


@pytest.mark.parametrize("kind", ["500", "reset", "429"])
async def test_a_post_that_did_not_arrive_is_repeated_once(sandbox: Sandbox, kind: str) -> None:
    services = FakeServices()
    sandbox.faults.add("chat.postMessage", kind)
    async with open_bot(sandbox, services):
        run = new_run(services)
        await wait_until_drawn(services, run)

        assert len(bot_messages(sandbox)) == 1


async def test_a_card_that_a_dead_bot_was_sending_is_found(sandbox: Sandbox) -> None:
    services = FakeServices()
    run = new_run(services)
    async with open_bot(sandbox, services):
        card = await wait_until_drawn(services, run)
    services.shown[run.run_id, "card"] = SlackMessage(
        id=card.id,
        thread_key=run.run_id,
        slot="card",
        channel_id=BUILDS,
        state=SlackMessageState.SENDING,
        updated_at=card.updated_at,
    )

    async with open_bot(sandbox, services):
        services.end(run.run_id, result="Done.")
        await wait_until_drawn(services, run)

        assert len(bot_messages(sandbox)) == 1
        assert "Completed" in words(sandbox, bot_messages(sandbox)[0])


async def test_the_end_is_shown_after_refused_updates(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services):
        run = new_run(services)
        await wait_until_drawn(services, run)
        sandbox.faults.add("chat.update", "429", times=2)
        sandbox.faults.add("chat.update", "500")

        services.end(run.run_id, StopReason.MAX_TURNS, turns=30)
        await wait_until_drawn(services, run)

        assert "turn limit" in words(sandbox, bot_messages(sandbox)[0])


def updates_since(began: float) -> int:
    """How many updates may have been made: on a busy machine the changes take seconds."""
    return int((time.monotonic() - began) / update_gaps.UPDATE_GAP.total_seconds())


async def test_many_changes_become_few_updates_and_the_newest_wins(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services):
        run = new_run(services)
        await wait_until_drawn(services, run)

        began = time.monotonic()
        for turn in range(1, 13):
            services.change(run.run_id, turns=turn)
            await asyncio.sleep(0.05)
        most = 4 + updates_since(began)
        services.end(run.run_id, turns=13)
        await wait_until_drawn(services, run)

        assert len(sandbox.calls("chat.update")) <= most
        assert "13/30 turns" in words(sandbox, bot_messages(sandbox)[0])


@pytest.mark.parametrize("is_waiting", [False, True])
async def test_a_result_is_posted_while_the_update_of_its_card_has_to_wait(
    sandbox: Sandbox, is_waiting: bool
) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services) as bot:
        run = new_run(services)
        card = await wait_until_drawn(services, run)
        bot.slack.rate_limiter.apply_retry_after("chat.update", seconds=50)
        if is_waiting:
            services.change(run.run_id, turns=1)
            drawing = bot.runtime.redraw.drawing
            await sandbox.human.wait_for(lambda: drawing.waiting, what="a wait for a permit")

        services.end(run.run_id, result="I added the button.")

        def results() -> list[str]:
            replies = sandbox.human.thread(BUILDS, card.message_ts or "")
            texts = [words(sandbox, reply) for reply in replies]
            return [text for text in texts if "I added the button." in text]

        assert await sandbox.human.wait_for(results, what="the result", timeout=40)
        assert sandbox.calls("chat.update") == []


@pytest.mark.sampled(1)
@pytest.mark.parametrize("event", ["end", "kill", "question"])
async def test_what_somebody_waits_for_ends_the_pause_between_routine_updates(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    monkeypatch.setattr(update_gaps, "ROUTINE_GAP", timedelta(hours=1))
    services = FakeServices()
    async with open_bot(sandbox, services):
        run = new_run(services)
        services.change(run.run_id, turns=1)
        await sandbox.human.wait_for(lambda: sandbox.calls("chat.update"), what="an update")
        services.change(run.run_id, turns=2)
        if event == "end":
            services.end(run.run_id, turns=3)
        elif event == "kill":
            services.change(run.run_id, turns=3, kill_requested_at=datetime.now(UTC))
        else:
            services.change(run.run_id, turns=3, waiting_on=WaitingOn.QUESTION)
        await wait_until_drawn(services, run)

        assert "3/30 turns" in words(sandbox, bot_messages(sandbox)[0])
        assert len(sandbox.calls("chat.update")) <= 3


async def test_an_update_after_a_pause_shows_the_newest_state(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services):
        run = new_run(services)
        services.change(run.run_id, turns=1)
        await sandbox.human.wait_for(lambda: sandbox.calls("chat.update"), what="an update")
        began = time.monotonic()
        for turn in range(2, 10):
            services.change(run.run_id, turns=turn)
            await asyncio.sleep(0.05)
        most = 3 + updates_since(began)
        await wait_until_drawn(services, run)

        assert "9/30 turns" in words(sandbox, bot_messages(sandbox)[0])
        assert len(sandbox.calls("chat.update")) <= most


async def test_many_runs_at_once_never_meet_a_429(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services):
        runs = [new_run(services, task=f"Task {n}") for n in range(4)]
        for run in runs:
            services.end(run.run_id, result="Done.")
        for run in runs:
            await wait_until_drawn(services, run)

        answers = [e for e in sandbox.inspector.entries if e.direction == "api"]
        assert not [e for e in answers if e.status == 429]
        assert len(bot_messages(sandbox)) == 4
        assert all("Completed" in words(sandbox, m) for m in bot_messages(sandbox))


async def test_a_deleted_card_is_reposted_once_in_its_thread(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services):
        run = new_run(services)
        first = await wait_until_drawn(services, run)
        root = str(first.message_ts)
        await sandbox.human.say("#builds", "nice", thread_ts=root)
        await sandbox.human.delete("#builds", root)

        services.change(run.run_id, turns=3)
        again = await wait_until_drawn(services, run)
        await sandbox.human.delete("#builds", str(again.message_ts))
        services.end(run.run_id)
        last = await wait_until_drawn(services, run)

        assert again.thread_ts == root
        assert again.attempts == 1
        assert (last.state, last.error) == (SlackMessageState.GONE, "deleted")


async def test_the_owner_gets_the_result_if_the_channel_is_archived(
    sandbox: Sandbox,
) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services) as bot:
        await sandbox.human.slash("#builds", "/workflow", "run builder Add a button")
        await services.wait_until(lambda: services.shown, what="the card")
        run = next(iter(services.runs.values()))
        await wait_until_drawn(services, run)
        await sandbox.human.archive("#builds")

        services.end(run.run_id, result="All is well.")
        card = await wait_until_drawn(services, run)

        assert card.state is SlackMessageState.GONE
        await sandbox.human.wait_for(
            lambda: (
                any("All is well." in words(sandbox, m) for m in bot_messages(sandbox, "@ada"))
                or None
            ),
            what="the notice to the owner",
        )
        assert len(bot_messages(sandbox, "@ada")) == 1
        assert bot.runtime.background_tasks is not None


async def test_a_bot_that_is_invited_again_continues_drawing(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services):
        await sandbox.human.kick("#builds")
        run = new_run(services)
        gone = await wait_until_drawn(services, run)
        await sandbox.human.invite("#builds")

        # As if some minutes had passed.
        services.shown[run.run_id, "card"] = replace(
            gone, updated_at=gone.updated_at - timedelta(minutes=6)
        )
        services.end(run.run_id, result="Done.")
        back = await wait_until_drawn(services, run)

        assert (gone.state, gone.error) == (SlackMessageState.GONE, "not_in_channel")
        assert (back.state, back.error) == (SlackMessageState.SHOWN, None)
        assert "Completed" in words(sandbox, bot_messages(sandbox)[0])
        assert len(bot_messages(sandbox)) == 1


async def test_a_long_report_becomes_one_file_despite_a_lost_answer(
    sandbox: Sandbox,
) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services):
        run = new_run(services)
        await wait_until_drawn(services, run)
        sandbox.faults.add("files.completeUploadExternal", "lost_answer")

        services.end(run.run_id, result="# Report\n\n" + "a line of it\n" * 2000)
        card = await wait_until_drawn(services, run)

        thread = sandbox.human.thread("#builds", str(card.message_ts))
        files = [f["name"] for m in thread for f in m.get("files", ())]
        assert files == [f"{run.run_id}-report.md"]


async def test_elapsed_times_of_live_cards_are_refreshed(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, refresh_every=timedelta(milliseconds=50)):
        run = new_run(services)
        await wait_until_drawn(services, run)

        # There is no new version: only the clock has moved, as if an hour had passed.
        old = services.runs[run.run_id]
        assert old.started_at is not None
        services.runs[run.run_id] = _shifted(old)

        await sandbox.human.wait_for(
            lambda: "1 h" in words(sandbox, bot_messages(sandbox)[0]) or None, what="the hour"
        )


def _shifted(run: Run) -> Run:
    assert run.started_at is not None
    return replace(run, started_at=run.started_at - timedelta(hours=1))


async def test_the_next_run_is_shown_on_the_same_card(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services) as bot:
        await sandbox.human.slash("#builds", "/workflow", "run builder Add a button")
        await services.wait_until(lambda: services.shown, what="the card")
        run = next(iter(services.runs.values()))
        services.end(run.run_id, StopReason.MAX_TURNS, turns=30)
        card = await wait_until_drawn(services, run)
        await sandbox.human.click("#builds", str(card.message_ts), action_id="run_continue_20")
        await services.wait_until(lambda: len(services.runs) == 2, what="the second run")
        second = list(services.runs.values())[-1]
        services.end(second.run_id)
        await services.wait_until(
            lambda: is_drawn(services, run),
            what="the drawing of the second run",
        )

        assert len(bot_messages(sandbox)) == 1
        assert "Completed" in words(sandbox, bot_messages(sandbox)[0])
        assert isinstance(bot, RunningBot)
