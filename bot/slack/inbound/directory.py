"""Who is in a channel, which user groups there are, and where people live: asked of Slack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from cachetools import TTLCache

from bot.slack.client.errors import SlackError, SlackRefused
from bot.slack.client.ttl_cache import new_cache
from bot.slack.client.web_api import Slack
from bot.slack.inbound.installation import Installation
from bot.slack.inbound.request import SlackRequest
from core.domain.alerts.channels.quiet_hours import BadQuietHours, require_time_zone
from core.domain.errors import BadRequest, Forbidden, Unavailable

# A new group or a new name of one is known after so long.
GROUPS_TTL = timedelta(minutes=5)
_UTC = "UTC"
_PAGE = 1000
# Nobody waits longer: in larger channels people type the command instead.
_MAX_PAGES = 10


class NotInChannel(Forbidden):
    """The person is no member of the channel."""

    code = "not_in_channel"

    def __init__(self, channel_id: str) -> None:
        super().__init__(
            f"not in channel {channel_id}",
            user_message="Only members of a channel can subscribe it to alerts. Join it first, or "
            "ask somebody who is in it.",
        )


class TooManyMembers(BadRequest):
    """The channel is too large to look for a person among its members."""

    code = "too_many_members"

    def __init__(self, channel_id: str) -> None:
        super().__init__(
            f"channel {channel_id} is too large to list",
            user_message=f"This channel has more than {_PAGE * _MAX_PAGES:,} members, too many to "
            "look you up. Type it there instead: `/workflow alerts subscribe failed stalled`.",
        )


class DirectoryUnavailable(Unavailable):
    """Slack does not answer a question about people."""

    code = "directory_unavailable"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"slack does not say {what}",
            user_message=f"Slack does not say just now {what}, so nothing was changed. Try again "
            "in a minute.",
        )


class UnknownGroup(BadRequest):
    """No user group of the workspace has this name."""

    code = "unknown_group"

    def __init__(self, name: str) -> None:
        super().__init__(
            "no such user group",
            user_message=f"There is no user group `{name.replace('`', '')[:60]}` in this "
            "workspace. Choose it from the list that Slack offers when you type `@`, or mention a "
            "person.",
        )


@dataclass(frozen=True)
class Directory:
    """Asks Slack about people; groups are remembered for `GROUPS_TTL`."""

    slack: Slack
    installation: Installation
    groups: TTLCache[str, Mapping[str, str]] = field(repr=False)

    @classmethod
    def new(cls, slack: Slack, installation: Installation, now: Callable[[], float]) -> Directory:
        """A directory that knows nothing yet; `now` is a monotonic clock in seconds."""
        return cls(slack, installation, new_cache(GROUPS_TTL, now))

    async def require_member(self, channel_id: str, user_id: str | None) -> None:
        """Check that a person is in a channel, whose id a client may have forged.

        A direct conversation has been checked with the request.

        Raises:
            NotInChannel: If they are not, or the bot is not.
            TooManyMembers: If the channel is too large to look.
            DirectoryUnavailable: If Slack does not answer.
        """
        if channel_id.startswith("D"):
            return
        cursor: str | None = None
        for _ in range(_MAX_PAGES):
            page = await self._members(channel_id, cursor)
            if user_id in (page.get("members") or ()):
                return
            cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                raise NotInChannel(channel_id)
        raise TooManyMembers(channel_id)

    async def mention(self, mention: str | None, request: SlackRequest) -> str | None:
        """A mention in Slack's form; `@name` is looked up among the user groups.

        Raises:
            UnknownGroup: If there is none with this name.
            DirectoryUnavailable: If Slack does not answer.
        """
        if mention is None or not mention.startswith("@"):
            return mention
        try:
            names = await self._group_names(request)
        except SlackError as error:
            raise DirectoryUnavailable("which user groups there are") from error
        wanted = mention.removeprefix("@").lower()
        group_id = next((one for one, name in names.items() if name.lower() == wanted), None)
        if group_id is None:
            raise UnknownGroup(mention)
        return f"<!subteam^{group_id}>"

    async def group_names(self, request: SlackRequest) -> Mapping[str, str]:
        """The names of the user groups by their ids; empty if Slack does not answer."""
        try:
            return await self._group_names(request)
        except SlackError:
            return {}

    async def time_zone(self, user_id: str | None) -> str:
        """A person's time zone; UTC if it is not known."""
        try:
            answer = await self.slack.call("users.info", user=user_id)
            zone: ZoneInfo = require_time_zone(str((answer.get("user") or {}).get("tz") or _UTC))
        except (SlackError, BadQuietHours):
            return _UTC
        return zone.key

    async def _members(self, channel_id: str, cursor: str | None) -> Mapping[str, Any]:
        try:
            return await self.slack.call(
                "conversations.members", channel=channel_id, limit=_PAGE, cursor=cursor
            )
        except SlackRefused as error:
            raise NotInChannel(channel_id) from error
        except SlackError as error:
            raise DirectoryUnavailable("who is in the channel") from error

    async def _group_names(self, request: SlackRequest) -> Mapping[str, str]:
        team_id = self.installation.acting_team(request.origin)
        known = self.groups.get(team_id or "")
        if known is not None:
            return known
        answer = await self.slack.call("usergroups.list", team_id=team_id)
        found = {
            str(group.get("id")): str(group.get("handle") or "")
            for group in answer.get("usergroups") or ()
        }
        self.groups.setdefault(team_id or "", found)
        return found
