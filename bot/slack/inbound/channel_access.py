"""Whether somebody may act on a channel from elsewhere: through the API or the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cachetools import TTLCache

from bot.slack.client.ttl_cache import new_cache
from bot.slack.client.web_api import Slack
from bot.slack.inbound.access import CHANNEL_TTL, Access, NotAdmitted
from bot.slack.ports import People
from core.domain.actor import Action, Actor

# As many members as Slack gives at once, and so many pages at most: 20,000 members.
_PAGE = 1000
_MAX_PAGES = 20


@dataclass
class ChannelAccess:
    """Admits actors to channels that they name, as `Access` admits people where they write.

    Attributes:
        access: Knows the channels in which Signalbox works.
        people: Audits refusals.
        now: A monotonic clock in seconds, for the cache.
    """

    access: Access
    slack: Slack
    people: People
    now: Callable[[], float]
    _admitted: TTLCache[str, bool] = field(init=False)

    def __post_init__(self) -> None:
        self._admitted = new_cache(CHANNEL_TTL, self.now)

    async def require(self, channel_id: str, action: Action, *, by: Actor) -> None:
        """Check that Signalbox works in a channel, and that the actor may act on it.

        A member of the workspace must be in the channel.  A program with a token of its own may act
        on every channel in which Signalbox works, except for direct messages.

        Raises:
            NotAdmitted: If not; the refusal has been audited.
            SlackError: If the query to Slack fails.
            Unavailable: If the database cannot be reached.
        """
        member = None if by.team_id is None else by.external_id
        try:
            await self._check(channel_id, member)
        except NotAdmitted as refusal:
            await self.people.audit_refusal(by, action, reason=refusal.reason)
            raise

    async def _check(self, channel_id: str, member: str | None) -> None:
        if channel_id.startswith("D") and member is None:
            raise NotAdmitted(
                "foreign direct message", "A direct message is only for the person who writes it."
            )
        await self.access.check_place(channel_id, member or "")
        if member is None or channel_id.startswith("D"):
            return
        key = f"{channel_id}:{member}"
        if key not in self._admitted and not await self._has_member(channel_id, member):
            raise NotAdmitted(
                "not in channel",
                "You are not in this channel. Join it in Slack, then try again.",
            )
        self._admitted.setdefault(key, True)

    async def _has_member(self, channel_id: str, member: str) -> bool:
        cursor: str | None = None
        for _ in range(_MAX_PAGES):
            answer: Any = await self.slack.call(
                "conversations.members", channel=channel_id, limit=_PAGE, cursor=cursor
            )
            if member in (answer.get("members") or ()):
                return True
            cursor = (answer.get("response_metadata") or {}).get("next_cursor") or None
            if cursor is None:
                return False
        return False
