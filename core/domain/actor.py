"""Who acts, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from uuid import UUID

from core.domain.runs.run import Run


class Role(IntEnum):
    """What a person is, in order: each includes those before it."""

    NONE = 0
    VIEWER = 1
    RUNNER = 2
    OPERATOR = 3
    ADMIN = 4


class Action(StrEnum):
    """What a person can ask for."""

    VIEW = "view"
    START = "start"
    KILL = "kill"
    CONTINUE = "continue"
    RESTART = "restart"
    STEER = "steer"
    APPROVE = "approve"
    ADMINISTER = "administer"


class Origin(StrEnum):
    """The way by which an action came in: a surface, a rule, or Signalbox itself."""

    SLACK = "slack"
    API = "api"
    CLI = "cli"
    MCP = "mcp"
    DASHBOARD = "dashboard"
    SCHEDULE = "schedule"
    AUTOMATION = "automation"
    SYSTEM = "system"


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Somebody as the surface knows them by which they came, before they are an actor.

    Attributes:
        external_id: Their id there, such as Slack's id of a member.
        team_id: What that id is unique in, such as Slack's workspace; `None` if in all of `origin`.
        name: How they are called in texts.
    """

    origin: Origin
    external_id: str
    team_id: str | None = None
    name: str = "somebody"


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Somebody known, with the role they hold here and now.

    Attributes:
        user_id: Our id of the person, `None` for the system itself.
        external_id: Their id where they came from (`U024BE7LH`); `team_id` as in `Identity`.
        name: How they are called in texts.
    """

    role: Role
    origin: Origin
    user_id: UUID | None = None
    external_id: str | None = None
    team_id: str | None = None
    name: str = "somebody"


SYSTEM = Actor(role=Role.ADMIN, origin=Origin.SYSTEM, name="Signalbox")

_REQUIRED_ROLES: dict[Action, Role] = {
    Action.VIEW: Role.VIEWER,
    Action.START: Role.RUNNER,
    Action.KILL: Role.RUNNER,
    Action.CONTINUE: Role.RUNNER,
    Action.RESTART: Role.RUNNER,
    Action.STEER: Role.RUNNER,
    Action.APPROVE: Role.OPERATOR,
    Action.ADMINISTER: Role.ADMIN,
}

# On somebody else's run these need an operator; on one's own, a runner.
_OWNER_ACTIONS = frozenset(
    {Action.KILL, Action.CONTINUE, Action.RESTART, Action.STEER, Action.APPROVE}
)


def is_allowed(actor: Actor, action: Action, run: Run | None = None) -> bool:
    """Whether this person may do this, to this run if one is meant."""
    if actor.role >= Role.OPERATOR:
        return actor.role >= _REQUIRED_ROLES[action]
    if run is not None and action in _OWNER_ACTIONS:
        is_owner = actor.user_id is not None and actor.user_id == run.user_id
        return is_owner and actor.role >= Role.RUNNER
    return actor.role >= _REQUIRED_ROLES[action]


@dataclass(frozen=True, kw_only=True)
class User:
    """A person, as Slack or the API knows them."""

    id: UUID
    name: str
    slack_team_id: str | None = None
    slack_user_id: str | None = None
