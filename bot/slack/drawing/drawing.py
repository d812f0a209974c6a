"""One thread brought to its true state, a call at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypedDict

from bot.slack.client.client import RateLimited, SlackRefused, SlackUnreachable
from bot.slack.client.rate_limits import Budget, Priority, Ticket
from bot.slack.client.refusals import Meaning, meaning_of
from bot.slack.drawing.diff import (
    DELETED,
    Kind,
    Todo,
    is_untold,
    lacking,
    newest,
    priority_of,
    version_of,
)
from bot.slack.drawing.finder import Finder
from bot.slack.drawing.owner_notices import Farewells
from bot.slack.drawing.posting import UNSENT, Poster
from bot.slack.drawing.uncertain_writes import Doubts
from bot.slack.ports import Lead, Threads
from bot.slack.views.message import Message, TextFile
from bot.slack.views.thread.thread import CARD
from core.domain.errors import Unavailable
from core.domain.runs.snapshot import Doubt, Shown, ShownState, Thread

log = logging.getLogger(__name__)

# Between two updates of one message; Slack's clients do not show more.
UPDATE_GAP = timedelta(seconds=1.2)
# A post without an answer may still arrive; so long after that it is not looked for.
ARRIVAL = timedelta(seconds=3)

# What a thread should show, by slot, the card first.
Draw = Callable[[Thread, datetime], Mapping[str, Message | TextFile]]


class Blocked(Exception):
    """Slack takes nothing of this bot until somebody mends the installation."""


class Deposed(Unavailable):
    """Another process may be drawing by now."""

    def __init__(self) -> None:
        super().__init__("not sure to be the one that draws", user_message="Try again.")


class _Where(TypedDict):
    thread_key: str
    slot: str
    channel_id: str
    thread_ts: str | None


@dataclass
class Drawing:
    """Draws threads.  One task per thread at a time; the budget is shared by all."""

    threads: Threads
    poster: Poster
    finder: Finder
    budget: Budget
    draw: Draw
    farewells: Farewells
    clock: Callable[[], datetime]
    now: Callable[[], float]
    doubts: Doubts
    lead: Lead | None = None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    arrival: timedelta = ARRIVAL
    tickets: dict[str, Ticket] = field(default_factory=dict)
    _updated_at: dict[tuple[str, str], float] = field(default_factory=dict)

    async def bring_up(self, thread_key: str, *, is_idle: bool = False) -> bool:
        """Do all that a thread lacks; answers whether it has a live run.

        Raises:
            Blocked: Slack refuses the bot itself.
            Deposed: Another process may be drawing by now.
            SlackError: Slack does not do its part; try again later.
            Unavailable: The database cannot be reached.
        """
        looked_at: set[tuple[str, Doubt]] = set()
        while True:
            thread = await self.threads.thread(thread_key)
            if thread is None:
                return False
            if await self._look_again(thread, looked_at):
                continue
            todo = await self._todo(thread)
            if todo is None:
                await self._settle(thread, looked_at)
                return newest(thread).is_live
            await self._do(thread, todo, priority_of(thread, todo, is_idle=is_idle))

    def raise_priority(self, thread_key: str, priority: Priority) -> None:
        """Move a waiting thread forward."""
        ticket = self.tickets.get(thread_key)
        if ticket is not None:
            ticket.raise_to(priority)

    async def _do(self, thread: Thread, todo: Todo, priority: Priority) -> None:
        if todo.kind is Kind.FIND:
            await self._find(todo)
            return
        if todo.kind is Kind.UPDATE:
            await self._pause(todo)
        method = todo.method
        ticket = self.budget.ask(method, channel=todo.channel_id, priority=priority)
        if not ticket.is_granted:
            self.tickets[thread.thread_key] = ticket
            try:
                await ticket.granted()
            finally:
                self.tickets.pop(thread.thread_key, None)
            # Time has passed: what is sent is what holds now.
            try:
                fresh = await self.threads.thread(thread.thread_key)
                again = await self._todo(fresh) if fresh is not None else None
            except BaseException:
                self.budget.give_back(method, channel=todo.channel_id)
                raise
            if fresh is None or again is None or (again.kind, again.slot) != (todo.kind, todo.slot):
                self.budget.give_back(method, channel=todo.channel_id)
                return
            thread, todo = fresh, again
        await self._send(thread, todo)

    async def _send(self, thread: Thread, todo: Todo) -> None:
        if self.lead is not None and not self.lead.is_sure:
            raise Deposed
        try:
            await self._call(thread.thread_key, todo, self.clock())
        except RateLimited as error:
            log.info("%s", error)
            await self._note_unsent(thread, todo)
        except SlackUnreachable as error:
            # A post may have arrived; its row says so, and it is looked for.
            log.warning("%s of %s: %s", todo.slot, thread.thread_key, error)
            if todo.kind is Kind.UPDATE:
                await self.doubts.note(thread.thread_key, todo.slot, Doubt.OVERWRITTEN)
                raise
            await self._note_unheard(thread, todo)
        except SlackRefused as error:
            await self._refused(thread, todo, error)

    async def _call(self, thread_key: str, todo: Todo, now: datetime) -> None:
        if todo.kind is Kind.UPDATE and todo.shown and isinstance(todo.message, Message):
            self._updated_at[thread_key, todo.slot] = self.now()
            await self.poster.update(todo.message, todo.shown, now=now)
            return
        where: _Where = {
            "thread_key": thread_key,
            "slot": todo.slot,
            "channel_id": todo.channel_id,
            "thread_ts": todo.thread_ts,
        }
        if isinstance(todo.message, TextFile):
            await self.poster.upload(todo.message, **where, before=todo.shown, now=now)
        else:
            await self.poster.post(todo.message, **where, before=todo.shown, now=now)

    async def _note_unsent(self, thread: Thread, todo: Todo) -> None:
        """Let the next try post without a search, since Slack took nothing."""
        row = await self._sending(thread, todo)
        if row is not None:
            await self.poster.unsent(row, now=self.clock())

    async def _note_unheard(self, thread: Thread, todo: Todo) -> None:
        """Count the time in which a post may still arrive from now."""
        row = await self._sending(thread, todo)
        if row is not None:
            await self.threads.put(replace(row, updated_at=self.clock()))

    async def _sending(self, thread: Thread, todo: Todo) -> Shown | None:
        """The row of a post that was begun."""
        if todo.kind is not Kind.POST:
            return None
        fresh = await self.threads.thread(thread.thread_key)
        row = fresh.shown.get(todo.slot) if fresh is not None else None
        return row if row is not None and row.state is ShownState.SENDING else None

    async def _find(self, todo: Todo) -> None:
        if todo.shown is None:
            return
        age = self.clock() - todo.shown.updated_at
        if age < self.arrival:
            await self.sleep((self.arrival - age).total_seconds())
        try:
            file = todo.message if isinstance(todo.message, TextFile) else None
            found = await self.finder.find(todo.shown, file=file, now=self.clock())
        except SlackRefused as error:
            if meaning_of(error.name) in {Meaning.BOT_BLOCKED, Meaning.PASSING}:
                self._raise(error)
            found = None
        if found is None:
            await self.doubts.note(todo.shown.thread_key, todo.slot, Doubt.POSTED_TWICE)
            await self.poster.unsent(todo.shown, now=self.clock())

    async def _look_again(self, thread: Thread, looked_at: set[tuple[str, Doubt]]) -> bool:
        """Mend what Slack carried out late; answers whether there was anything to look at.

        The doubts last until all that is lacking then is done, should this process die first.
        """
        due = set(self.doubts.due(thread.thread_key)) - looked_at
        for slot, doubt in sorted(due):
            row = thread.shown.get(slot)
            if row is not None and row.state is ShownState.SHOWN:
                await self._mend(thread, row, doubt)
        looked_at |= due
        return bool(due)

    async def _mend(self, thread: Thread, row: Shown, doubt: Doubt) -> None:
        if doubt is Doubt.OVERWRITTEN:
            await self.threads.put(replace(row, content_hash=None))
            return
        file = self.draw(thread, self.clock()).get(row.slot)
        await self.finder.keep_one(
            row, file=file if isinstance(file, TextFile) else None, now=self.clock()
        )

    async def _refused(self, thread: Thread, todo: Todo, error: SlackRefused) -> None:
        meaning = meaning_of(error.name)
        if isinstance(todo.message, TextFile) and error.name == "missing_scope":
            # Everything but the file can be shown.
            meaning = Meaning.FILE_REFUSED
        await self._note_unsent(thread, todo)
        if meaning in {Meaning.BOT_BLOCKED, Meaning.PASSING}:
            self._raise(error)
        fresh = await self.threads.thread(thread.thread_key)
        shown = fresh.shown.get(todo.slot) if fresh is not None else None
        if shown is None:
            return
        log.info("%s of %s: %s", todo.slot, thread.thread_key, error.name)
        root = shown.thread_ts or shown.message_ts
        is_new_card = todo.slot == CARD and shown.attempts == 0
        if meaning is Meaning.MESSAGE_LOST and is_new_card and root:
            # Somebody deleted the card: once it comes again, at the end of its own thread.
            await self._again(shown, thread_ts=root)
        elif meaning is Meaning.THREAD_CLOSED and todo.slot == CARD and shown.thread_ts:
            await self._again(shown, thread_ts=None)
        else:
            reason = DELETED if meaning is Meaning.MESSAGE_LOST else error.name
            await self.poster.lost(shown, reason, now=self.clock())

    async def _again(self, shown: Shown, *, thread_ts: str | None) -> None:
        await self.threads.put(
            replace(
                shown,
                state=ShownState.GONE,
                error=UNSENT,
                message_ts=None,
                thread_ts=thread_ts,
                content_hash=None,
                attempts=shown.attempts + 1,
                updated_at=self.clock(),
            )
        )

    def _raise(self, error: SlackRefused) -> None:
        if meaning_of(error.name) is Meaning.BOT_BLOCKED:
            raise Blocked(str(error)) from error
        raise error

    async def _pause(self, todo: Todo) -> None:
        if todo.shown is None:
            return
        last = self._updated_at.get((todo.shown.thread_key, todo.slot))
        wait = 0.0 if last is None else last + UPDATE_GAP.total_seconds() - self.now()
        if wait > 0:
            await self.sleep(wait)

    async def _todo(self, thread: Thread) -> Todo | None:
        """The first thing to be done."""
        now = self.clock()
        todo = lacking(thread, self.draw(thread, now), now=now)
        if todo is None and is_untold(thread):
            return await self.farewells.todo(thread)
        return todo

    async def _settle(self, thread: Thread, looked_at: set[tuple[str, Doubt]]) -> None:
        """Record, last of all, up to which version the thread is drawn, and what is past doubt."""
        card = thread.shown.get(CARD)
        if card is not None and card.version != version_of(thread):
            await self.threads.put(replace(card, version=version_of(thread)))
        # One that was noted again meanwhile is due later.
        for slot, doubt in looked_at.intersection(self.doubts.due(thread.thread_key)):
            await self.doubts.settle(thread.thread_key, slot, doubt)
        if not newest(thread).is_live:
            for key in [key for key in self._updated_at if key[0] == thread.thread_key]:
                del self._updated_at[key]
