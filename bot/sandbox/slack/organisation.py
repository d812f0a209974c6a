"""An organisation (Enterprise Grid) around team Acme: its people, and what its payloads add.  Pure.

Slack's payloads name two places: where the app is installed, and where a person has their home.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bot.sandbox.slack.people import (
    BUILDS,
    GENERAL,
    OTHER_TEAM_ID,
    TEAM_ID,
    Channel,
    Person,
    direct_message,
)

Document = dict[str, Any]

ENTERPRISE_ID = "E0ACMECORP"
ENTERPRISE_NAME = "Acme Corporation"
OTHER_ENTERPRISE_ID = "E0GLOBEX01"
SISTER_TEAM_ID = "T0ACMELABS"

OLGA = "W0OLGA0007"
PIA = "W0PIA00008"
RON = "W0RON00009"
XENIA = "W0XENIA010"


@dataclass(frozen=True, kw_only=True)
class Organisation:
    """The organisation of team Acme.

    Attributes:
        is_org_wide: Whether the app is installed for all its workspaces; otherwise for Acme alone.
    """

    is_org_wide: bool = False
    id: str = ENTERPRISE_ID
    name: str = ENTERPRISE_NAME

    def people(self) -> list[Person]:
        """People of several workspaces: all of them are in Acme's channels."""
        return [
            Person(
                id=OLGA, name="olga", real_name="Olga Member", team_id=SISTER_TEAM_ID,
                enterprise_id=self.id, teams=(TEAM_ID, SISTER_TEAM_ID),
            ),
            Person(
                id=PIA, name="pia", real_name="Pia Elsewhere", team_id=SISTER_TEAM_ID,
                enterprise_id=self.id, teams=(SISTER_TEAM_ID,),
            ),
            Person(
                id=RON, name="ron", real_name="Ron Restricted", team_id=SISTER_TEAM_ID,
                enterprise_id=self.id, teams=(TEAM_ID, SISTER_TEAM_ID), is_restricted=True,
            ),
            Person(
                id=XENIA, name="xenia", real_name="Xenia External", team_id=OTHER_TEAM_ID,
                enterprise_id=OTHER_ENTERPRISE_ID, teams=(OTHER_TEAM_ID, TEAM_ID),
            ),
        ]  # fmt: skip

    def join(self, people: dict[str, Person], channels: dict[str, Channel]) -> None:
        """Add its people to the workspace, whose own members belong to the organisation, too."""
        for own in list(people.values()):
            if own.team_id == TEAM_ID and not own.is_bot and own.enterprise_id is None:
                people[own.id] = replace(own, enterprise_id=self.id, teams=(TEAM_ID,))
        for person in self.people():
            people[person.id] = person
            for channel in (channels[GENERAL], channels[BUILDS], direct_message(person)):
                channels.setdefault(channel.id, channel).members.add(person.id)

    def identity(self) -> Document:
        """What `auth.test` adds."""
        return {
            "team_id": self.id if self.is_org_wide else TEAM_ID,
            "enterprise_id": self.id,
            "is_enterprise_install": self.is_org_wide,
        }

    def delivery(self, kind: str, payload: Mapping[str, Any]) -> Document:
        """A payload as it is delivered inside the organisation.

        Args:
            kind: "slash_commands", "interactive" or "events_api".
            payload: The same outside of one.
        """
        if kind == "slash_commands":
            return {
                **payload,
                "enterprise_id": self.id,
                "enterprise_name": self.name,
                "is_enterprise_install": str(self.is_org_wide).lower(),
            }
        if kind == "events_api":
            return self._event(payload)
        return self._interaction(payload)

    def _interaction(self, payload: Mapping[str, Any]) -> Document:
        team = {**payload["team"], "enterprise_id": self.id, "enterprise_name": self.name}
        found: Document = {
            **payload,
            "team": None if self.is_org_wide else team,
            "enterprise": {"id": self.id, "name": self.name},
            "is_enterprise_install": self.is_org_wide,
        }
        if self.is_org_wide and "view" in payload:
            found["view"] = {**payload["view"], "app_installed_team_id": self.id}
        return found

    def _event(self, payload: Mapping[str, Any]) -> Document:
        event = dict(payload["event"])
        if event.get("team"):
            event |= {"user_team": self.id, "source_team": event["team"]}
        installation = {
            **payload["authorizations"][0],
            "enterprise_id": self.id,
            "team_id": None if self.is_org_wide else TEAM_ID,
            "is_enterprise_install": self.is_org_wide,
        }
        return {
            **payload,
            "event": event,
            "enterprise_id": self.id,
            # Where it happened, not where the app is: the sister shares its channels with Acme.
            "team_id": event.get("team") or TEAM_ID,
            "context_team_id": TEAM_ID,
            "context_enterprise_id": self.id,
            "authorizations": [installation],
        }
