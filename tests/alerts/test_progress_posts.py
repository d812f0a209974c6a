"""Progress posts on real rows: when they are taken, what they tell, and that threads follow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from bot.slack.views.thread.slots import thread_messages
from core.domain.alerts.channels.subscription import AlertFilter
from core.domain.alerts.posts.progress import ProgressFigures, ProgressPost
from core.domain.errors import OutOfBounds
from core.domain.runs.request import StartRequest
from core.domain.runs.run import CostSource, Run, StopReason
from core.domain.runs.snapshot import Thread
from core.domain.runs.step import Step, StepStatus
from core.services.alerts.progress import ProgressService
from core.services.threads import ThreadService
from core.store import steps
from core.store.alerts import progress_posts
from core.store.database.engine import Database
from core.store.runs import run_queries
from tests.alerts.world import AlertWorld
from tests.database import NOW

EVERY = timedelta(minutes=10)


async def take(world: AlertWorld) -> int:
    return await ProgressService(world.context).take_due()


async def posting(world: AlertWorld, **fields: object) -> Run:
    """A run that has just begun, and posts its progress."""
    run = await world.start(**fields)
    async with world.database.sessions.begin() as session:
        post = ProgressPost(run_id=run.id, every=EVERY, due_at=world.now + EVERY)
        await progress_posts.add(session, post)
    return run


async def plan(world: AlertWorld, run: Run, *states: StepStatus) -> None:
    found = [
        Step(step_id=number, name=f"Step {number}", status=state)
        for number, state in enumerate(states, start=1)
    ]
    async with world.database.sessions.begin() as session:
        await steps.replace(session, run.id, found)


async def post_of(world: AlertWorld, run: Run) -> ProgressPost | None:
    async with world.database.sessions() as session:
        return (await progress_posts.of_runs(session, [run.id])).get(run.id)


async def told(world: AlertWorld, run: Run) -> ProgressFigures:
    post = await post_of(world, run)
    assert post is not None
    assert post.told is not None
    return post.told


async def version(world: AlertWorld, run: Run) -> int:
    async with world.database.sessions() as session:
        return (await run_queries.get(session, run.run_id)).version


async def shown(world: AlertWorld, run: Run) -> str | None:
    """The progress in the run's thread."""
    assert run.thread_key is not None
    thread: Thread | None = await ThreadService(world.context).thread(run.thread_key)
    assert thread is not None
    messages = thread_messages(thread, world.now)
    found = messages.get(f"progress:{run.run_id}")
    return None if found is None else str(found.blocks[0]["text"]["text"])


DONE, DOING, OPEN = StepStatus.COMPLETED, StepStatus.IN_PROGRESS, StepStatus.PENDING


async def test_progress_is_taken_when_it_is_due_and_the_thread_is_drawn_again(
    database: Database,
) -> None:
    world = AlertWorld(database)
    run = await posting(world, max_turns=60)
    await plan(world, run, DONE, DOING, OPEN)
    await world.change(run, turns=12, cost_usd=Decimal("0.4"), cost_source=CostSource.ESTIMATED)
    world.wait(minutes=9)
    before = await version(world, run)

    assert await take(world) == 0
    assert await version(world, run) == before
    assert await shown(world, run) is None
    world.wait(minutes=1)
    assert await take(world) == 1

    assert await version(world, run) > before
    words = await shown(world, run)
    assert words is not None
    assert "Progress after 10 min (every 10 min)" in words
    assert "12/60 turns · ~$0.40 · 1 of 3 steps done" in words
    assert "Now: Step 2" in words
    assert "So far finished: Step 1" in words
    assert await take(world) == 0


async def test_the_next_post_says_what_has_changed_since(database: Database) -> None:
    world = AlertWorld(database)
    run = await posting(world)
    await plan(world, run, DONE, DOING, OPEN)
    await world.change(run, turns=12, cost_usd=Decimal("0.4"))
    world.wait(minutes=10)
    await take(world)
    await plan(world, run, DONE, DONE, DONE)
    await world.change(run, turns=20, cost_usd=Decimal("0.65"))
    await world.hear(run)
    world.wait(minutes=10)

    await take(world)

    found = await told(world, run)
    assert (found.more_turns, found.more_cost_usd) == (8, Decimal("0.25"))
    assert found.finished == ("Step 2", "Step 3")
    words = await shown(world, run)
    assert words is not None
    assert "In the last 10 min: +8 turns · +$0.25 · finished: Step 2, Step 3" in words
    assert "Nothing had been heard for 10 min" in words


async def test_a_missed_post_is_made_up_for_once_and_in_step(database: Database) -> None:
    world = AlertWorld(database)
    run = await posting(world)
    world.wait(minutes=47)

    assert await take(world) == 1

    post = await post_of(world, run)
    assert post is not None
    assert post.due_at == NOW + timedelta(minutes=50)
    assert post.count == 1


async def test_the_last_state_stays_when_the_run_has_ended(database: Database) -> None:
    world = AlertWorld(database)
    run = await posting(world)
    await plan(world, run, DOING)
    world.wait(minutes=10)
    await take(world)
    world.wait(minutes=5)
    await world.finish(run, StopReason.TIMEOUT)

    words = await shown(world, run)
    assert words is not None
    assert "Progress after 10 min, before the run ended" in words
    assert "Then: Step 1" in words
    world.wait(minutes=30)
    assert await take(world) == 0
    assert await shown(world, run) == words
    post = await post_of(world, run)
    assert post is not None
    assert post.due_at is None


async def test_a_run_that_ends_before_the_first_post_shows_none(database: Database) -> None:
    world = AlertWorld(database)
    run = await posting(world)
    await world.finish(run)
    world.wait(minutes=30)

    assert await take(world) == 0

    assert await shown(world, run) is None


async def test_a_subscription_has_the_runs_of_its_channel_posted(database: Database) -> None:
    world = AlertWorld(database)
    wanted = await world.start()
    other_channel = await world.start(slack_channel_id="C2")
    other_workflow = await world.start(workflow_name="review")
    await world.subscribe(progress_every=EVERY, filter=AlertFilter(workflow="implement"))
    world.wait(minutes=12)

    await take(world)

    assert (await told(world, wanted)).turns == 0
    assert await post_of(world, other_channel) is None
    assert await post_of(world, other_workflow) is None


async def test_nobody_is_asked_about_runs_without_a_wish(database: Database) -> None:
    world = AlertWorld(database)
    run = await world.start()
    world.wait(hours=3)

    assert await take(world) == 0

    assert await post_of(world, run) is None


def test_figures_survive_their_json() -> None:
    figures = ProgressFigures(
        turns=3,
        max_turns=None,
        cost_usd=Decimal("1.4468734"),
        cost_source=CostSource.REPORTED,
        step="x",
        steps_done=1,
        steps_total=2,
        finished_ids=(1,),
        finished=("a",),
        more_turns=2,
        more_cost_usd=Decimal("0.1"),
        since=datetime(2026, 1, 1, tzinfo=UTC),
        heard_at=datetime(2026, 1, 2, tzinfo=UTC),
    )

    assert ProgressFigures.of_json(figures.to_json()) == figures
    assert ProgressFigures.of_json(ProgressFigures(turns=0).to_json()) == ProgressFigures(turns=0)


@pytest.mark.parametrize("seconds", [0, 59, 86_401])
def test_an_interval_out_of_bounds_is_refused(seconds: int) -> None:
    request = StartRequest(
        workflow="fix", task="x", request_key="k", progress_every=timedelta(seconds=seconds)
    )

    with pytest.raises(OutOfBounds, match="progress_every"):
        request.check()
