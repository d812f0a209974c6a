"""Where a delivery comes from: the installation of the app it is for, and the person's home.

They differ in a channel that several workspaces share.  A home is only a claim of the delivery;
`bot.slack.inbound.access` asks Slack about the person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.slack.inbound.fields import part_of, parts_of, text_of


@dataclass(frozen=True, kw_only=True)
class DeliveryOrigin:
    """The workspaces (`T…`) and organisations (`E…`) that a delivery names.

    Attributes:
        team_ids: The workspaces whose installation of the app it is for; after an installation
            for a whole organisation, the one where the person acted, or the organisation.
        enterprise_ids: The organisations whose installation of the app it is for.
        home_ids: What it names as the person's.
    """

    team_ids: frozenset[str] = frozenset()
    enterprise_ids: frozenset[str] = frozenset()
    home_ids: frozenset[str] = frozenset()


NO_ORIGIN = DeliveryOrigin()


def command_origin(body: Mapping[str, Any]) -> DeliveryOrigin:
    """The origin of a slash command."""
    return DeliveryOrigin(
        team_ids=_ids(text_of(body, "team_id")),
        enterprise_ids=_ids(text_of(body, "enterprise_id")),
    )


def interaction_origin(body: Mapping[str, Any]) -> DeliveryOrigin:
    """The origin of a button, form or shortcut.

    A form says itself whose app it is.  After an installation for an organisation `team` is
    `null`; the person's workspace, or that of the form, stands for it.
    """
    team, user, view = part_of(body, "team"), part_of(body, "user"), part_of(body, "view")
    enterprise = part_of(body, "enterprise")
    return DeliveryOrigin(
        team_ids=_ids(text_of(view, "app_installed_team_id"))
        or _ids(text_of(team, "id"))
        or _ids(text_of(user, "team_id"))
        or _ids(text_of(view, "team_id")),
        enterprise_ids=_ids(text_of(enterprise, "id"), text_of(team, "enterprise_id")),
        home_ids=_ids(text_of(team, "id"), text_of(user, "team_id")),
    )


def event_origin(body: Mapping[str, Any]) -> DeliveryOrigin:
    """The origin of an event.

    `team_id` is where it happened, which may be another workspace of the organisation; the
    authorisations say whose installation gets the event.
    """
    event, authorizations = part_of(body, "event"), parts_of(body, "authorizations")
    return DeliveryOrigin(
        team_ids=_ids(*(text_of(one, "team_id") for one in authorizations))
        or _ids(text_of(body, "team_id"))
        or _ids(text_of(body, "context_team_id")),
        enterprise_ids=_ids(*(text_of(one, "enterprise_id") for one in authorizations))
        or _ids(text_of(body, "enterprise_id")),
        home_ids=_ids(
            text_of(event, "team"), text_of(event, "user_team"), text_of(event, "source_team")
        ),
    )


def _ids(*found: str | None) -> frozenset[str]:
    return frozenset(one for one in found if one)
