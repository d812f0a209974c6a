"""Live pages: the sections of a page are sent again when they have changed.

Everybody who looks at the same page shares one reading of it: after a change of what it shows it is
read once, drawn once for each kind of viewer, and sent to all of them.  A page is read at most once
a second, and not at all while nobody looks at it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bot.web.dashboard.page import AnyPage, Content, PageCall, Viewer
from bot.web.dashboard.renderer import DrawnSection, Renderer
from bot.web.streams.server_sent import HEARTBEAT, HEARTBEAT_INTERVAL, server_sent_event
from core.domain.actor import Actor
from core.domain.errors import OpsError, Unavailable
from core.services.feed import FeedService

log = logging.getLogger(__name__)

# As fast as people read.
_GAP_SECONDS = 1.0
_RETRY_SECONDS = 2.0
# Where no change tells: a limit of time that passes, a worker that falls silent.
_POLL_SECONDS = 30.0


@dataclass(eq=False)
class _Watched:
    """A page that somebody looks at.

    Attributes:
        viewers: How many do.
        turn: Grows with each reading.
        problem: Why it cannot be read now, in words for people; empty if it can.
    """

    page: AnyPage
    call: PageCall[Any, Any]
    viewers: int = 0
    turn: int = 0
    content: Content | None = None
    drawn: dict[Viewer, list[DrawnSection]] = field(default_factory=dict)
    problem: str = ""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def publish(self, content: Content | None, problem: str = "") -> None:
        """Tell all who look at it."""
        self.content, self.problem = content or self.content, problem
        self.drawn.clear()
        self.turn += 1
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


@dataclass
class LivePages:
    """Keeps the pages up to date that people look at."""

    feed: FeedService
    renderer: Renderer
    gap_seconds: float = _GAP_SECONDS
    poll_seconds: float = _POLL_SECONDS
    _watched: dict[tuple[str, ...], _Watched] = field(default_factory=dict)

    @asynccontextmanager
    async def open(
        self, page: AnyPage, call: PageCall[Any, Any]
    ) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """Follow a page for the duration of the block: events for the script of the page."""
        actor = call.actor
        own = (str(actor.user_id),) if page.is_personal(call.query) else ()
        # What is shown may depend on the role.  It stays the one with which the page was opened:
        # who loses it has their own stream ended.
        key = (page.name, call.url, actor.role.name, *own)
        watched = self._watched.get(key)
        if watched is None:
            watched = self._watched[key] = _Watched(page, call)
            watched.task = asyncio.create_task(self._keep(watched), name=f"live {page.name}")
        watched.viewers += 1
        try:
            yield self._events(watched, actor)
        finally:
            watched.viewers -= 1
            if not watched.viewers:
                if self._watched.get(key) is watched:
                    del self._watched[key]
                if watched.task is not None:
                    watched.task.cancel()
                    await asyncio.wait({watched.task})

    @property
    def open_count(self) -> int:
        """How many pages are kept up to date."""
        return len(self._watched)

    async def _events(self, watched: _Watched, actor: Actor) -> AsyncGenerator[bytes, None]:
        sent: dict[str, str] = {}
        turn, has_problem = 0, False
        while True:
            changed = watched.changed
            if watched.turn == turn:
                try:
                    async with asyncio.timeout(HEARTBEAT_INTERVAL.total_seconds()):
                        await changed.wait()
                except TimeoutError:
                    yield HEARTBEAT
                continue
            turn = watched.turn
            if watched.problem:
                has_problem = True
                yield server_sent_event("problem", json.dumps({"words": watched.problem}))
                continue
            if has_problem:
                has_problem = False
                yield server_sent_event("recovered", "{}")
            content = watched.content
            if content is None:
                continue
            chunks = []
            for section in self._drawn(watched, content, actor):
                if sent.get(section.name) != section.digest:
                    sent[section.name] = section.digest
                    chunks.append(_section_event(section))
            chunks.append(server_sent_event("current", json.dumps({"title": content.title})))
            yield b"".join(chunks)

    def _drawn(self, watched: _Watched, content: Content, actor: Actor) -> list[DrawnSection]:
        viewer = Viewer.of(actor, content)
        drawn = watched.drawn.get(viewer)
        if drawn is None:
            drawn = watched.drawn[viewer] = self.renderer.sections(content, viewer)
        return drawn

    async def _keep(self, watched: _Watched) -> None:
        """Read a page again and again, until cancelled."""
        while True:
            try:
                await self._follow(watched)
            except Exception as error:
                log.warning(
                    "a live page is read without the feed",
                    exc_info=error,
                    extra={"event": "live_page.feed_lost"},
                )
                watched.publish(None, "Live updates are interrupted; they are tried again.")
            await asyncio.sleep(_RETRY_SECONDS)

    async def _follow(self, watched: _Watched) -> None:
        page = watched.page
        await self._read(watched)
        subjects = None if watched.content is None else watched.content.subjects
        async with self.feed.subscribe(kinds=page.changes, subjects=subjects) as changes:
            news = asyncio.Event()
            listener = asyncio.create_task(_listen(changes, news), name="live page changes")
            try:
                while True:
                    await asyncio.sleep(self.gap_seconds)
                    if listener.done():
                        listener.result()
                        return
                    await _wait(news, self.poll_seconds)
                    news.clear()
                    await self._read(watched)
                    content = watched.content
                    if content is not None and content.subjects != subjects:
                        return
            finally:
                listener.cancel()
                await asyncio.wait({listener})

    async def _read(self, watched: _Watched) -> None:
        try:
            watched.publish(await watched.page.load(watched.call))
        except Unavailable:
            watched.publish(None, "The database cannot be reached. This page shows what it knew.")
        except OpsError as error:
            watched.publish(None, error.user_message)
        except Exception:
            log.exception(
                "a live page cannot be drawn",
                extra={"event": "live_page.failed", "page": watched.page.name},
            )
            watched.publish(None, "This page cannot be brought up to date. Load it again.")


async def _listen(changes: AsyncIterator[Any], news: asyncio.Event) -> None:
    # A reset counts, too: what changed before it is unknown.
    async for _ in changes:
        news.set()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def _section_event(section: DrawnSection) -> bytes:
    data = {"name": section.name, "html": section.html, "digest": section.digest}
    return server_sent_event("section", json.dumps(data))
