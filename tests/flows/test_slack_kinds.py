"""One reconciler for everything drawn: a new kind is a line in a table, the Home tab is live."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.sandbox.slack.people import ADA, BUILDS, TEAM_ID
from bot.sandbox.slack.server import Sandbox
from bot.slack.client.rate_limits import Priority
from bot.slack.drawing.kinds import DrawnKind, drawn_kinds
from bot.slack.views import blocks
from bot.slack.views.message import Content, Message
from core.domain.actor import Role
from core.domain.drawables import DrawableId, DrawableKind, DrawablePlace, DrawableRequest
from tests.fakes.alerts import NoAlerts
from tests.fakes.bot import open_bot
from tests.fakes.services import FakeServices
from tests.fakes.threads import bot_messages, bot_replies_below, bot_texts, new_run, slot_counts
from tests.limits import limit
from tests.sandbox import sandbox

__all__ = ["sandbox"]

SPEED = 10.0


@dataclass
class Lunches:
    """A query: what is for lunch, by day."""

    menus: dict[str, str] = field(default_factory=dict)

    async def menu(self, day: str) -> str | None:
        return self.menus.get(day)


def lunch_view(menu: str, now: datetime) -> Mapping[str, Content]:
    """A view: a message, and a reply to it."""
    return {
        "menu": Message(text=menu, blocks=(blocks.section(menu),)),
        "wish": Message(text="Enjoy it.", blocks=(blocks.section("Enjoy it."),)),
    }


def lunch_kind(lunches: Lunches) -> DrawnKind[str]:
    """The line in the table."""
    return DrawnKind(
        head="menu",
        read=lunches.menu,
        draw=lunch_view,
        priority=lambda _, __, ___: Priority.IDLE,
    )


def request_lunch(day: str) -> DrawableRequest:
    return DrawableRequest(
        drawable=DrawableId("lunch", day),
        place=DrawablePlace(team_id=TEAM_ID, channel_id=BUILDS),
    )


def test_every_kind_of_the_program_has_a_line_in_the_table() -> None:
    assert set(drawn_kinds(FakeServices(), NoAlerts())) == set(DrawableKind)


async def test_a_new_kind_is_drawn_with_all_that_the_others_have(sandbox: Sandbox) -> None:
    services, lunches = FakeServices(), Lunches({"monday": "Soup"})
    kinds = {**drawn_kinds(services, services.alerts), "lunch": lunch_kind(lunches)}
    monday = DrawableId("lunch", "monday")
    sandbox.faults.add("chat.postMessage", "lost_answer")
    async with open_bot(sandbox, services, kinds=kinds, speed=SPEED):
        await services.request(request_lunch("monday"))
        await services.wait_until(lambda: services.drawn.get(monday) == 1, what="the soup")
        assert bot_texts(sandbox) == ["Soup"]

        lunches.menus["monday"] = "Salad"
        services.requested[monday] = replace(services.requested[monday], desired_version=2)
        services.notify_watchers()
        await services.wait_until(lambda: services.drawn.get(monday) == 2, what="the salad")

    assert bot_texts(sandbox) == ["Salad"]
    root = str(bot_messages(sandbox)[0]["ts"])
    assert bot_replies_below(sandbox, root) == ["Enjoy it."]
    assert set(slot_counts(sandbox).values()) == {1}


async def test_a_kind_with_a_gap_is_refreshed_rarely(sandbox: Sandbox) -> None:
    services, reads = FakeServices(), Counter[str]()

    def counting(name: str, gap: timedelta) -> DrawnKind[str]:
        async def read(key: str) -> str:
            reads[name] += 1
            return key

        return replace(lunch_kind(Lunches()), read=read, is_live=lambda _: True, refresh_gap=gap)

    kinds = {
        "often": counting("often", timedelta(0)),
        "rarely": counting("rarely", timedelta(hours=1)),
    }
    every = timedelta(seconds=1)
    async with open_bot(sandbox, services, kinds=kinds, speed=SPEED, refresh_every=every):
        for name in kinds:
            await services.request(replace(request_lunch("x"), drawable=DrawableId(name, name)))
        async with limit(30):
            while reads["often"] < 8:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)

    # When it is drawn, and once more.
    assert reads["rarely"] <= 3


async def test_an_error_of_what_finds_the_urgent_ones_stops_nothing(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    services, days = FakeServices(), [f"day {number}" for number in range(12)]
    asked = Counter[str]()

    async def broken(keys: Collection[str]) -> frozenset[str]:
        asked.update(keys)
        raise RuntimeError("a defect")

    menus = Lunches({day: f"Soup of {day}" for day in days})
    kinds = {"lunch": replace(lunch_kind(menus), find_urgent=broken)}
    async with open_bot(sandbox, services, kinds=kinds, speed=SPEED):
        for day in days:
            await services.request(request_lunch(day))
        await services.wait_until(
            lambda: all(services.drawn.get(DrawableId("lunch", day)) for day in days),
            what="every soup",
        )

    assert asked
    assert set(bot_texts(sandbox)) == set(menus.menus.values())
    assert "urgent_drawables.read_failed" in {getattr(one, "event", "") for one in caplog.records}


async def test_a_kind_that_this_bot_does_not_know_is_left_to_one_that_does(
    sandbox: Sandbox,
) -> None:
    services = FakeServices()
    await services.request(request_lunch("monday"))
    async with open_bot(sandbox, services, speed=SPEED):
        run = new_run(services)
        thread = DrawableId(DrawableKind.THREAD, run.run_id)
        await services.wait_until(lambda: services.drawn.get(thread), what="the thread")

    assert DrawableId("lunch", "monday") not in services.drawn
    assert len(bot_messages(sandbox)) == 1


async def test_an_open_home_tab_follows_what_happens(sandbox: Sandbox) -> None:
    services = FakeServices()
    async with open_bot(sandbox, services, speed=SPEED):
        await sandbox.human.open_home()
        await sandbox.human.wait_for(
            lambda: "Nothing is running" in str(sandbox.human.home()) or None, what="the tab"
        )
        run = new_run(services, task="Add a button")
        await sandbox.human.wait_for(
            lambda: "Add a button" in str(sandbox.human.home()) or None, what="the run"
        )
        services.end(run.run_id)

        await sandbox.human.wait_for(
            lambda: "Nothing is running" in str(sandbox.human.home()) or None, what="its end"
        )


async def test_a_home_tab_that_shows_the_same_is_not_published_again(sandbox: Sandbox) -> None:
    services = FakeServices()
    home = DrawableId(DrawableKind.HOME, f"{TEAM_ID}:{ADA}")
    async with open_bot(sandbox, services, speed=SPEED):
        run = new_run(services)
        services.end(run.run_id)
        await sandbox.human.open_home()
        await services.wait_until(lambda: services.drawn.get(home), what="the tab")
        before, published = services.drawn[home], len(sandbox.calls("views.publish"))
        # Something that no line of the tab shows.
        services.change(run.run_id, workspace_cleaned_up=True)
        await services.wait_until(
            lambda: services.drawn[home] > before, what="the comparison of the tab"
        )

        assert len(sandbox.calls("views.publish")) == published
        await sandbox.human.open_home()
        await sandbox.human.wait_for(
            lambda: len(sandbox.calls("views.publish")) > published or None,
            what="the tab that was opened again",
        )


async def test_a_home_tab_that_was_opened_long_ago_is_left_alone(sandbox: Sandbox) -> None:
    services = FakeServices()
    home = DrawableId(DrawableKind.HOME, f"{TEAM_ID}:{ADA}")
    async with open_bot(sandbox, services, speed=SPEED):
        await sandbox.human.open_home()
        await services.wait_until(lambda: services.drawn.get(home), what="the tab")
        long_ago = datetime.now(UTC) - timedelta(minutes=1)
        services.requested[home] = replace(services.requested[home], active_until=long_ago)
        published, raised = len(sandbox.calls("views.publish")), services.raised
        new_run(services, task="Add a button")
        await services.wait_until(lambda: services.drawn.get(home), what="the tab")
        async with limit(15):
            while services.raised == raised:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)
        run_id = next(iter(services.runs))
        thread = DrawableId(DrawableKind.THREAD, run_id)
        await services.wait_until(lambda: services.drawn.get(thread), what="the thread")

        assert len(sandbox.calls("views.publish")) == published


async def test_a_home_tab_whose_publishing_has_no_answer_is_published_again(
    sandbox: Sandbox,
) -> None:
    services = FakeServices()
    home = DrawableId(DrawableKind.HOME, f"{TEAM_ID}:{ADA}")
    sandbox.faults.add("views.publish", "500", times=2)
    async with open_bot(sandbox, services, speed=SPEED, roles={Role.OPERATOR: (ADA,)}):
        await sandbox.human.open_home()
        await services.wait_until(lambda: services.drawn.get(home), what="the tab")

        assert "Nothing is running" in str(sandbox.human.home())


async def test_a_home_tab_that_cannot_be_published_holds_nothing_up(sandbox: Sandbox) -> None:
    services = FakeServices()
    home = DrawableId(DrawableKind.HOME, f"{TEAM_ID}:{ADA}")
    sandbox.faults.add("views.publish", "user_not_found", times=1)
    async with open_bot(sandbox, services, speed=SPEED):
        await sandbox.human.open_home()
        await services.wait_until(lambda: services.drawn.get(home), what="the refusal")
        assert services.shown[home.key, "home"].error == "user_not_found"

        await sandbox.human.open_home()
        await sandbox.human.wait_for(
            lambda: "Nothing is running" in str(sandbox.human.home()) or None, what="the tab"
        )
