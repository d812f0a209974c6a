"""Access control of the Slack surface: whether a person may use Signalbox at all, and where.

Commands, buttons, forms (opened and submitted), shortcuts and messages all pass
`Access.admit`.  The services then decide what the person may do to which run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cachetools import TTLCache

from bot.slack.client.errors import SlackRefused
from bot.slack.client.ttl_cache import new_cache
from bot.slack.client.web_api import Slack
from bot.slack.inbound.installation import Installation
from bot.slack.inbound.request import SlackRequest
from bot.slack.inbound.roles import EVERYBODY, Roles
from bot.slack.ports import People
from core.domain.actor import Action, Actor, Identity, Origin, Role
from core.domain.errors import Forbidden

# For so long it can go unnoticed that a person became a guest, or a channel became shared.
PERSON_TTL = timedelta(minutes=5)
CHANNEL_TTL = timedelta(minutes=5)
_SLACKBOT = "USLACKBOT"


class NotAdmitted(Forbidden):
    """Signalbox does not work for this person, or not in this channel.

    Attributes:
        reason: A stable phrase for the audit log.
    """

    code = "not_admitted"

    def __init__(self, reason: str, user_message: str) -> None:
        super().__init__(f"not admitted: {reason}", user_message=user_message)
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class AccessPolicy:
    """The access settings of signalbox.toml.

    Attributes:
        roles: The `[roles]` table; `None` without one.
        allowed_channels: Channel ids of `[channels] allow`; `None` allows every channel the
            bot is in.
    """

    roles: Mapping[Role, tuple[str, ...]] | None = None
    allowed_channels: frozenset[str] | None = None

    @property
    def operators(self) -> tuple[str, ...]:
        """Members and groups to ask for what needs an operator; empty if the table names none."""
        table = self.roles or {}
        listed = table.get(Role.OPERATOR) or table.get(Role.ADMIN) or ()
        return tuple(entry for entry in listed if entry != EVERYBODY)


class Access:
    """Admits people, or refuses them.

    Args:
        installation: The workspace and the bot.
        slack: For queries about people and channels.
        policy: The configured roles and channels.
        people: Creates actors and audits refusals.
        now: A monotonic clock in seconds, for the caches.
    """

    def __init__(
        self,
        *,
        installation: Installation,
        slack: Slack,
        policy: AccessPolicy,
        people: People,
        now: Callable[[], float],
    ) -> None:
        self.installation = installation
        self._slack = slack
        self._roles = Roles(policy.roles, slack=slack, now=now)
        self._people = people
        self._allowed_channels = policy.allowed_channels
        self._members: TTLCache[str, Mapping[str, Any]] = new_cache(PERSON_TTL, now)
        self._channels: TTLCache[str, Mapping[str, Any]] = new_cache(CHANNEL_TTL, now)
        self._direct_channels: TTLCache[str, str] = new_cache(timedelta(hours=1), now)

    async def admit(self, request: SlackRequest, action: Action) -> Actor:
        """Admit a person, as an actor with their present role.

        Raises:
            NotAdmitted: If they are refused; the refusal has been audited.
            SlackError: If the query to Slack fails; then nobody is admitted.
            Unavailable: If the database cannot be reached.
        """
        try:
            member = await self._check(request)
            role = await self._roles.role_of(
                request.user_id or "",
                is_workspace_admin=bool(member.get("is_admin") or member.get("is_owner")),
                group_team_id=self.installation.acting_team(request.origin),
            )
            _require_role(role)
        except NotAdmitted as refusal:
            await self._people.audit_refusal(_refused_actor(request), action, reason=refusal.reason)
            raise
        user_id = request.user_id or ""
        identity = Identity(
            origin=Origin.SLACK,
            external_id=user_id,
            team_id=self.installation.team_id,
            name=_name_of(member, user_id),
        )
        return await self._people.ensure_actor(identity, role=role)

    async def actor_of(self, slack_user_id: str) -> Actor:
        """A member of the workspace who acts elsewhere, as an actor with their present role.

        Raises:
            NotAdmitted: If they are no full member, or have no role.
            SlackError: If the query to Slack fails.
            Unavailable: If the database cannot be reached.
        """
        member = await self._member(slack_user_id)
        team_id = self.installation.team_id
        role = await self._roles.role_of(
            slack_user_id,
            is_workspace_admin=bool(member.get("is_admin") or member.get("is_owner")),
            group_team_id=team_id if self.installation.is_org_wide else None,
        )
        _require_role(role)
        identity = Identity(
            origin=Origin.SLACK,
            external_id=slack_user_id,
            team_id=team_id,
            name=_name_of(member, slack_user_id),
        )
        return await self._people.ensure_actor(identity, role=role)

    async def _check(self, request: SlackRequest) -> Mapping[str, Any]:
        """Return Slack's record of the person, or raise `NotAdmitted`."""
        if request.user_id is None or not self.installation.serves(request.origin):
            raise NotAdmitted(
                "other team", "Signalbox works for members of its own workspace only."
            )
        if request.is_ext_shared:
            raise _shared_channel_error()
        found = await asyncio.gather(
            self._member(request.user_id), self.check_place(request.channel_id, request.user_id)
        )
        member: Mapping[str, Any] = found[0]
        return member

    async def _member(self, user_id: str) -> Mapping[str, Any]:
        member = self._members.get(user_id)
        if member is None:
            try:
                answer = await self._slack.call("users.info", user=user_id)
            except SlackRefused as error:
                if error.name not in {"user_not_found", "user_not_visible"}:
                    raise
                raise NotAdmitted("stranger", _FULL_MEMBERS_ONLY_TEXT) from error
            found: Mapping[str, Any] = answer.get("user") or {}
            member = found
        reason = _rejection_reason(member, self.installation)
        if reason is not None:
            raise NotAdmitted(reason, _FULL_MEMBERS_ONLY_TEXT)
        self._members.setdefault(user_id, member)
        return member

    async def check_place(self, channel_id: str | None, user_id: str) -> None:
        """Raise `NotAdmitted` if Signalbox does not work in a channel, for this person."""
        if channel_id is None:
            return
        if self._allowed_channels is not None and channel_id not in self._allowed_channels:
            raise NotAdmitted(
                "channel not allowed",
                "Signalbox is not enabled here: `[channels] allow` in signalbox.toml does not "
                "list this channel. Use a listed channel, or ask an admin to add this one.",
            )
        if channel_id.startswith("D"):
            await self._check_direct(channel_id, user_id)
            return
        channel = self._channels.get(channel_id)
        if channel is None:
            channel = await self._channel(channel_id)
        if channel.get("is_ext_shared") or channel.get("is_pending_ext_shared"):
            raise _shared_channel_error()
        if channel.get("is_archived"):
            raise NotAdmitted("archived channel", "This channel is archived; use another one.")
        if not channel.get("is_member"):
            raise self._not_in_channel_error()
        # Only admissions are cached, so that an invitation of the bot takes effect at once.
        self._channels.setdefault(channel_id, channel)

    async def _channel(self, channel_id: str) -> Mapping[str, Any]:
        try:
            answer = await self._slack.call("conversations.info", channel=channel_id)
        except SlackRefused as error:
            if error.name == "missing_scope":
                # A group conversation; the bot cannot be invited to those.
                raise self._foreign_conversation_error() from error
            if error.name != "channel_not_found":
                raise
            # A private channel without the bot, or a group conversation.
            raise self._not_in_channel_error(
                "In a group direct message that is not possible: use a channel, or write to "
                f"@{self.installation.bot_name} directly."
            ) from error
        found: Mapping[str, Any] = answer.get("channel") or {}
        return found

    async def _check_direct(self, channel_id: str, user_id: str) -> None:
        """Refuse direct conversations other than the person's with the bot."""
        own = self._direct_channels.get(user_id)
        if own is None:
            own = await self._slack.direct_channel(user_id)
            self._direct_channels.setdefault(user_id, own)
        if own != channel_id:
            raise self._foreign_conversation_error()

    def _foreign_conversation_error(self) -> NotAdmitted:
        return NotAdmitted(
            "foreign direct message",
            "Signalbox is not part of this conversation. Use a channel it is in, or write to "
            f"@{self.installation.bot_name} directly.",
        )

    def _not_in_channel_error(self, more: str = "") -> NotAdmitted:
        words = (
            "Signalbox is not in this channel yet. Invite it: "
            f"`/invite @{self.installation.bot_name}`, then try again. {more}"
        )
        return NotAdmitted("bot not in channel", words.rstrip())


