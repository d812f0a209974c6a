"""People: one row for a member of a Slack workspace, whichever way they are met again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from core.domain.actor import Action, Identity, Origin, Role
from core.services.context import ServiceContext
from core.services.people import PeopleService
from core.store import audit, users
from core.store.database.engine import Database

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ADA = Identity(origin=Origin.SLACK, external_id="U1", team_id="T1", name="Ada")


def people_of(database: Database) -> PeopleService:
    return PeopleService(ServiceContext(database, lambda: NOW))


async def test_a_member_of_slack_has_one_row(database: Database) -> None:
    first = await people_of(database).ensure_actor(ADA, role=Role.VIEWER)
    second = await people_of(database).ensure_actor(ADA, role=Role.OPERATOR)

    assert first.user_id is not None
    assert first.user_id == second.user_id
    assert (second.role, second.origin, second.name) == (Role.OPERATOR, Origin.SLACK, "Ada")
    async with database.sessions.begin() as session:
        user = await users.get(session, first.user_id)
    assert user is not None
    assert (user.slack_team_id, user.slack_user_id) == ("T1", "U1")


@pytest.mark.parametrize("origin", [origin for origin in Origin if origin is not Origin.SLACK])
async def test_others_act_without_a_row_and_are_audited_by_their_origin(
    database: Database, origin: Origin
) -> None:
    identity = Identity(origin=origin, external_id="nightly", name="Nightly")

    actor = await people_of(database).ensure_actor(identity, role=Role.RUNNER)
    await people_of(database).audit_refusal(actor, Action.VIEW, reason="test")

    assert (actor.origin, actor.user_id, actor.external_id) == (origin, None, "nightly")
    async with database.sessions.begin() as session:
        (line,) = await audit.recent(session, 1)
    assert line.actor.origin is origin
