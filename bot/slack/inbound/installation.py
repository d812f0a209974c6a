"""The installation of the app that this bot works for: a workspace, or an organisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.slack.inbound.origin import DeliveryOrigin


@dataclass(frozen=True, kw_only=True)
class Installation:
    """The workspace that the bot is installed in, and the bot's ids there.

    Attributes:
        team_id: The workspace; after an installation for a whole organisation what `auth.test`
            names, which is the organisation or one of its workspaces.
        enterprise_id: The organisation (Enterprise Grid) of the workspace; empty if it has none.
        is_org_wide: Whether the app is installed for all workspaces of the organisation.
        app_id: The app; empty if Slack did not say, and then deliveries for any app are accepted.
        are_scopes_known: Whether the server said which scopes the bot token has.
    """

    team_id: str
    bot_user_id: str
    bot_id: str = ""
    team_name: str = ""
    team_url: str = ""
    bot_name: str = "signalbox"
    enterprise_id: str = ""
    is_org_wide: bool = False
    app_id: str = ""
    are_scopes_known: bool = True

    def serves(self, origin: DeliveryOrigin) -> bool:
        """Whether a delivery is for this installation, and the person may be a member of it.

        Without an organisation a person of another workspace is always an outsider; in one, Slack
        must be asked about the person (`has_member`).
        """
        if not self.enterprise_id:
            return origin.team_ids == {self.team_id} and origin.home_ids <= {self.team_id}
        if self.is_org_wide:
            return self.enterprise_id in origin.enterprise_ids | origin.team_ids
        return self.team_id in origin.team_ids

    def acting_team(self, origin: DeliveryOrigin) -> str | None:
        """The workspace where the person acted, for calls that need it; `None` if none does.

        Only a token of a whole organisation must say which workspace it asks about.
        """
        if not self.is_org_wide:
            return None
        return next((team for team in sorted(origin.team_ids) if team.startswith("T")), None)

    def has_member(self, person: Mapping[str, Any]) -> bool:
        """Whether the workspace, or the organisation, has this person, a guest or not.

        Args:
            person: Slack's record of the person, the answer of `users.info`.
        """
        if person.get("team_id", self.team_id) == self.team_id:
            return True
        grid = person.get("enterprise_user")
        if not isinstance(grid, dict) or not self.enterprise_id:
            return False
        if grid.get("enterprise_id") != self.enterprise_id:
            return False
        teams = grid.get("teams")
        return self.is_org_wide or (isinstance(teams, list) and self.team_id in teams)