_FULL_MEMBERS_ONLY_TEXT = "Signalbox works for full members of this workspace only."


def _shared_channel_error() -> NotAdmitted:
    return NotAdmitted(
        "shared channel",
        "Signalbox does not work in channels shared with another organisation. Use a channel "
        "of your own workspace.",
    )


def _require_role(role: Role) -> None:
    if role is Role.NONE:
        raise NotAdmitted(
            "no role",
            "You have no role in Signalbox here. Ask an admin to add you to `[roles]` in "
            "signalbox.toml.",
        )


def _rejection_reason(member: Mapping[str, Any], installation: Installation) -> str | None:
    """Why the answer of `users.info` forbids access; `None` if it does not."""
    if not member:
        return "stranger"
    if member.get("deleted"):
        return "deactivated"
    if member.get("is_bot") or member.get("is_workflow_bot") or member.get("id") == _SLACKBOT:
        return "bot"
    if member.get("is_restricted") or member.get("is_ultra_restricted"):
        return "guest"
    if member.get("is_stranger") or not installation.has_member(member):
        return "stranger"
    return None


def _name_of(member: Mapping[str, Any], user_id: str) -> str:
    profile = member.get("profile") or {}
    names = (profile.get("display_name"), profile.get("real_name"), member.get("real_name"))
    return str(next((name for name in names if name), member.get("name") or user_id))


def _refused_actor(request: SlackRequest) -> Actor:
    """The refused person, for the audit log; `users` gets no row for them."""
    return Actor(
        role=Role.NONE,
        origin=Origin.SLACK,
        external_id=request.user_id,
        team_id=next(iter(sorted(request.origin.home_ids or request.origin.team_ids)), None),
        name=request.user_id or "somebody",
    )
