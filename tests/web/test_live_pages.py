"""Live pages: read once for all who look at them, and drawn once for each kind of viewer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from bot.assembly.backend import utc_now
from bot.web.dashboard.live.pages import LivePages
from bot.web.dashboard.page import AnyPage, Content, Page, PageCall, Section
from bot.web.dashboard.renderer import DrawnSection, Renderer
from bot.web.route import NoParameters
from core.domain.actor import Actor, Origin, Role
from core.domain.errors import Unavailable
from core.domain.feed import ChangeKind
from core.services.context import ServiceContext
from core.services.feed import FeedService
from core.store.database.engine import Database
from tests.database import stored_run
from tests.limits import limit

VIEWER = Actor(role=Role.VIEWER, origin=Origin.DASHBOARD, user_id=uuid4(), name="Ada")
RUNNER = replace(VIEWER, role=Role.RUNNER, user_id=uuid4(), name="Bob")


@dataclass
class Shown:
    """A page whose content a test sets.

    Attributes:
        loads: How often it was read.
        failing: What readings raise.
    """

    words: str = "first"
    other: str = "same"
    owners: frozenset[UUID] = frozenset()
    loads: int = 0
    failing: Exception | None = None

    async def load(self, _: PageCall[Any, Any]) -> Content:
        self.loads += 1
        if self.failing is not None:
            raise self.failing
        return Content(
            title=self.words,
            sections=[Section(name="a", template=self.words), Section(name="b", template="b")],
            owners=self.owners,
        )

    def page(self, *, is_personal: bool = False) -> AnyPage:
        return Page(
            path="/x",
            name="x",
            nav="x",
            path_parameters=NoParameters,
            query=NoParameters,
            load=self.load,
            changes=frozenset({ChangeKind.RUN}),
            is_personal=lambda _: is_personal,
        )


class PlainRenderer(Renderer):
    """Draws a section as the name of its template; counts."""

    drawn = 0

    def sections(self, content: Content, viewer: Any) -> list[DrawnSection]:
        type(self).drawn += 1
        return [
            DrawnSection(one.name, f"{one.template} {viewer.role.name}", one.template)
            for one in content.sections
        ]


@dataclass
class Reader:
    """Reads the events of a stream."""

    events: AsyncGenerator[bytes, None]
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with limit(30):
            while not condition():
                chunk = (await anext(self.events)).decode()
                for event in chunk.strip().split("\n\n"):
                    name, _, data = event.partition("\ndata: ")
                    self.seen.append((name.removeprefix("event: "), json.loads(data)))

    async def until_title(self, title: str) -> None:
        await self.until(lambda: title in self.titles())

    def htmls(self, name: str) -> list[str]:
        return [
            data["html"] for kind, data in self.seen if kind == "section" and data["name"] == name
        ]

    def titles(self) -> list[str]:
        return [data["title"] for kind, data in self.seen if kind == "current"]


@pytest.fixture
def live(database: Database) -> LivePages:
    PlainRenderer.drawn = 0
    feed = FeedService(ServiceContext(database, utc_now))
    return LivePages(feed, PlainRenderer(), gap_seconds=0.02, poll_seconds=60)


@asynccontextmanager
async def looking(
    live: LivePages, page: AnyPage, actor: Actor = VIEWER, url: str = "/x"
) -> AsyncIterator[Reader]:
    call = PageCall(actor=actor, path=NoParameters(), query=NoParameters(), url=url)
    async with live.open(page, call) as events:
        reader = Reader(events)
        await reader.until(lambda: bool(reader.titles()))
        yield reader


async def test_a_page_is_read_once_for_all_who_look_at_it(
    live: LivePages, database: Database
) -> None:
    shown = Shown()
    page = shown.page()
    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(looking(live, page)) for _ in range(20)]
        before = shown.loads
        shown.words = "second"
        await stored_run(database)
        for reader in readers:
            await reader.until_title("second")

        assert shown.loads - before <= 3
        assert PlainRenderer.drawn <= shown.loads
        assert {tuple(reader.htmls("a")) for reader in readers} == {
            ("first VIEWER", "second VIEWER")
        }
        # What did not change is not sent again.
        assert {len(reader.htmls("b")) for reader in readers} == {1}
        assert live.open_count == 1
    assert live.open_count == 0


async def test_people_with_other_rights_see_their_own_drawing(live: LivePages) -> None:
    shown = Shown()
    page = shown.page()
    async with looking(live, page) as viewer, looking(live, page, RUNNER) as runner:
        assert viewer.htmls("a") == ["first VIEWER"]
        assert runner.htmls("a") == ["first RUNNER"]


async def test_personal_pages_are_read_for_each_person(live: LivePages) -> None:
    page = Shown().page(is_personal=True)
    other = replace(VIEWER, user_id=uuid4())
    async with looking(live, page), looking(live, page), looking(live, page, other):
        assert live.open_count == 2


@pytest.mark.parametrize(
    "error", [Unavailable("down", user_message="Down."), RuntimeError("a defect")]
)
async def test_a_page_that_cannot_be_read_says_so_and_recovers(
    live: LivePages, database: Database, error: Exception
) -> None:
    shown = Shown()
    async with looking(live, shown.page()) as reader:
        shown.failing, shown.words = error, "second"
        await stored_run(database)
        await reader.until(lambda: "problem" in dict(reader.seen))
        shown.failing = None
        await stored_run(database)
        await reader.until_title("second")

    kinds = [kind for kind, _ in reader.seen]
    assert kinds.index("problem") < kinds.index("recovered") < len(kinds) - 1
    assert "a defect" not in str(reader.seen)


async def test_nothing_is_read_while_nobody_looks(live: LivePages, database: Database) -> None:
    shown = Shown()
    async with looking(live, shown.page()):
        pass
    loads = shown.loads

    await stored_run(database)
    await asyncio.sleep(0)

    assert shown.loads == loads
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("live")] == []
