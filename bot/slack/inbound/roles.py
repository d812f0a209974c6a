"""The roles of members: the `[roles]` table of signalbox.toml, with Slack's user groups."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta

from cachetools import TTLCache

from bot.slack.client.errors import SlackError
from bot.slack.client.ttl_cache import new_cache
from bot.slack.client.web_api import Slack
from core.domain.actor import Role

log = logging.getLogger(__name__)

EVERYBODY = "*"
GROUP_TTL = timedelta(minutes=5)


class Roles:
    """Determines the role of a full member.

    Args:
        table: User ids, user-group ids (`S…`) and `"*"` per role; `None` without a
            `[roles]` table: every full member is a runner, workspace admins are admins.
        slack: For queries about the members of groups.
        now: A monotonic clock in seconds.
    """

    def __init__(
        self,
        table: Mapping[Role, tuple[str, ...]] | None,
        *,
        slack: Slack,
        now: Callable[[], float],
    ) -> None:
        self._table = table
        self._slack = slack
        self._groups: TTLCache[str, frozenset[str]] = new_cache(GROUP_TTL, now)

    async def role_of(
        self, user_id: str, *, is_workspace_admin: bool, group_team_id: str | None = None
    ) -> Role:
        """The highest role that lists this member; `NONE` if no role does.

        Args:
            user_id: The member.
            is_workspace_admin: Whether Slack calls them an admin or owner.
            group_team_id: The workspace whose user groups count, if the app is installed for a
                whole organisation.
        """
        if self._table is None:
            return Role.ADMIN if is_workspace_admin else Role.RUNNER
        for role in sorted(self._table, reverse=True):
            if await self._is_listed(user_id, self._table[role], group_team_id):
                return role
        return Role.NONE

    async def _is_listed(
        self, user_id: str, entries: tuple[str, ...], group_team_id: str | None
    ) -> bool:
        if user_id in entries or EVERYBODY in entries:
            return True
        for name in entries:
            if name.startswith("S") and user_id in await self._members_of(name, group_team_id):
                return True
        return False

    async def _members_of(self, group_id: str, team_id: str | None) -> frozenset[str]:
        """The members of a user group; empty if the query fails."""
        key = f"{team_id}:{group_id}"
        members = self._groups.get(key)
        if members is not None:
            return members
        try:
            answer = await self._slack.call(
                "usergroups.users.list", usergroup=group_id, team_id=team_id
            )
        except SlackError as error:
            # Fail closed: without an answer the group gives nobody a role.
            log.warning(
                "user group %s could not be read: %s",
                group_id,
                error,
                extra={"event": "user_group.read_failed", "group_id": group_id},
            )
            return frozenset()
        members = frozenset(str(member) for member in answer.get("users") or ())
        self._groups.setdefault(key, members)
        return members
