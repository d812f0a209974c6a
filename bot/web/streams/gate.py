"""The gate of everything that stays open: how many may, and for how long they may.

A stream outlasts the check of its token.  So while any is open, the tokens of all of them are
checked every two seconds, with one query; the streams of a token that was revoked, that expired, or
whose member lost their role are ended.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from aiohttp import web

from bot.web.authentication import Authentication, secret_of
from bot.web.request_errors import ServerStopping, StreamsFull, TooManyStreams
from bot.web.streams.limits import StreamLimits
from core.domain.actor import Role
from core.domain.errors import Unavailable
from core.domain.token import ApiToken, digest_of

log = logging.getLogger(__name__)

CHECK_SECONDS = 2.0
# What a member may do is asked of Slack, so less often.
MEMBER_CHECK_SECONDS = 60.0


@dataclass(kw_only=True, eq=False)
class Place:
    """The place of one stream or wait, while it is open.

    Attributes:
        digest: Of the token.
        role: The lowest role that may go on.
        is_stopped: Whether the server has ended it.
    """

    request: web.Request
    digest: str
    role: Role
    is_stopped: bool = False
    _scope: asyncio.Timeout | None = None

    @property
    def is_abandoned(self) -> bool:
        """Whether the client has left."""
        transport = self.request.transport
        return transport is None or transport.is_closing()

    def stop(self) -> None:
        """End what happens in `lasting`, also while it waits for the client."""
        self.is_stopped = True
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def lasting(self) -> AsyncIterator[None]:
        """A block that `stop` ends from outside; then `is_stopped` is true after it."""
        try:
            async with asyncio.timeout(None) as scope:
                self._scope = scope
                if self.is_stopped:
                    self.stop()
                try:
                    yield
                finally:
                    self._scope = None
        except TimeoutError:
            if not self.is_stopped:
                raise


@dataclass(kw_only=True)
class StreamGate:
    """Admits streams and waits, and ends those that may not go on."""

    authentication: Authentication
    limits: StreamLimits = field(default_factory=StreamLimits)
    check_seconds: float = CHECK_SECONDS
    member_check_seconds: float = MEMBER_CHECK_SECONDS
    _places: set[Place] = field(default_factory=set)
    _guard: asyncio.Task[None] | None = None
    _members_checked_at: float = float("-inf")
    _is_closed: bool = False

    @property
    def open_count(self) -> int:
        """How many streams and waits are open."""
        return len(self._places)

    @contextmanager
    def place(self, request: web.Request, role: Role) -> Iterator[Place]:
        """A place for an admitted request, for the duration of the block.

        Raises:
            TooManyStreams: If the token has as many places as it may have.
            StreamsFull: If all places are taken.
            ServerStopping: If the process stops.
        """
        digest = digest_of(secret_of(request) or "")
        if self._is_closed:
            raise ServerStopping
        if sum(place.digest == digest for place in self._places) >= self.limits.per_token:
            raise TooManyStreams(self.limits.per_token)
        if len(self._places) >= self.limits.total:
            raise StreamsFull
        place = Place(request=request, digest=digest, role=role)
        self._places.add(place)
        if self._guard is None or self._guard.done():
            self._guard = asyncio.create_task(self._watch_over(), name="guard of streams")
        try:
            yield place
        finally:
            self._places.discard(place)
            if not self._places:
                self._end_guard()

    async def close(self, _: web.Application | None = None) -> None:
        """End all streams and waits, and admit no more; a signal handler of the application."""
        self._is_closed = True
        for place in self._places:
            place.stop()

    def _end_guard(self) -> None:
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.cancel()

    async def _watch_over(self) -> None:
        while True:
            await asyncio.sleep(self.check_seconds)
            for place in self._places:
                if place.is_abandoned:
                    place.stop()
            try:
                await self._check_tokens()
            except Unavailable:
                # Streams outlast an outage; their tokens are checked when it is over.
                continue
            except Exception:
                log.exception(
                    "the tokens of open streams could not be checked",
                    extra={"event": "stream_tokens.check_failed"},
                )

    async def _check_tokens(self) -> None:
        # Further ones may open meanwhile: their tokens have just been checked.
        checked = {place.digest for place in self._places}
        valid = await self.authentication.check_again(checked)
        self._refuse(lambda place: place.digest in checked and place.digest not in valid)
        now = time.monotonic()
        if now - self._members_checked_at < self.member_check_seconds:
            return
        self._members_checked_at = now
        for digest, token in valid.items():
            await self._check_member(digest, token)

    async def _check_member(self, digest: str, token: ApiToken) -> None:
        if token.slack_user_id is None:
            return
        role = await self.authentication.role_of(token)
        self._refuse(lambda place: place.digest == digest and role < place.role)

    def _refuse(self, is_refused: Callable[[Place], bool]) -> None:
        for place in self._places:
            if is_refused(place):
                self.authentication.forget(place.digest)
                place.stop()
