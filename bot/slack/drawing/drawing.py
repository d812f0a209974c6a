"""One thread brought to its true state, a call at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypedDict

from bot.slack.client.rate_limits import Priority, RateLimiter, Ticket
from bot.slack.client.refusals import RefusalKind, refusal_kind
from bot.slack.client.web_api import RateLimited, SlackRefused, SlackUnreachable
from bot.slack.drawing.diff import (
    DELETED,
    ActionKind,
    DrawAction,
    needs_owner_notice,
    newest_run,
    next_action,
    priority_of,
    target_version,
)
from bot.slack.drawing.finder import MessageFinder
from bot.slack.drawing.owner_notices import OwnerNotices
from bot.slack.drawing.posting import UNSENT, Poster
from bot.slack.drawing.uncertain_writes import UncertainWrites
from bot.slack.ports import Leadership, Threads
from bot.slack.views.message import Message, TextFile
from bot.slack.views.thread.slots import CARD
from core.domain.errors import Unavailable
from core.domain.runs.snapshot import SlackMessage, SlackMessageState, Thread, UncertainWriteKind

log = logging.getLogger(__name__)

# Between two updates of one message; Slack's clients do not show more.
UPDATE_GAP = timedelta(seconds=1.2)
# A post without an answer may still arrive; so long after that it is not looked for.
ARRIVAL_WINDOW = timedelta(seconds=3)

# What a thread should show, by slot, the card first.
Draw = Callable[[Thread, datetime], Mapping[str, Message | TextFile]]


class BotBlocked(Exception):
    """Slack takes nothing of this bot until somebody mends the installation."""


class LeadershipLost(Unavailable):
    """Another process may be drawing by now."""

    code = "leadership_lost"

    def __init__(self) -> None:
        super().__init__("not sure to be the one that draws", user_message="Try again.")


class _Destination(TypedDict):
    thread_key: str
    slot: str
    channel_id: str
    thread_ts: str | None


@dataclass
class ThreadDrawer:
    """Draws threads.  One task per thread at a time; the budget is shared by all."""

    threads: Threads
    poster: Poster
    finder: MessageFinder
    rate_limiter: RateLimiter
    draw: Draw
    owner_notices: OwnerNotices
    clock: Callable[[], datetime]
    now: Callable[[], float]
    uncertain_writes: UncertainWrites
    leadership: Leadership | None = None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    arrival_window: timedelta = ARRIVAL_WINDOW
    tickets: dict[str, Ticket] = field(default_factory=dict)
    _updated_at: dict[tuple[str, str], float] = field(default_factory=dict)

    async def reconcile(self, thread_key: str, *, is_idle: bool = False) -> bool:
        """Do all that a thread lacks; answers whether it has a live run.

        Raises:
            Blocked: Slack refuses the bot itself.
            Deposed: Another process may be drawing by now.
            SlackError: Slack does not do its part; try again later.
            Unavailable: The database cannot be reached.
        """
        rechecked: set[tuple[str, UncertainWriteKind]] = set()
        while True:
            thread = await self.threads.thread(thread_key)
            if thread is None:
                return False
            if await self._recheck_uncertain(thread, rechecked):
                continue
            action = await self._next_action(thread)
            if action is None:
                await self._record_drawn(thread, rechecked)
                return newest_run(thread).is_live
            await self._perform(thread, action, priority_of(thread, action, is_idle=is_idle))

    def raise_priority(self, thread_key: str, priority: Priority) -> None:
        """Move a waiting thread forward."""
        ticket = self.tickets.get(thread_key)
        if ticket is not None:
            ticket.raise_to(priority)

    async def _perform(self, thread: Thread, action: DrawAction, priority: Priority) -> None:
        if action.kind is ActionKind.FIND:
            await self._find(action)
            return
        if action.kind is ActionKind.UPDATE:
            await self._wait_update_gap(action)
        method = action.method
        ticket = self.rate_limiter.enqueue(method, channel=action.channel_id, priority=priority)
        if not ticket.is_granted:
            self.tickets[thread.thread_key] = ticket
            try:
                await ticket.wait_granted()
            finally:
                self.tickets.pop(thread.thread_key, None)
            # Time has passed: what is sent is what holds now.
            try:
                fresh = await self.threads.thread(thread.thread_key)
                fresh_action = await self._next_action(fresh) if fresh is not None else None
            except BaseException:
                self.rate_limiter.return_permit(method, channel=action.channel_id)
                raise
            if (
                fresh is None
                or fresh_action is None
                or (fresh_action.kind, fresh_action.slot) != (action.kind, action.slot)
            ):
                self.rate_limiter.return_permit(method, channel=action.channel_id)
                return
            thread, action = fresh, fresh_action
        await self._send(thread, action)

    async def _send(self, thread: Thread, action: DrawAction) -> None:
        if self.leadership is not None and not self.leadership.is_exclusive:
            raise LeadershipLost
        try:
            await self._call_slack(thread.thread_key, action, self.clock())
        except RateLimited as error:
            log.info("%s", error)
            await self._mark_unsent(thread, action)
        except SlackUnreachable as error:
            # A post may have arrived; its row says so, and it is looked for.
            log.warning("%s of %s: %s", action.slot, thread.thread_key, error)
            if action.kind is ActionKind.UPDATE:
                await self.uncertain_writes.add(
                    thread.thread_key, action.slot, UncertainWriteKind.OVERWRITTEN
                )
                raise
            await self._restart_arrival_window(thread, action)
        except SlackRefused as error:
            await self._handle_refusal(thread, action, error)

    async def _call_slack(self, thread_key: str, action: DrawAction, now: datetime) -> None:
        if (
            action.kind is ActionKind.UPDATE
            and action.current
            and isinstance(action.message, Message)
        ):
            self._updated_at[thread_key, action.slot] = self.now()
            await self.poster.update(action.message, action.current, now=now)
            return
        destination: _Destination = {
            "thread_key": thread_key,
            "slot": action.slot,
            "channel_id": action.channel_id,
            "thread_ts": action.thread_ts,
        }
        if isinstance(action.message, TextFile):
            await self.poster.upload(
                action.message, **destination, previous=action.current, now=now
            )
        else:
            await self.poster.post(action.message, **destination, previous=action.current, now=now)

    async def _mark_unsent(self, thread: Thread, action: DrawAction) -> None:
        """Let the next try post without a search, since Slack took nothing."""
        row = await self._begun_post(thread, action)
        if row is not None:
            await self.poster.mark_unsent(row, now=self.clock())

    async def _restart_arrival_window(self, thread: Thread, action: DrawAction) -> None:
        """Count the time in which a post may still arrive from now."""
        row = await self._begun_post(thread, action)
        if row is not None:
            await self.threads.save_message(replace(row, updated_at=self.clock()))

    async def _begun_post(self, thread: Thread, action: DrawAction) -> SlackMessage | None:
        """The row of a post that was begun."""
        if action.kind is not ActionKind.POST:
            return None
        fresh = await self.threads.thread(thread.thread_key)
        row = fresh.messages.get(action.slot) if fresh is not None else None
        return row if row is not None and row.state is SlackMessageState.SENDING else None

    async def _find(self, action: DrawAction) -> None:
        if action.current is None:
            return
        age = self.clock() - action.current.updated_at
        if age < self.arrival_window:
            await self.sleep((self.arrival_window - age).total_seconds())
        try:
            file = action.message if isinstance(action.message, TextFile) else None
            found = await self.finder.find(action.current, file=file, now=self.clock())
        except SlackRefused as error:
            if refusal_kind(error.name) in {RefusalKind.BOT_BLOCKED, RefusalKind.TRANSIENT}:
                self._raise_refusal(error)
            found = None
        if found is None:
            await self.uncertain_writes.add(
                action.current.thread_key, action.slot, UncertainWriteKind.POSTED_TWICE
            )
            await self.poster.mark_unsent(action.current, now=self.clock())

    async def _recheck_uncertain(
        self, thread: Thread, rechecked: set[tuple[str, UncertainWriteKind]]
    ) -> bool:
        """Mend what Slack carried out late; answers whether there was anything to look at.

        The doubts last until all that is lacking then is done, should this process die first.
        """
        due = set(self.uncertain_writes.due(thread.thread_key)) - rechecked
        for slot, kind in sorted(due):
            row = thread.messages.get(slot)
            if row is not None and row.state is SlackMessageState.SHOWN:
                await self._repair(thread, row, kind)
        rechecked |= due
        return bool(due)

    async def _repair(self, thread: Thread, row: SlackMessage, kind: UncertainWriteKind) -> None:
        if kind is UncertainWriteKind.OVERWRITTEN:
            await self.threads.save_message(replace(row, content_hash=None))
            return
        file = self.draw(thread, self.clock()).get(row.slot)
        await self.finder.delete_duplicates(
            row, file=file if isinstance(file, TextFile) else None, now=self.clock()
        )

    async def _handle_refusal(
        self, thread: Thread, action: DrawAction, error: SlackRefused
    ) -> None:
        refusal = refusal_kind(error.name)
        if isinstance(action.message, TextFile) and error.name == "missing_scope":
            # Everything but the file can be shown.
            refusal = RefusalKind.FILE_REFUSED
        await self._mark_unsent(thread, action)
        if refusal in {RefusalKind.BOT_BLOCKED, RefusalKind.TRANSIENT}:
            self._raise_refusal(error)
        fresh = await self.threads.thread(thread.thread_key)
        shown = fresh.messages.get(action.slot) if fresh is not None else None
        if shown is None:
            return
        log.info("%s of %s: %s", action.slot, thread.thread_key, error.name)
        root = shown.thread_ts or shown.message_ts
        is_new_card = action.slot == CARD and shown.attempts == 0
        if refusal is RefusalKind.MESSAGE_LOST and is_new_card and root:
            # Somebody deleted the card: once it comes again, at the end of its own thread.
            await self._reset_for_repost(shown, thread_ts=root)
        elif refusal is RefusalKind.THREAD_CLOSED and action.slot == CARD and shown.thread_ts:
            await self._reset_for_repost(shown, thread_ts=None)
        else:
            reason = DELETED if refusal is RefusalKind.MESSAGE_LOST else error.name
            await self.poster.mark_lost(shown, reason, now=self.clock())

    async def _reset_for_repost(self, shown: SlackMessage, *, thread_ts: str | None) -> None:
        await self.threads.save_message(
            replace(
                shown,
                state=SlackMessageState.GONE,
                error=UNSENT,
                message_ts=None,
                thread_ts=thread_ts,
                content_hash=None,
                attempts=shown.attempts + 1,
                updated_at=self.clock(),
            )
        )

    def _raise_refusal(self, error: SlackRefused) -> None:
        if refusal_kind(error.name) is RefusalKind.BOT_BLOCKED:
            raise BotBlocked(str(error)) from error
        raise error

    async def _wait_update_gap(self, action: DrawAction) -> None:
        if action.current is None:
            return
        last = self._updated_at.get((action.current.thread_key, action.slot))
        wait = 0.0 if last is None else last + UPDATE_GAP.total_seconds() - self.now()
        if wait > 0:
            await self.sleep(wait)

    async def _next_action(self, thread: Thread) -> DrawAction | None:
        """The first thing to be done."""
        now = self.clock()
        action = next_action(thread, self.draw(thread, now), now=now)
        if action is None and needs_owner_notice(thread):
            return await self.owner_notices.next_action(thread)
        return action

    async def _record_drawn(
        self, thread: Thread, rechecked: set[tuple[str, UncertainWriteKind]]
    ) -> None:
        """Record, last of all, up to which version the thread is drawn, and what is past doubt."""
        card = thread.messages.get(CARD)
        if card is not None and card.version != target_version(thread):
            await self.threads.save_message(replace(card, version=target_version(thread)))
        # One that was noted again meanwhile is due later.
        for slot, kind in rechecked.intersection(self.uncertain_writes.due(thread.thread_key)):
            await self.uncertain_writes.resolve(thread.thread_key, slot, kind)
        if not newest_run(thread).is_live:
            for key in [key for key in self._updated_at if key[0] == thread.thread_key]:
                del self._updated_at[key]
