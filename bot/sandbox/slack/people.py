"""Team Acme: the people, channels and groups the sandbox starts with."""

from dataclasses import dataclass, field
from typing import Any

TEAM_ID = "T0ACME0001"
TEAM_NAME = "Acme"
TEAM_DOMAIN = "acme"
OTHER_TEAM_ID = "T0GLOBEX01"
APP_ID = "A0SIGNALBX"
BOT_ID = "B0SIGNALBX"
BOT_USER_ID = "U0SIGNALBX"

ADA = "U0ADA00001"
BEN = "U0BEN00002"
CLEO = "U0CLEO0003"
DOM = "U0DOM00004"
GUS = "U0GUS00005"
SAM = "U0SAM00006"

GENERAL = "C0GENERAL1"
BUILDS = "C0BUILDS02"
RANDOM = "C0RANDOM03"
PRIVATE = "C0SECRET04"
ARCHIVED = "C0ATTIC005"
PARTNERS = "C0PARTNER6"

OPERATORS = "S0OPERATOR"

_COLORS = ("9f69e7", "4bbe2e", "e7392d", "3c989f", "674b1b", "e96699", "684b6c")
# A fixed time of creation for everything.
_CREATED_AT = 1_767_225_600


@dataclass(frozen=True, kw_only=True)
class Person:
    """A member or guest of the team, a person outside it, or the bot.

    Attributes:
        team_id: Their home.
        enterprise_id: The organisation of their home, if it belongs to one.
        teams: All their workspaces in that organisation.
    """

    id: str
    name: str
    real_name: str
    team_id: str = TEAM_ID
    is_admin: bool = False
    is_restricted: bool = False
    is_bot: bool = False
    is_stranger: bool = False
    enterprise_id: str | None = None
    teams: tuple[str, ...] = ()

    def document(self, *, with_email: bool = True) -> dict[str, Any]:
        """The user object the Web API gives."""
        profile: dict[str, Any] = {
            "real_name": self.real_name,
            "real_name_normalized": self.real_name,
            "display_name": self.name,
            "display_name_normalized": self.name,
            "status_text": "",
            "status_emoji": "",
            "team": self.team_id,
        }
        if self.is_bot:
            profile |= {"api_app_id": APP_ID, "bot_id": BOT_ID, "always_active": True}
        elif with_email:
            profile["email"] = f"{self.name}@{TEAM_DOMAIN}.example"
        shown: dict[str, Any] = {
            "id": self.id,
            "team_id": self.team_id,
            "name": self.name,
            "deleted": False,
            "color": _COLORS[sum(map(ord, self.id)) % len(_COLORS)],
            "real_name": self.real_name,
            "tz": "Etc/UTC",
            "tz_label": "Coordinated Universal Time",
            "tz_offset": 0,
            "profile": profile,
            "is_admin": self.is_admin,
            "is_owner": self.is_admin,
            "is_primary_owner": False,
            "is_restricted": self.is_restricted,
            "is_ultra_restricted": False,
            "is_bot": self.is_bot,
            "is_app_user": False,
            "updated": _CREATED_AT,
        }
        if self.is_stranger:
            shown["is_stranger"] = True
        if self.enterprise_id is not None:
            shown["enterprise_user"] = {
                "id": self.id,
                "enterprise_id": self.enterprise_id,
                "enterprise_name": "",
                "is_admin": False,
                "is_owner": False,
                "is_primary_owner": False,
                "teams": list(self.teams),
            }
        return shown


