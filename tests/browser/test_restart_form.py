"""The form of a restart in a real browser, at the width of a desk and of a phone."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from playwright.async_api import expect

from core.domain.runs.checkpoint import Checkpoint, CheckpointDiff, CheckpointReason
from core.domain.runs.restarts.preview import Problem, ProblemKind
from core.domain.runs.restarts.request import RestartMode
from core.domain.runs.run import Run, StopReason
from tests.browser.bot_page import bot, ended_run, sandbox, width
from tests.browser.conftest import ONE_LOOP, OpenPage
from tests.fakes.bot import RunningBot

__all__ = ["bot", "sandbox", "width"]

pytestmark = ONE_LOOP


def checkpoint_of(run: Run, number: int, step: str) -> Checkpoint:
    return Checkpoint(
        id=uuid4(),
        run_id=run.id,
        session_id=run.session_id,
        attempt=1,
        number=number,
        taken_at=run.updated_at,
        reason=CheckpointReason.STEP_ENDED,
        commit="a" * 40,
        step_name=step,
        turns=number,
        diff=CheckpointDiff(files=2, added=10),
    )


async def test_the_form_restarts_from_a_chosen_checkpoint_with_a_message(
    bot: RunningBot, open_page: OpenPage, width: dict[str, Any]
) -> None:
    page = await open_page(**width)
    card = await ended_run(bot, page, StopReason.KILLED)
    (run,) = bot.services.runs.values()
    bot.restarts.checkpoints = (
        checkpoint_of(run, 1, "Read <b>the</b> code"),
        checkpoint_of(run, 2, "Write the module"),
    )
    await card.get_by_role("button", name="More options").click()
    await page.get_by_role("menuitem", name="Restart…").click()
    form = page.get_by_role("dialog", name="Restart")
    await expect(form.get_by_text("The new run has the same first message")).to_be_visible()
    # What would not reach the agent is not asked for.
    await expect(form.get_by_role("textbox")).to_have_count(0)

    points = form.get_by_role("combobox").first
    await expect(points.locator("option", has_text="@1 after Read <b>the</b> code")).to_have_count(
        1
    )
    await points.select_option(value="@2")
    message = form.get_by_role("textbox", name="What shall I tell it?")
    await message.fill("Use the other <library>")
    await form.get_by_role("button", name="Restart", exact=True).dblclick()

    await expect(form).to_be_hidden()
    await bot.services.wait_until(lambda: bot.restarts.asked)
    await bot.services.wait_until_handled()
    # However often it is sent, one form starts one run.
    assert len({one.request_key for one in bot.restarts.asked}) == 1
    request = bot.restarts.asked[0]
    assert (request.target, request.checkpoint, request.mode) == (run.run_id, 2, RestartMode.FORK)
    assert request.message == "Use the other <library>"


async def test_what_is_in_the_way_leaves_no_button(
    bot: RunningBot, open_page: OpenPage, width: dict[str, Any]
) -> None:
    page = await open_page(**width)
    card = await ended_run(bot, page, StopReason.KILLED)
    bot.restarts.problems = (
        Problem(kind=ProblemKind.BASE_COMMIT_GONE, sentence="The repository has no commit <abc>."),
    )
    await card.get_by_role("button", name="More options").click()
    await page.get_by_role("menuitem", name="Restart…").click()

    form = page.get_by_role("dialog", name="Restart")
    await expect(form.get_by_text("The repository has no commit <abc>.")).to_be_visible()
    await expect(form.get_by_role("button", name="Restart", exact=True)).to_have_count(0)
    assert bot.restarts.asked == []
