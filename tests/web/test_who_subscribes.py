"""Who may subscribe channels through the API, where the settings ask for a higher role."""

from __future__ import annotations

import pytest

from core.domain.actor import Role
from core.store import audit
from core.store.database.engine import Database
from tests.alerts.world import RUNNER, AlertWorld
from tests.api import open_api

CHANNEL = "C0123ABCD"
REFUSED = "Only people with the role operator can subscribe channels to alerts; yours is runner."


async def test_a_runner_reads_subscriptions_and_changes_none(database: Database) -> None:
    world = AlertWorld(database)
    made = await world.subscribe(CHANNEL)
    path = f"/subscriptions/{made.id}"
    async with open_api(database, subscribing=Role.OPERATOR) as api:
        token = await api.token(role=Role.RUNNER)

        replies = [
            await api.post("/subscriptions", token, {"channel": CHANNEL, "kinds": ["killed"]}),
            await api.post("/subscriptions/mute", token, {"channel": CHANNEL, "duration": "2h"}),
            await api.call("PUT", path, token, json={}),
            await api.call("DELETE", path, token),
        ]

        assert [(one.status, one.error) for one in replies] == [(403, "not_allowed")] * 4
        assert all(str(one.body["message"]).startswith(REFUSED) for one in replies)
        assert (await api.get(path, token)).status == 200
    assert await world.subscriptions.all(by=RUNNER) == [made]
    async with database.sessions() as session:
        entries = await audit.recent(session, 4)
    assert [(entry.action, entry.allowed) for entry in entries] == [("subscribe", False)] * 4


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.ADMIN])
async def test_a_high_role_subscribes(database: Database, role: Role) -> None:
    async with open_api(database, subscribing=Role.OPERATOR) as api:
        token = await api.token(role=role)

        reply = await api.post("/subscriptions", token, {"channel": CHANNEL})

        assert reply.status == 200