@dataclass(kw_only=True)
class Channel:
    """A conversation.  Only its members and whether it is archived change."""

    id: str
    name: str
    members: set[str]
    is_private: bool = False
    is_im: bool = False
    is_archived: bool = False
    is_ext_shared: bool = False
    person: str | None = None

    @property
    def scope_prefix(self) -> str:
        """The prefix of the scopes that read it: channels, groups or im."""
        if self.is_im:
            return "im"
        return "groups" if self.is_private else "channels"

    @property
    def channel_type(self) -> str:
        """Its type in events: channel, group or im."""
        if self.is_im:
            return "im"
        return "group" if self.is_private else "channel"

    def document(self, *, me: str) -> dict[str, Any]:
        """The conversation object the Web API gives to `me`."""
        if self.is_im:
            return {
                "id": self.id,
                "created": _CREATED_AT,
                "is_im": True,
                "is_org_shared": False,
                "is_archived": self.is_archived,
                "is_ext_shared": self.is_ext_shared,
                "user": self.person,
                "is_user_deleted": False,
                "is_open": True,
                "priority": 0,
            }
        return {
            "id": self.id,
            "name": self.name,
            "name_normalized": self.name,
            "is_channel": not self.is_private,
            "is_group": self.is_private,
            "is_im": False,
            "is_mpim": False,
            "is_private": self.is_private,
            "created": _CREATED_AT,
            "creator": ADA,
            "is_archived": self.is_archived,
            "is_general": self.id == GENERAL,
            "unlinked": 0,
            "is_shared": self.is_ext_shared,
            "is_ext_shared": self.is_ext_shared,
            "is_org_shared": False,
            "is_pending_ext_shared": False,
            "pending_shared": [],
            "shared_team_ids": [TEAM_ID, OTHER_TEAM_ID] if self.is_ext_shared else [TEAM_ID],
            "context_team_id": TEAM_ID,
            "updated": _CREATED_AT * 1000,
            "is_member": me in self.members,
            "topic": {"value": "", "creator": "", "last_set": 0},
            "purpose": {"value": "", "creator": "", "last_set": 0},
            "previous_names": [],
        }


@dataclass(kw_only=True)
class Group:
    """A user group."""

    id: str
    handle: str
    name: str
    members: list[str] = field(default_factory=list)

    def document(self, *, with_users: bool) -> dict[str, Any]:
        """The user group object the Web API gives."""
        shown: dict[str, Any] = {
            "id": self.id,
            "team_id": TEAM_ID,
            "is_usergroup": True,
            "is_subteam": True,
            "name": self.name,
            "description": "",
            "handle": self.handle,
            "is_external": False,
            "date_create": _CREATED_AT,
            "date_update": _CREATED_AT,
            "date_delete": 0,
            "auto_type": None,
            "created_by": ADA,
            "updated_by": ADA,
            "deleted_by": None,
            "prefs": {"channels": [], "groups": []},
            "user_count": len(self.members),
        }
        if with_users:
            shown["users"] = list(self.members)
        return shown


def seed_people(bot_name: str) -> list[Person]:
    """All people in the order a screen lists them; the first one acts by default."""
    return [
        Person(id=ADA, name="ada", real_name="Ada Lind", is_admin=True),
        Person(id=BEN, name="ben", real_name="Ben Okafor"),
        Person(id=CLEO, name="cleo", real_name="Cleo Marsh"),
        Person(id=DOM, name="dom", real_name="Dom Reyes"),
        Person(id=GUS, name="gus", real_name="Gus Guest", is_restricted=True),
        Person(
            id=SAM, name="sam", real_name="Sam Stranger", team_id=OTHER_TEAM_ID, is_stranger=True
        ),
        Person(id=BOT_USER_ID, name=bot_name, real_name=bot_name.capitalize(), is_bot=True),
    ]


def seed_channels(people: list[Person]) -> list[Channel]:
    """The channels, and a direct message with the bot for every member of the team."""
    full = {ADA, BEN, CLEO, DOM}
    bot = BOT_USER_ID
    channels = [
        Channel(id=GENERAL, name="general", members=full | {GUS, bot}),
        Channel(id=BUILDS, name="builds", members=full | {bot}),
        Channel(id=RANDOM, name="random", members=set(full)),
        Channel(id=PRIVATE, name="secret", members={ADA, BEN}, is_private=True),
        Channel(id=ARCHIVED, name="attic", members=full | {bot}, is_archived=True),
        Channel(id=PARTNERS, name="partners", members={ADA, BEN, SAM, bot}, is_ext_shared=True),
    ]
    return channels + [
        direct_message(person) for person in people if not person.is_bot and not person.is_stranger
    ]


def direct_message(person: Person) -> Channel:
    """The conversation of one person with the bot."""
    return Channel(
        id="D" + person.id[1:],
        name="directmessage",
        members={person.id, BOT_USER_ID},
        is_im=True,
        person=person.id,
    )


def seed_groups() -> list[Group]:
    """The only user group: the people who may do everything."""
    return [Group(id=OPERATORS, handle="operators", name="Operators", members=[ADA, BEN])]
