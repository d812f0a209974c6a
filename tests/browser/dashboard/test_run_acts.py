"""What people do with a run on its page, to the rows that the service writes."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from playwright.async_api import Page, expect

from core.domain.actor import Role
from core.domain.alerts.episode import AlertState, Episode
from core.domain.alerts.kinds import AlertKind, Severity, Subject, SubjectType
from core.domain.runs.run import Run, RunStatus, StopReason
from core.store import terminations
from core.store.alerts import episodes
from core.store.runs import run_queries
from tests import restart_rows
from tests.browser.conftest import ONE_LOOP
from tests.browser.dashboard.site import Site
from tests.database import stored_run
from tests.run_story import RunStory, recently

pytestmark = ONE_LOOP

_PLAN = ("Read the code", "Write the bucket", "Cover it with tests")
_RUN_PAGE = re.compile(r"/runs/(run_[0-9a-f]{12})$")


async def story(site: Site, **fields: Any) -> RunStory:
    """A story whose runs belong to the member."""
    actor = await site.member()
    return RunStory(site.api.database, recently(hours=1), user_id=actor.user_id, **fields)


async def ended(site: Site, reason: StopReason = StopReason.MAX_TURNS, **fields: Any) -> Run:
    """A run that has ended, with a checkpoint after its first step."""
    told = await story(site)
    run = await told.leg()
    await told.calls(run, 20)
    await told.plan(run, _PLAN, done=2)
    await told.checkpoint(run, _PLAN[0])
    return await told.end(run, reason, **fields)


async def shown_run(site: Site, page: Page, *, other_than: Run) -> Run:
    """The run whose page is shown, once it is another one."""
    await page.wait_for_url(
        lambda url: _RUN_PAGE.search(url) is not None and other_than.run_id not in url
    )
    found = _RUN_PAGE.search(page.url)
    assert found is not None
    async with site.api.database.sessions() as session:
        return await run_queries.get(session, found[1])


async def alert_about(site: Site, run: Run, kind: AlertKind = AlertKind.STALLED) -> UUID:
    """An alert about a run that fires."""
    at = recently(minutes=9)
    found = Episode(
        id=UUID(int=run.id.int ^ 1),
        kind=kind,
        subject=Subject(type=SubjectType.RUN, id=run.run_id),
        state=AlertState.FIRING,
        severity=Severity.WARNING,
        opened_at=at,
        observed_at=at,
        fired_at=at,
        run_id=run.id,
    )
    async with site.api.database.sessions.begin() as session:
        await episodes.add(session, [found])
    return found.id


async def test_a_run_is_killed_with_a_reason(site: Site, screen: dict[str, Any]) -> None:
    told = await story(site)
    run = await told.leg()
    page = await site.open(f"/runs/{run.run_id}", **screen)

    await page.get_by_role("button", name="Kill…").click()
    dialog = page.get_by_role("dialog", name="Kill this implement run?")
    await expect(dialog).to_contain_text("@Ada's run")
    assert await site.examine(page) == []
    await dialog.get_by_label("Why?").fill("wrong <b>branch</b>")
    await dialog.get_by_role("button", name="Kill it").click()

    await expect(page.get_by_text("It was asked to stop.")).to_be_visible()
    await expect(page.locator("#head")).to_contain_text("Stopping")
    await expect(page.locator("#terminations")).to_contain_text("wrong <b>branch</b>")
    async with site.api.database.sessions() as session:
        (kill,) = await terminations.all_of_run(session, run.id)
    assert (kill.reason, kill.requested_from, kill.force) == (
        "wrong <b>branch</b>",
        "dashboard",
        False,
    )
    # What was asked to stop can be hurried.
    await page.get_by_role("button", name="Force kill…").click()
    await (
        page.get_by_role("dialog", name="End it by force?")
        .get_by_role("button", name="Force kill")
        .click()
    )
    await expect(page.get_by_text("It is ended by force.")).to_be_visible()
    async with site.api.database.sessions() as session:
        (kill,) = await terminations.all_of_run(session, run.id)
    assert kill.force


async def test_a_run_at_its_turn_limit_goes_on_with_one_press(site: Site) -> None:
    run = await ended(site)
    page = await site.open(f"/runs/{run.run_id}")

    button = page.get_by_role("button", name="+20 turns")
    # A double click starts one leg.
    await button.dblclick()

    leg = await shown_run(site, page, other_than=run)
    assert (leg.session_id, leg.parent_run_id, leg.max_turns) == (run.session_id, run.id, 20)
    await expect(page.locator("#head")).to_contain_text("leg 2")
    async with site.api.database.sessions() as session:
        legs = await run_queries.legs_of_session(session, run.session_id)
    assert len(legs) == 2


async def test_a_run_is_continued_with_a_message_and_limits(
    site: Site, screen: dict[str, Any]
) -> None:
    run = await ended(site, StopReason.KILLED)
    page = await site.open(f"/runs/{run.run_id}", **screen)
    await expect(page.get_by_role("button", name="Continue (50 turns left)")).to_be_visible()

    await page.get_by_role("button", name="Continue…").click()
    dialog = page.get_by_role("dialog", name="Continue this run")
    assert await site.examine(page) == []
    await dialog.get_by_label("What shall I tell it?").fill("Only the tests.\nThen stop.")
    await dialog.get_by_label("How many turns more?").fill("7")
    await dialog.get_by_label("Cost limit").fill("2.5")
    await dialog.get_by_role("button", name="Continue").click()

    leg = await shown_run(site, page, other_than=run)
    assert (leg.task_input, leg.max_turns, str(leg.budget_usd)) == (
        "Only the tests.\nThen stop.",
        57,
        "2.5000000",
    )
    await expect(page.locator("#messages")).to_contain_text("Only the tests.")


async def test_a_message_below_the_conversation_continues_the_run(site: Site) -> None:
    run = await ended(site, StopReason.SUCCESS, result="Done.")
    page = await site.open(f"/runs/{run.run_id}")

    await page.get_by_label("Continue it with a message").fill("Also the <docs>")
    await page.get_by_role("button", name="Send and continue").click()

    leg = await shown_run(site, page, other_than=run)
    assert leg.task_input == "Also the <docs>"


async def test_what_is_refused_is_said_in_the_dialog(site: Site) -> None:
    site.expected = ("409",)
    run = await ended(site)
    page = await site.open(f"/runs/{run.run_id}")
    await page.get_by_role("button", name="Continue…").click()
    dialog = page.get_by_role("dialog", name="Continue this run")
    # Meanwhile somebody else continues it.
    other = await site.open(f"/runs/{run.run_id}", name="U0BEN")
    await other.get_by_role("button", name="+10 turns").click()
    leg = await shown_run(site, other, other_than=run)
    # The page knows it, and its dialog stays.
    await expect(page.locator("[data-opens=continue-dialog]")).to_have_count(0)

    await dialog.get_by_label("What shall I tell it?").fill("Too late")
    await dialog.get_by_role("button", name="Continue").click()

    await expect(dialog.get_by_role("alert")).to_contain_text(leg.run_id)
    await expect(dialog.get_by_label("What shall I tell it?")).to_have_value("Too late")
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(dialog).to_be_hidden()


async def test_a_message_that_is_typed_stays_when_somebody_else_was_faster(site: Site) -> None:
    site.expected = ("409",)
    run = await ended(site)
    page = await site.open(f"/runs/{run.run_id}")
    message = page.get_by_label("Continue it with a message")
    await message.fill("Also the docs")
    other = await site.open(f"/runs/{run.run_id}", name="U0BEN")
    await other.get_by_role("button", name="+10 turns").click()
    leg = await shown_run(site, other, other_than=run)
    await expect(page.locator("#messages")).to_contain_text("The session went on")

    await page.get_by_role("button", name="Send and continue").click()

    await expect(page.locator("#messages").get_by_role("alert")).to_contain_text(leg.run_id)
    await expect(message).to_have_value("Also the docs")


async def test_a_restart_shows_what_it_discards_before_it_is_done(
    site: Site, screen: dict[str, Any]
) -> None:
    run = await restart_rows.ended(site.api.database)
    await restart_rows.with_checkpoint(site.api.database, run)
    page = await site.open(f"/runs/{run.run_id}", **screen)

    await page.get_by_role("button", name="Restart from checkpoint 1").click()
    dialog = page.get_by_role("dialog", name="Restart")

    await expect(dialog).to_contain_text("It begins without:")
    await expect(dialog).to_contain_text("✔ Step 2")
    assert await site.examine(page) == []
    # The other choices change what is shown.
    await dialog.get_by_label("Only the files; the conversation stays").check()
    await expect(dialog).to_contain_text("The conversation goes on in the same session")
    await dialog.get_by_label("From where?").select_option(label="The start: the same task again")
    await expect(dialog).to_contain_text("an empty conversation")
    await expect(dialog.get_by_label("What shall I tell it?")).to_be_hidden()
    submit = dialog.get_by_role("button", name="Restart", exact=True)
    await expect(submit).to_be_enabled()
    await submit.click()

    again = await shown_run(site, page, other_than=run)
    assert (again.parent_run_id, again.task_input) == (run.id, run.task_input)
    assert again.session_id != run.session_id
    assert again.restarted_from_checkpoint_id is None
    await expect(page.locator("#facts")).to_contain_text("Restarted from the start")


async def test_an_alert_is_acknowledged_snoozed_and_found_to_be_fine(site: Site) -> None:
    told = await story(site)
    run = await told.leg()
    alert_id = await alert_about(site, run)
    page = await site.open(f"/runs/{run.run_id}", name="U0RUN", role=Role.RUNNER)
    alerts = page.locator("#alerts")

    await alerts.get_by_role("button", name="Acknowledge").click()
    await expect(alerts).to_contain_text("Ada takes care of it")
    await expect(alerts.get_by_role("button", name="Acknowledge")).to_have_count(0)
    await alerts.get_by_label("Snooze for").select_option("4h")
    await alerts.get_by_role("button", name="Snooze").click()
    await expect(alerts).to_contain_text("snoozed, told again in 3 h")
    await alerts.get_by_role("button", name="Still fine").click()
    await expect(page.get_by_text("It is told again in 30 minutes")).to_be_visible()

    async with site.api.database.sessions() as session:
        found = await episodes.get(session, alert_id)
    assert found is not None
    assert (found.acknowledged_by, found.snoozed_by) == ("Ada", "Ada")


async def test_a_run_is_started_and_run_again(site: Site, screen: dict[str, Any]) -> None:
    page = await site.open("/runs", **screen)

    await page.get_by_role("link", name="New run").click()
    await expect(page.get_by_role("heading", name="New run")).to_be_visible()
    assert await site.examine(page) == []
    await page.get_by_label("Workflow").select_option("review")
    await page.get_by_label("Task").fill("Look at it\n\nclosely")
    await page.get_by_label("Turns").fill("9")
    await page.get_by_label("Time limit, minutes").fill("3")
    await page.get_by_label("Session name").fill("look")
    await page.get_by_role("button", name="Start it").click()
    await page.wait_for_url(_RUN_PAGE)
    found = _RUN_PAGE.search(page.url)
    assert found is not None
    async with site.api.database.sessions() as session:
        first = await run_queries.get(session, found[1])
    assert (first.workflow_name, first.task_input, first.max_turns) == (
        "review",
        "Look at it\n\nclosely",
        9,
    )
    assert (first.timeout and first.timeout.total_seconds(), first.session_name) == (180, "look")

    await page.get_by_role("link", name="Run again…").click()
    await expect(page.get_by_label("Task")).to_have_value("Look at it\n\nclosely")
    await page.get_by_role("button", name="Start it").click()
    second = await shown_run(site, page, other_than=first)
    assert (second.task_input, second.max_turns) == (first.task_input, 9)
    assert second.session_id != first.session_id


async def test_a_start_that_is_refused_says_why_and_keeps_what_was_typed(site: Site) -> None:
    site.expected = ("400",)
    page = await site.open("/runs/new?task=Keep+me&repository=ftp://nowhere")

    await page.get_by_role("button", name="Start it").click()

    await expect(page.get_by_role("alert")).to_be_visible()
    await expect(page.get_by_label("Task")).to_have_value("Keep me")
    assert page.url.endswith("repository=ftp://nowhere")


async def test_who_may_not_act_on_a_run_is_offered_nothing(site: Site) -> None:
    told = await story(site)
    live, over = await told.leg(), await ended(site)
    names = re.compile("Kill|Continue|turns|Restart|Recovery|Send")

    for role in (Role.VIEWER, Role.RUNNER):
        for run in (live, over):
            page = await site.open(f"/runs/{run.run_id}", name=f"U0{role.name}", role=role)
            await expect(page.get_by_role("link", name="Log")).to_be_visible()
            await expect(page.get_by_role("button", name=names)).to_have_count(0)
            again = page.get_by_role("link", name="Run again…")
            await expect(again).to_have_count(1 if role is Role.RUNNER else 0)
    own = await site.member("U0MINE", Role.RUNNER)
    mine = await RunStory(site.api.database, recently(minutes=2), user_id=own.user_id).leg()
    page = await site.open(f"/runs/{mine.run_id}", name="U0MINE", role=Role.RUNNER)
    await expect(page.get_by_role("button", name="Kill…")).to_be_visible()


async def test_a_queued_run_is_killed_before_it_starts(site: Site) -> None:
    actor = await site.member()
    run = await stored_run(site.api.database, user_id=actor.user_id)
    page = await site.open(f"/runs/{run.run_id}")

    await page.get_by_role("button", name="Kill…").click()
    await page.get_by_role("button", name="Kill it").click()

    await expect(page.locator("#head")).to_contain_text("Killed before it started")
    async with site.api.database.sessions() as session:
        assert (await run_queries.get(session, run.run_id)).status is RunStatus.KILLED
