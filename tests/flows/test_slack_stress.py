"""Faults of single Slack calls: each kind of fault, each kind of call."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from bot.sandbox.slack.people import ADA, BUILDS
from bot.sandbox.slack.server import Sandbox
from bot.slack.drawing.diff import RETRY_CHANNEL_AFTER
from core.domain.drawables import (
    UncertainWriteKind,
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
from tests.limits import limit
from tests.sandbox import sandbox

pytestmark = [pytest.mark.full_speed, pytest.mark.sampled(20)]

__all__ = ["sandbox"]

REPORT = "# Report\n\n" + "a line of it\n" * 2000
# Ten times as fast as normal: rate limits, waits after failures, checks.
SPEED = 10.0
PATIENCE = timedelta(seconds=0.4)
# Faults after which the bot does not know whether the call was applied.
DARK = ("lost_answer", "cut_body", "timeout", "reset", "500", "502", "503", "page")
DARK_WORDS = ("internal_error", "fatal_error")
RATE_WORDS = ("ratelimited", "rate_limited", "429")


@pytest.mark.parametrize("is_applied", [True, False])
@pytest.mark.parametrize("kind", [*DARK, *DARK_WORDS])
async def test_a_post_without_a_valid_answer_is_shown_once(
    sandbox: Sandbox, kind: str, is_applied: bool
) -> None:
    services = FakeServices()
    sandbox.faults.add("chat.postMessage", kind, times=2, is_applied=is_applied)
    async with open_bot(sandbox, services, speed=SPEED, call_timeout=PATIENCE):
        run = new_run(services)
        await wait_until_drawn(services, run)
        services.end(run.run_id, result="Done.")
        card = await wait_until_drawn(services, run)

        assert len(bot_messages(sandbox)) == 1
        assert set(slot_counts(sandbox).values()) == {1}
        assert "Completed" in bot_texts(sandbox)[0]
        assert any("Done." in said for said in bot_replies_below(sandbox, str(card.message_ts)))
        assert sandbox.faults.remaining("chat.postMessage") == 0


@pytest.mark.parametrize("kind", [*DARK, *DARK_WORDS, *RATE_WORDS])
async def test_an_update_without_a_valid_answer_is_repeated(sandbox: Sandbox, kind: str) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, speed=SPEED, call_timeout=PATIENCE):
        run = new_run(services)
        await wait_until_drawn(services, run)
        sandbox.faults.add("chat.update", kind, times=2)
        services.end(run.run_id, result="Done.")
        await wait_until_drawn(services, run)

        assert "Completed" in bot_texts(sandbox)[0]


@pytest.mark.parametrize(
    "step", ["files.getUploadURLExternal", "upload", "files.completeUploadExternal"]
)
@pytest.mark.parametrize("kind", ["lost_answer", "timeout", "reset", "500", "429"])
async def test_a_file_is_shown_once_whichever_step_fails(
    sandbox: Sandbox, step: str, kind: str
) -> None:
    services = FakeServices()
    sandbox.faults.add(step, kind)
    async with open_bot(sandbox, services, speed=SPEED, call_timeout=PATIENCE):
        run = new_run(services)
        services.end(run.run_id, result=REPORT)
        await wait_until_drawn(services, run)

        assert slot_counts(sandbox)["file", f"{run.run_id}-report.md"] == 1
        assert set(slot_counts(sandbox).values()) == {1}


@pytest.mark.parametrize("kind", ["missing_scope", "file_uploads_disabled"])
async def test_the_rest_is_shown_if_files_are_refused(sandbox: Sandbox, kind: str) -> None:
    services = FakeServices()
    sandbox.faults.add("files.getUploadURLExternal", kind, times=100)
    async with open_bot(sandbox, services, speed=SPEED):
        run = new_run(services)
        services.end(run.run_id, result=REPORT)
        card = await wait_until_drawn(services, run)

        assert "Completed" in bot_texts(sandbox)[0]
        assert bot_replies_below(sandbox, str(card.message_ts))
        assert services.shown[run.run_id, f"file:{run.run_id}"].error == kind


@pytest.mark.parametrize(
    "kind", ["token_revoked", "account_inactive", "missing_scope", "team_access_not_granted"]
)
@pytest.mark.parametrize("method", ["chat.postMessage", "chat.update"])
async def test_a_refused_bot_continues_when_it_is_accepted(
    sandbox: Sandbox, method: str, kind: str
) -> None:
    services = FakeServices()
    # So fast that the minute for which a refused bot pauses is short.
    async with open_bot(sandbox, services, speed=120):
        run = new_run(services)
        if method == "chat.update":
            await wait_until_drawn(services, run)
        sandbox.faults.add(method, kind, times=2)
        services.end(run.run_id, result="Done.")
        await wait_until_drawn(services, run)

        assert "Completed" in bot_texts(sandbox)[0]
        assert set(slot_counts(sandbox).values()) == {1}


async def test_a_limit_of_one_channel_does_not_delay_another(sandbox: Sandbox) -> None:
    services = FakeServices()
    sandbox.faults.add("chat.postMessage", "429", channel=BUILDS, retry_after=60)
    async with open_bot(sandbox, services):
        new_run(services)
        other = new_run(services, channel=sandbox.workspace.channel("#general").id)
        await sandbox.human.invite("#general")
        await wait_until_drawn(services, other)

        assert len(bot_messages(sandbox, "#general")) == 1
        assert not bot_messages(sandbox)


async def test_a_message_too_long_for_slack_is_shown_as_plain_text(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, speed=SPEED):
        run = new_run(services)
        await wait_until_drawn(services, run)
        sandbox.faults.add("chat.update", "msg_too_long")
        services.end(run.run_id, result="Done.")
        await wait_until_drawn(services, run)

        assert "Completed" in bot_texts(sandbox)[0] or "completed" in bot_texts(sandbox)[0]


async def test_a_post_that_arrives_late_is_deleted(sandbox: Sandbox) -> None:
    services = FakeServices()
    sandbox.faults.add("chat.postMessage", "late", seconds=2.0)
    async with open_bot(sandbox, services, speed=SPEED, call_timeout=PATIENCE):
        run = new_run(services)
        services.end(run.run_id, result="Done.")
        await wait_until_drawn(services, run)
        await sandbox.human.wait_for(lambda: len(bot_messages(sandbox)) == 2, what="the late one")

        await sandbox.human.wait_for(lambda: len(bot_messages(sandbox)) == 1, what="one card again")
        card = services.shown[run.run_id, "card"]
        assert bot_messages(sandbox)[0]["ts"] == card.message_ts
        assert any("Done." in said for said in bot_replies_below(sandbox, str(card.message_ts)))


async def test_an_old_update_that_arrives_late_is_overwritten(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, speed=SPEED, call_timeout=PATIENCE):
        run = new_run(services)
        await wait_until_drawn(services, run)
        # After the last update, and before the uncertainty about this one expires.
        sandbox.faults.add("chat.update", "late", seconds=4.0)
        services.change(run.run_id, turns=7)
        await sandbox.human.wait_for(
            lambda: not sandbox.faults.remaining("chat.update"), what="the update that hangs"
        )
        services.end(run.run_id, result="Done.", turns=9)
        await wait_until_drawn(services, run)
        await sandbox.human.wait_for(
            lambda: "7/30 turns" in bot_texts(sandbox)[0], what="the late one"
        )

        await sandbox.human.wait_for(
            lambda: "Completed" in bot_texts(sandbox)[0], what="the true state"
        )


async def test_an_uncertain_write_outlasts_a_bot_that_could_not_redraw_it(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, speed=SPEED):
        run = new_run(services)
        services.end(run.run_id, result="Done.")
        await wait_until_drawn(services, run)
    sandbox.faults.add("chat.update", "429", retry_after=3600)
    # The minute after which a bot checks what another one left takes half a second here.
    async with open_bot(sandbox, services, speed=120):
        await sandbox.human.wait_for(
            lambda: not sandbox.faults.remaining("chat.update"), what="the postponed try"
        )

    assert (run.run_id, "card", UncertainWriteKind.OVERWRITTEN) in services.uncertain
    async with open_bot(sandbox, services, speed=120), limit(15):
        while services.uncertain:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.02)


async def test_the_result_is_posted_although_its_card_was_deleted_twice(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, speed=SPEED):
        run = new_run(services, owner=ADA)
        root = str((await wait_until_drawn(services, run)).message_ts)
        await sandbox.human.say("#builds", "nice", thread_ts=root)
        await sandbox.human.delete("#builds", root)
        services.change(run.run_id, turns=3)
        again = await wait_until_drawn(services, run)
        await sandbox.human.delete("#builds", str(again.message_ts))

        services.end(run.run_id, result="All is well.")
        await wait_until_drawn(services, run)

        assert [said for said in bot_replies_below(sandbox, root) if "All is well." in said]
        assert not bot_messages(sandbox, "@ada")


async def test_a_result_refused_in_its_thread_is_sent_to_the_owner(
    sandbox: Sandbox,
) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, speed=SPEED):
        run = new_run(services, owner=ADA)
        await wait_until_drawn(services, run)
        sandbox.faults.add("chat.postMessage", "restricted_action_thread_locked")

        services.end(run.run_id, result="All is well.")
        await wait_until_drawn(services, run)

        assert "Completed" in bot_texts(sandbox)[0]
        assert ["All is well." in said for said in bot_texts(sandbox, "@ada")] == [True]


@pytest.mark.parametrize("kind", ["user_disabled", "user_not_found", "cannot_dm_bot"])
async def test_an_owner_who_has_left_is_not_retried_forever(sandbox: Sandbox, kind: str) -> None:
    services = FakeServices()
    sandbox.faults.add("conversations.open", kind, times=100)
    async with open_bot(sandbox, services, speed=SPEED):
        run = new_run(services, owner=ADA)
        await wait_until_drawn(services, run)
        await sandbox.human.archive("#builds")
        services.end(run.run_id, result="All is well.")
        await wait_until_drawn(services, run)

        assert sandbox.faults.remaining("conversations.open") == 99


@pytest.mark.parametrize("cause", ["archived", "removed"])
async def test_a_regained_channel_shows_the_ends_of_its_runs(sandbox: Sandbox, cause: str) -> None:
    services = FakeServices()
    # Minutes pass within a second.
    speed = RETRY_CHANNEL_AFTER.total_seconds()
    async with open_bot(sandbox, services, speed=speed):
        run = new_run(services, owner=ADA)
        card = await wait_until_drawn(services, run)
        if cause == "archived":
            await sandbox.human.archive("#builds")
        else:
            await sandbox.human.kick("#builds")
        services.end(run.run_id, result="All is well.")
        await wait_until_drawn(services, run)
        if cause == "archived":
            await sandbox.human.unarchive("#builds")
        else:
            await sandbox.human.invite("#builds")

        await sandbox.human.wait_for(lambda: "Completed" in bot_texts(sandbox)[0], what="the end")
        await sandbox.human.wait_for(
            lambda: bot_replies_below(sandbox, str(card.message_ts)), what="the result"
        )
        assert len(bot_texts(sandbox, "@ada")) == 1
        assert set(slot_counts(sandbox).values()) == {1}


@pytest.mark.parametrize("kind", ["lost_answer", "reset", "500", "internal_error", "429"])
async def test_an_answer_in_a_direct_message_is_sent_once(sandbox: Sandbox, kind: str) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, speed=SPEED):
        sandbox.faults.add("chat.postMessage", kind, is_applied=kind == "500")
        await sandbox.human.say("@ada", "help")
        await services.wait_until_handled()

        assert len(bot_messages(sandbox, "@ada")) == 1


@pytest.mark.parametrize("kind", ["lost_answer", "reset", "500", "timeout", "429"])
@pytest.mark.parametrize("way", ["response_url", "chat.postEphemeral"])
async def test_a_private_answer_is_sent_by_another_route(
    sandbox: Sandbox, way: str, kind: str
) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, speed=SPEED, call_timeout=PATIENCE):
        sandbox.faults.add(way, kind)
        if way == "response_url":
            await sandbox.human.slash("#builds", "/workflow", "help")
        else:
            await sandbox.human.say("#builds", "@signalbox help")
        await services.wait_until_handled()

        assert sandbox.faults.remaining(way) == 0
        assert sandbox.human.ephemerals() or bot_messages(sandbox, "@ada")


async def test_a_form_that_cannot_be_opened_is_reported(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, speed=SPEED):
        sandbox.faults.add("views.open", "500")
        await sandbox.human.slash("#builds", "/workflow", "run")
        await services.wait_until_handled()

        answers = [sandbox.human.text(message) for message in sandbox.human.ephemerals()]
        assert ["try again" in said for said in answers] == [True]


async def test_the_end_is_shown_after_minutes_without_slack(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, speed=60):
        run = new_run(services)
        await wait_until_drawn(services, run)
        for method in ("chat.update", "chat.postMessage", "conversations.history"):
            sandbox.faults.add(method, "503", times=8)
        services.end(run.run_id, result="Done.")
        card = await wait_until_drawn(services, run)

        assert "Completed" in bot_texts(sandbox)[0]
        assert any("Done." in said for said in bot_replies_below(sandbox, str(card.message_ts)))
        assert set(slot_counts(sandbox).values()) == {1}


async def test_the_next_bot_shows_the_end_after_an_outage_of_slack(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, speed=SPEED):
        run = new_run(services)
        await wait_until_drawn(services, run)
        sandbox.faults.add("chat.update", "503", times=1000)
        services.end(run.run_id, result="Done.")
        await sandbox.human.wait_for(
            lambda: sandbox.faults.remaining("chat.update") < 1000, what="a failing call"
        )
    sandbox.faults.clear()
    async with open_bot(sandbox, services, speed=SPEED):
        card = await wait_until_drawn(services, run)

        assert "Completed" in bot_texts(sandbox)[0]
        assert any("Done." in said for said in bot_replies_below(sandbox, str(card.message_ts)))
        assert set(slot_counts(sandbox).values()) == {1}
