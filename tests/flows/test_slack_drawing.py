"""Threads end true: whatever Slack does to a call, and whoever dies on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.sandbox.slack.people import BUILDS
from bot.sandbox.slack.server import Sandbox
from core.domain.runs.run import Run, StopReason
from core.domain.runs.snapshot import Shown, ShownState
from tests.fakes.board import Board
from tests.fakes.bot import Bot, open_bot
from tests.fakes.threads import drawn, new_run, own
from tests.sandbox import sandbox

__all__ = ["sandbox"]


def words(sandbox: Sandbox, message: Mapping[str, Any]) -> str:
    return sandbox.human.text(message)


async def test_a_post_whose_answer_is_lost_is_not_posted_again(sandbox: Sandbox) -> None:
    board = Board()
    sandbox.faults.add("chat.postMessage", "lost_answer")
    async with open_bot(sandbox, board):
        run = new_run(board)
        card = await drawn(board, run)

        assert [m["ts"] for m in own(sandbox)] == [card.message_ts]
        assert sandbox.faults.left("chat.postMessage") == 0


@pytest.mark.parametrize("kind", ["500", "reset", "429"])
async def test_a_post_that_did_not_arrive_is_posted_once(sandbox: Sandbox, kind: str) -> None:
    board = Board()
    sandbox.faults.add("chat.postMessage", kind)
    async with open_bot(sandbox, board):
        run = new_run(board)
        await drawn(board, run)

        assert len(own(sandbox)) == 1


async def test_a_card_that_a_dead_bot_was_sending_is_found_again(sandbox: Sandbox) -> None:
    board = Board()
    run = new_run(board)
    async with open_bot(sandbox, board):
        card = await drawn(board, run)
    board.shown[run.run_id, "card"] = Shown(
        id=card.id,
        thread_key=run.run_id,
        slot="card",
        channel_id=BUILDS,
        state=ShownState.SENDING,
        updated_at=card.updated_at,
    )

    async with open_bot(sandbox, board):
        board.end(run.run_id, result="Done.")
        await drawn(board, run)

        assert len(own(sandbox)) == 1
        assert "Completed" in words(sandbox, own(sandbox)[0])


async def test_the_end_is_shown_though_updates_are_refused_for_a_while(sandbox: Sandbox) -> None:
    board = Board()
    async with open_bot(sandbox, board):
        run = new_run(board)
        await drawn(board, run)
        sandbox.faults.add("chat.update", "429", times=2)
        sandbox.faults.add("chat.update", "500")

        board.end(run.run_id, StopReason.MAX_TURNS, turns=30)
        await drawn(board, run)

        assert "turn limit" in words(sandbox, own(sandbox)[0])


async def test_many_changes_become_few_updates_and_the_newest_wins(sandbox: Sandbox) -> None:
    board = Board()
    async with open_bot(sandbox, board):
        run = new_run(board)
        await drawn(board, run)

        for turn in range(1, 13):
            board.change(run.run_id, turns=turn)
            await asyncio.sleep(0.05)
        board.end(run.run_id, turns=13)
        await drawn(board, run)

        assert len(sandbox.calls("chat.update")) <= 4
        assert "13 of 30" in words(sandbox, own(sandbox)[0])


async def test_many_runs_at_once_never_meet_a_429(sandbox: Sandbox) -> None:
    board = Board()
    async with open_bot(sandbox, board):
        runs = [new_run(board, task=f"Task {n}") for n in range(4)]
        for run in runs:
            board.end(run.run_id, result="Done.")
        for run in runs:
            await drawn(board, run)

        answers = [e for e in sandbox.inspector.entries if e.direction == "api"]
        assert not [e for e in answers if e.status == 429]
        assert len(own(sandbox)) == 4
        assert all("Completed" in words(sandbox, m) for m in own(sandbox))


async def test_a_deleted_card_comes_back_once_in_its_thread(sandbox: Sandbox) -> None:
    board = Board()
    async with open_bot(sandbox, board):
        run = new_run(board)
        first = await drawn(board, run)
        root = str(first.message_ts)
        await sandbox.human.say("#builds", "nice", thread_ts=root)
        await sandbox.human.delete("#builds", root)

        board.change(run.run_id, turns=3)
        again = await drawn(board, run)
        await sandbox.human.delete("#builds", str(again.message_ts))
        board.end(run.run_id)
        last = await drawn(board, run)

        assert again.thread_ts == root
        assert again.attempts == 1
        assert (last.state, last.error) == (ShownState.GONE, "deleted")


async def test_in_an_archived_channel_the_owner_is_told_the_end_directly(
    sandbox: Sandbox,
) -> None:
    board = Board()
    async with open_bot(sandbox, board) as bot:
        await sandbox.human.slash("#builds", "/workflow", "run builder Add a button")
        await board.until(lambda: board.shown, what="the card")
        run = next(iter(board.runs.values()))
        await drawn(board, run)
        await sandbox.human.archive("#builds")

        board.end(run.run_id, result="All is well.")
        card = await drawn(board, run)

        assert card.state is ShownState.GONE
        await sandbox.human.wait_for(
            lambda: any("All is well." in words(sandbox, m) for m in own(sandbox, "@ada")) or None,
            what="the farewell",
        )
        assert len(own(sandbox, "@ada")) == 1
        assert bot.side.supervised is not None


async def test_a_bot_that_is_invited_again_goes_on_drawing(sandbox: Sandbox) -> None:
    board = Board()
    async with open_bot(sandbox, board):
        await sandbox.human.kick("#builds")
        run = new_run(board)
        gone = await drawn(board, run)
        await sandbox.human.invite("#builds")

        # As if some minutes had passed since.
        board.shown[run.run_id, "card"] = replace(
            gone, updated_at=gone.updated_at - timedelta(minutes=6)
        )
        board.end(run.run_id, result="Done.")
        back = await drawn(board, run)

        assert (gone.state, gone.error) == (ShownState.GONE, "not_in_channel")
        assert (back.state, back.error) == (ShownState.SHOWN, None)
        assert "Completed" in words(sandbox, own(sandbox)[0])
        assert len(own(sandbox)) == 1


async def test_a_long_report_becomes_a_file_once_though_its_answer_is_lost(
    sandbox: Sandbox,
) -> None:
    board = Board()
    async with open_bot(sandbox, board):
        run = new_run(board)
        await drawn(board, run)
        sandbox.faults.add("files.completeUploadExternal", "lost_answer")

        board.end(run.run_id, result="# Report\n\n" + "a line of it\n" * 2000)
        card = await drawn(board, run)

        thread = sandbox.human.thread("#builds", str(card.message_ts))
        files = [f["name"] for m in thread for f in m.get("files", ())]
        assert files == [f"{run.run_id}-report.md"]


async def test_elapsed_times_of_live_cards_are_refreshed(sandbox: Sandbox) -> None:
    board = Board()
    async with open_bot(sandbox, board, refresh_every=timedelta(milliseconds=50)):
        run = new_run(board)
        await drawn(board, run)

        # No new version: only the clock has moved, as if an hour had passed.
        old = board.runs[run.run_id]
        assert old.started_at is not None
        board.runs[run.run_id] = _shifted(old)

        await sandbox.human.wait_for(
            lambda: "1 h" in words(sandbox, own(sandbox)[0]) or None, what="the hour"
        )


def _shifted(run: Run) -> Run:
    assert run.started_at is not None
    return replace(run, started_at=run.started_at - timedelta(hours=1))


async def test_the_next_leg_is_shown_on_the_same_card(sandbox: Sandbox) -> None:
    board = Board()
    async with open_bot(sandbox, board) as bot:
        await sandbox.human.slash("#builds", "/workflow", "run builder Add a button")
        await board.until(lambda: board.shown, what="the card")
        run = next(iter(board.runs.values()))
        board.end(run.run_id, StopReason.MAX_TURNS, turns=30)
        card = await drawn(board, run)
        await sandbox.human.click("#builds", str(card.message_ts), action_id="run_continue_20")
        await board.until(lambda: len(board.runs) == 2, what="the leg")
        leg = list(board.runs.values())[-1]
        board.end(leg.run_id)
        await board.until(
            lambda: board.shown[run.run_id, "card"].version == board.runs[leg.run_id].version,
            what="the drawing of the leg",
        )

        assert len(own(sandbox)) == 1
        assert "Completed" in words(sandbox, own(sandbox)[0])
        assert isinstance(bot, Bot)
