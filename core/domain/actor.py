"""Actors, their roles, and what each role may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import MappingProxyType
from uuid import UUID

from core.domain.runs.run import Run


class Role(IntEnum):
    """A person's role.  Each role includes the rights of those before it."""

    NONE = 0
    VIEWER = 1
    RUNNER = 2
    OPERATOR = 3
    ADMIN = 4


class Action(StrEnum):
    """The actions that need permission."""

    VIEW = "view"
    START = "start"
    KILL = "kill"
    CONTINUE = "continue"
    RESTART = "restart"
    STEER = "steer"
    APPROVE = "approve"
    ACKNOWLEDGE = "acknowledge"
    SUBSCRIBE = "subscribe"
    CLEAN = "clean"
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
    """An authenticated person or the system, with the role that applies to this request.

    Attributes:
        user_id: The id of the person's `users` row; `None` for the system itself.
        external_id: The person's id at the origin (`U024BE7LH` in Slack).
        team_id: What that id is unique in, as in `Identity`.
        name: The name used in texts.
        token: The name of the API token with which the request came, if it came with one.
    """

    role: Role
    origin: Origin
    user_id: UUID | None = None
    external_id: str | None = None
    team_id: str | None = None
    name: str = "somebody"
    token: str | None = None


SYSTEM = Actor(role=Role.ADMIN, origin=Origin.SYSTEM, name="Signalbox")

# The lowest role that allows an action, to a runner on their own runs.
REQUIRED_ROLES: Mapping[Action, Role] = MappingProxyType(
    {
        Action.VIEW: Role.VIEWER,
        Action.START: Role.RUNNER,
        Action.KILL: Role.RUNNER,
        Action.CONTINUE: Role.RUNNER,
        Action.RESTART: Role.RUNNER,
        Action.STEER: Role.RUNNER,
        Action.APPROVE: Role.OPERATOR,
        Action.ACKNOWLEDGE: Role.RUNNER,
        Action.SUBSCRIBE: Role.RUNNER,
        Action.CLEAN: Role.OPERATOR,
        Action.ADMINISTER: Role.ADMIN,
    }
)

# The actions in words, to complete "can …": of one run, and of runs in general.
RUN_DEEDS: Mapping[Action, str] = MappingProxyType(
    {
        Action.VIEW: "see this",
        Action.START: "start this",
        Action.KILL: "stop this",
        Action.CONTINUE: "continue this",
        Action.RESTART: "restart this",
        Action.STEER: "tell this run's agent something",
        Action.APPROVE: "approve this",
        Action.ACKNOWLEDGE: "acknowledge alerts about this",
        Action.SUBSCRIBE: "subscribe channels to this",
        Action.CLEAN: "remove the workspace of this",
        Action.ADMINISTER: "change this",
    }
)
ROLE_DEEDS: Mapping[Action, str] = MappingProxyType(
    {
        Action.VIEW: "see runs",
        Action.START: "start runs",
        Action.KILL: "stop runs",
        Action.CONTINUE: "continue runs",
        Action.RESTART: "restart runs",
        Action.STEER: "tell agents something",
        Action.APPROVE: "approve tool calls",
        Action.ACKNOWLEDGE: "acknowledge and snooze alerts",
        Action.SUBSCRIBE: "subscribe channels to alerts",
        Action.CLEAN: "remove workspaces",
        Action.ADMINISTER: "change settings",
    }
)

# A runner may do these on their own runs; other people's runs need an operator.
_OWNER_ACTIONS = frozenset(
    {Action.KILL, Action.CONTINUE, Action.RESTART, Action.STEER, Action.APPROVE}
)


def is_allowed(actor: Actor, action: Action, run: Run | None = None) -> bool:
    """Return whether the actor may do `action`, to `run` if the action concerns one."""
    if actor.role >= Role.OPERATOR:
        return actor.role >= REQUIRED_ROLES[action]
    if run is not None and action in _OWNER_ACTIONS:
        is_owner = actor.user_id is not None and actor.user_id == run.user_id
        return is_owner and actor.role >= Role.RUNNER
    return actor.role >= REQUIRED_ROLES[action]


@dataclass(frozen=True, kw_only=True)
class User:
    """One row of `users`: a person known from Slack or the API."""

    id: UUID
    name: str
    slack_team_id: str | None = None
    slack_user_id: str | None = None
