"""What should be shown and what is, in memory, with the rules of the real store."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from core.domain.drawables import (
    Drawable,
    DrawableId,
    DrawableKind,
    DrawablePlace,
    DrawableRequest,
    SlackHealth,
    SlackMessage,
    SlackMessageState,
)
from core.domain.feed import ChangeKind
from core.domain.runs.run import Run
from tests.fakes.uncertain_writes import FakeUncertainWriteStore


@dataclass
class FakeDrawables(FakeUncertainWriteStore, ABC):
    """Drawables; a run's thread is one as soon as the run has a place."""

    runs: dict[str, Run] = field(default_factory=dict)
    saved_messages: list[SlackMessage] = field(default_factory=list)
    requested: dict[DrawableId, Drawable] = field(default_factory=dict)
    drawn: dict[DrawableId, int] = field(default_factory=dict)
    raised: int = 0
    healths: list[SlackHealth] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _watchers: set[asyncio.Event] = field(default_factory=set)

    @abstractmethod
    def check_reachable(self) -> None:
        """Fail if the database is unreachable."""

    def notify_watchers(self) -> None:
        self._changed.set()
        for watcher in self._watchers:
            watcher.set()

    def legs(self, thread_key: str) -> list[Run]:
        return [run for run in self.runs.values() if run.thread_key == thread_key]

    def find(self, drawable: DrawableId) -> Drawable | None:
        if drawable.kind != DrawableKind.THREAD:
            found = self.requested.get(drawable)
            if found is None:
                return None
            return replace(found, drawn_version=self.drawn.get(drawable, 0))
        legs = self.legs(drawable.key)
        if not legs or legs[0].slack_channel_id is None or legs[0].slack_team_id is None:
            return None
        return Drawable(
            id=drawable,
            place=DrawablePlace(team_id=legs[0].slack_team_id, channel_id=legs[0].slack_channel_id),
            desired_version=max(leg.version for leg in legs),
            drawn_version=self.drawn.get(drawable, 0),
        )

    def all_drawables(self) -> list[Drawable]:
        keys = dict.fromkeys(run.thread_key for run in self.runs.values() if run.thread_key)
        ids = [DrawableId(DrawableKind.THREAD, key) for key in keys] + list(self.requested)
        return [found for one in ids if (found := self.find(one)) is not None]

    async def outdated(
        self, *, team_id: str, kinds: Collection[str], limit: int = 50
    ) -> list[DrawableId]:
        self.check_reachable()
        found = [
            one.id
            for one in self.all_drawables()
            if one.place.team_id == team_id
            and one.id.kind in kinds
            and one.drawn_version < one.desired_version
        ]
        return found[:limit]

    async def drawable(self, drawable: DrawableId, /) -> Drawable | None:
        self.check_reachable()
        found = self.find(drawable)
        if found is None:
            return None
        messages = {
            slot: row
            for (key, slot), row in self.shown.items()
            if (row.drawable_kind, key) == drawable
        }
        return replace(found, messages=messages)

    async def save_message(self, message: SlackMessage, /) -> None:
        self.check_reachable()
        self.saved_messages.append(message)
        self.shown[message.thread_key, message.slot] = message
        is_unsent = message.state is SlackMessageState.GONE and message.error == "unsent"
        is_certain = message.state is not SlackMessageState.SENDING and not is_unsent
        known = self.drawn.get(message.drawable, 0)
        self.drawn[message.drawable] = min(known, message.version if is_certain else 0)
        for watcher in self._watchers:
            watcher.set()

    async def record_drawn(self, drawable: DrawableId, /, *, version: int, is_live: bool) -> None:
        self.check_reachable()
        self.drawn[drawable] = version
        for watcher in self._watchers:
            watcher.set()

    async def request(self, wanted: DrawableRequest, /) -> None:
        self.check_reachable()
        if wanted.drawable not in self.requested:
            self.requested[wanted.drawable] = Drawable(
                id=wanted.drawable, place=wanted.place, desired_version=1, drawn_version=0
            )
            self.notify_watchers()

    async def activate(self, wanted: DrawableRequest, /, *, duration: timedelta) -> None:
        self.check_reachable()
        known = self.requested.get(wanted.drawable)
        for place in [
            place for place, row in self.shown.items() if row.drawable == wanted.drawable
        ]:
            del self.shown[place]
        self.requested[wanted.drawable] = Drawable(
            id=wanted.drawable,
            place=wanted.place,
            desired_version=known.desired_version + 1 if known else 1,
            drawn_version=0,
            active_until=datetime.now(UTC) + duration,
        )
        self.notify_watchers()

    async def raise_active(self, *, team_id: str, kinds: Collection[str]) -> None:
        self.check_reachable()
        self.raised += 1
        for one, known in self.requested.items():
            is_drawn = self.drawn.get(one, 0) >= known.desired_version
            is_active = known.active_until is not None and known.is_active(datetime.now(UTC))
            if one.kind in kinds and is_active and is_drawn:
                self.requested[one] = replace(known, desired_version=known.desired_version + 1)

    async def lost_channels(self, *, team_id: str, reasons: Collection[str]) -> list[str]:
        self.check_reachable()
        lost = (row for row in self.shown.values() if row.error in reasons)
        return list(dict.fromkeys(row.channel_id for row in lost))

    async def record_health(self, health: SlackHealth) -> None:
        self.check_reachable()
        self.healths.append(health)

    async def retry_lost(self, channel_id: str, *, reasons: Collection[str]) -> int:
        self.check_reachable()
        drawables = set()
        for place, row in self.shown.items():
            if row.channel_id == channel_id and row.error in reasons:
                state = SlackMessageState.SHOWN if row.message_ts else SlackMessageState.GONE
                error = None if row.message_ts else "unsent"
                self.shown[place] = replace(row, state=state, error=error, content_hash=None)
                drawables.add(row.drawable)
        for drawable in drawables:
            self.drawn[drawable] = 0
        self.notify_watchers()
        return len(drawables)

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[AsyncIterator[ChangeKind | None]]:
        async def hints() -> AsyncIterator[ChangeKind | None]:
            yield None
            while True:
                try:
                    async with asyncio.timeout(0.5):
                        await self._changed.wait()
                except TimeoutError:
                    yield None
                    continue
                self._changed.clear()
                yield ChangeKind.RUN

        yield hints()

    @asynccontextmanager
    async def leadership(self) -> AsyncIterator[FakeLeadership]:
        yield FakeLeadership()


@dataclass
class FakeLeadership:
    """Leadership that nobody contests."""

    lost: asyncio.Event = field(default_factory=asyncio.Event)
    is_exclusive: bool = True
