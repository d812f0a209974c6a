"""Messages that Slack no longer lets the bot change are replaced, a bounded number of times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

import pytest

from bot.sandbox.slack.people import ADA, BUILDS, TEAM_ID
from bot.sandbox.slack.server import Sandbox
from bot.slack.client.rate_limits import Priority
from bot.slack.drawing.kinds import DrawnKind, drawn_kinds
from bot.slack.drawing.messages.replacing import MAX_REPLACEMENTS
from bot.slack.views import blocks
from bot.slack.views.message import Content, Message
from core.domain.drawables import (
    DrawableId,
    DrawablePlace,
    DrawableRequest,
    SlackMessageState,
)
from tests.fakes.bot import open_bot
from tests.fakes.services import FakeServices
from tests.fakes.threads import (
    bot_messages,
    bot_replies_below,
    bot_texts,
    new_run,
    slot_counts,
    wait_until_drawn,
)
from tests.sandbox import sandbox

__all__ = ["sandbox"]

SPEED = 10.0
# More than any test makes.
ALWAYS = 1000


def freeze(sandbox: Sandbox, error: str, ts: str | None) -> None:
    """Refuse every update, of one message or of all."""
    sandbox.faults.add("chat.update", error, times=ALWAYS, ts=ts)


@pytest.mark.parametrize(
    "error",
    ["cant_update_message", "edit_window_closed", "msg_too_long", "block_mismatch", "new_refusal"],
)
async def test_a_card_that_cannot_be_changed_is_replaced_and_goes_on(
    sandbox: Sandbox, error: str
) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, speed=SPEED):
        run = new_run(services, owner=ADA)
        first = str((await wait_until_drawn(services, run)).message_ts)
        freeze(sandbox, error, first)

        services.change(run.run_id, turns=3)
        card = await wait_until_drawn(services, run)
        services.end(run.run_id, result="All is well.", turns=9)
        last = await wait_until_drawn(services, run)

        assert card.message_ts != first
        assert (last.message_ts, last.thread_ts) == (card.message_ts, first)
        # The channel shows the new card; the old one was deleted, and its thread is kept.
        shown = bot_messages(sandbox)
        assert [message["ts"] for message in shown] == [card.message_ts]
        assert "Completed" in sandbox.human.text(shown[0])
        assert "I can no longer change" in sandbox.human.text(shown[0])
        assert any("All is well." in said for said in bot_replies_below(sandbox, first))
        assert set(slot_counts(sandbox).values()) == {1}
        assert not bot_messages(sandbox, "@ada")


async def test_the_buttons_of_the_new_card_work(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, speed=SPEED):
        await sandbox.human.slash("#builds", "/workflow", "run builder Add a button")
        await services.wait_until(lambda: services.shown, what="the card")
        run = next(iter(services.runs.values()))
        first = await wait_until_drawn(services, run)
        freeze(sandbox, "edit_window_closed", str(first.message_ts))
        services.change(run.run_id, turns=3)
        card = await wait_until_drawn(services, run)

        await sandbox.human.click("#builds", str(card.message_ts), action_id="run_kill")

        await services.wait_until(lambda: services.kills, what="the kill")
        found = await services.run_of_thread(channel_id=BUILDS, thread_ts=str(first.message_ts))
        assert found is not None
        assert found.run_id == run.run_id


async def test_an_old_card_that_cannot_be_deleted_stays_and_is_linked(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, speed=SPEED):
        run = new_run(services)
        first = str((await wait_until_drawn(services, run)).message_ts)
        freeze(sandbox, "cant_update_message", first)
        sandbox.faults.add("chat.delete", "cant_delete_message")

        services.end(run.run_id, result="Done.")
        card = await wait_until_drawn(services, run)

        assert [m["ts"] for m in bot_messages(sandbox)] == [first, card.message_ts]
        link = f"/archives/{BUILDS}/p{first.replace('.', '')}|the first one>"
        assert link in str(bot_messages(sandbox)[1]["blocks"][-1])


async def test_a_card_that_is_too_long_is_shortened_first(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, speed=SPEED):
        run = new_run(services)
        first = await wait_until_drawn(services, run)
        sandbox.faults.add("chat.update", "msg_too_long")

        services.change(run.run_id, turns=3)
        card = await wait_until_drawn(services, run)

        assert card.message_ts == first.message_ts
        shown = bot_messages(sandbox)[0]
        assert [block["type"] for block in shown["blocks"]] == ["section", "actions"]
        assert "Add a button" in sandbox.human.text(shown)


async def test_a_replacement_whose_answer_is_lost_is_posted_once(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, speed=SPEED):
        run = new_run(services)
        first = str((await wait_until_drawn(services, run)).message_ts)
        freeze(sandbox, "cant_update_message", first)
        sandbox.faults.add("chat.postMessage", "lost_answer")

        services.change(run.run_id, turns=3)
        card = await wait_until_drawn(services, run)

        assert [m["ts"] for m in bot_messages(sandbox)] == [card.message_ts]
        assert card.message_ts != first
        assert set(slot_counts(sandbox).values()) == {1}


async def test_a_workspace_without_edits_gets_few_cards_and_every_end(sandbox: Sandbox) -> None:
    services = FakeServices()
    freeze(sandbox, "edit_window_closed", None)
    async with open_bot(sandbox, services, speed=SPEED) as bot:
        waiting = bot.runtime.redraw.drawing.sender.refusals
        run = new_run(services, owner=ADA)
        root = str((await wait_until_drawn(services, run)).message_ts)
        for turn in range(1, 8):
            services.change(run.run_id, turns=turn)
            await services.wait_until(
                lambda: services.shown[run.run_id, "card"].attempts == 1, what="the one replacement"
            )
            await sandbox.human.wait_for(lambda: waiting._postponed or None, what="the wait")
        assert len(bot_messages(sandbox)) == 1

        services.end(run.run_id, result="All is well.", turns=9)
        card = await wait_until_drawn(services, run)

        assert card.attempts == 2
        assert ["Completed" in said for said in bot_texts(sandbox)] == [True]
        assert any("All is well." in said for said in bot_replies_below(sandbox, root))
        assert len(sandbox.calls("chat.update")) <= 4


async def test_a_card_is_given_up_visibly_after_some_replacements(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, speed=SPEED) as bot:
        run = new_run(services, owner=ADA)
        first = await wait_until_drawn(services, run)
        root = str(first.message_ts)
        services.shown[run.run_id, "card"] = replace(first, attempts=MAX_REPLACEMENTS)
        freeze(sandbox, "edit_window_closed", root)

        services.change(run.run_id, turns=3)
        gone = await wait_until_drawn(services, run)
        said = await sandbox.human.wait_for(
            lambda: [sandbox.human.text(each) for each in sandbox.human.ephemerals(ADA)],
            what="the notice",
        )
        services.end(run.run_id, result="All is well.")
        await wait_until_drawn(services, run)

        assert (gone.state, gone.error) == (SlackMessageState.GONE, "edit_window_closed")
        assert len(said) == 1
        assert "refuses to let me show the card of your run" in said[0]
        assert f"`/workflow status {run.run_id}`" in said[0]
        assert bot.runtime.redraw.drawing.notices.given_up_count() == 1
        # The result is still posted below, and so the owner needs no direct message about it.
        assert any("All is well." in each for each in bot_replies_below(sandbox, root))
        assert not bot_messages(sandbox, "@ada")


async def test_a_card_that_can_never_be_posted_is_given_up_visibly(sandbox: Sandbox) -> None:
    services = FakeServices()
    sandbox.faults.add("chat.postMessage", "invalid_blocks", times=2)
    async with open_bot(sandbox, services, speed=SPEED):
        run = new_run(services, owner=ADA)
        gone = await wait_until_drawn(services, run)
        said = await sandbox.human.wait_for(
            lambda: [sandbox.human.text(each) for each in sandbox.human.ephemerals(ADA)],
            what="the notice",
        )

        assert (gone.state, gone.error) == (SlackMessageState.GONE, "invalid_blocks")
        assert "refuses to let me show the card of your run" in said[0]


@dataclass
class Counts:
    """A subject whose reply changes."""

    numbers: dict[str, int] = field(default_factory=dict)

    async def number(self, key: str) -> int | None:
        return self.numbers.get(key)


def count_view(number: int, now: datetime) -> Mapping[str, Content]:
    said = f"count {number}"
    return {
        "top": Message(text="top", blocks=(blocks.section("top"),)),
        "reply": Message(text=said, blocks=(blocks.section(said),)),
    }


async def test_a_reply_that_cannot_be_changed_is_replaced_too(sandbox: Sandbox) -> None:
    services, counts = FakeServices(), Counts({"a": 1})
    kind: DrawnKind[int] = DrawnKind(
        head="top", read=counts.number, draw=count_view, priority=lambda _, __, ___: Priority.STEP
    )
    drawable = DrawableId("count", "a")
    place = DrawablePlace(team_id=TEAM_ID, channel_id=BUILDS)
    kinds = {**drawn_kinds(services, services.alerts), "count": kind}
    async with open_bot(sandbox, services, kinds=kinds, speed=SPEED):
        await services.request(DrawableRequest(drawable=drawable, place=place))
        await services.wait_until(lambda: services.drawn.get(drawable) == 1, what="the reply")
        freeze(sandbox, "edit_window_closed", services.shown["a", "reply"].message_ts)

        for version in (2, 3):
            counts.numbers["a"] = version
            services.requested[drawable] = replace(
                services.requested[drawable], desired_version=version
            )
            services.notify_watchers()
            await services.wait_until(
                partial(_is_drawn, services, drawable, version), what="the change"
            )

        root = str(services.shown["a", "top"].message_ts)
        replies = bot_replies_below(sandbox, root)
        assert len(replies) == 1
        assert "count 3" in replies[0]
        assert "I can no longer change an earlier one" in replies[0]
        # A reply is not shown in the channel.
        assert len(bot_messages(sandbox)) == 1


def _is_drawn(services: FakeServices, drawable: DrawableId, version: int) -> bool:
    return services.drawn.get(drawable) == version
