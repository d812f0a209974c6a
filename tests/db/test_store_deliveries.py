"""Deliveries of Slack are stored until they are done, and claimed when their bot died."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import text

from core.store.database.engine import Database
from core.store.slack import deliveries
from tests.database import NOW

LATER = NOW + timedelta(seconds=60)


async def test_a_done_delivery_keeps_its_key_only(database: Database) -> None:
    async with database.sessions.begin() as session:
        await deliveries.receive(session, "k", {"secret": 1}, now=NOW)
        await deliveries.mark_done(session, "k", now=NOW)

        again = await deliveries.receive(session, "k", {"secret": 1}, now=LATER)
        body = await session.scalar(text("SELECT body FROM slack_deliveries"))
    assert not again
    assert body is None


async def test_only_recent_abandoned_deliveries_are_claimed(database: Database) -> None:
    ages = {"fresh": 5, "abandoned": 40, "stale": 3600}

    async def claim(now: datetime) -> list[tuple[str, object]]:
        async with database.sessions.begin() as session:
            return list(
                await deliveries.claim_unfinished(
                    session,
                    older_than=now - timedelta(seconds=30),
                    newer_than=now - timedelta(minutes=30),
                    now=now,
                    limit=10,
                )
            )

    async with database.sessions.begin() as session:
        for key, seconds in ages.items():
            received = NOW - timedelta(seconds=seconds)
            await deliveries.receive(session, key, {"key": key}, now=received)

    first = await claim(NOW)
    at_once = await claim(NOW)
    when_the_claimer_died = await claim(LATER)

    assert first == [("abandoned", {"key": "abandoned"})]
    assert at_once == []
    assert [key for key, _ in when_the_claimer_died] == ["abandoned", "fresh"]


async def test_a_delivery_of_a_bot_with_a_heartbeat_is_not_claimed(database: Database) -> None:
    async with database.sessions.begin() as session:
        for key in ("slow", "dead", "done"):
            await deliveries.receive(session, key, {}, now=NOW)
        await deliveries.mark_done(session, "done", now=NOW)

        await deliveries.renew_claims(session, ["slow", "done"], now=LATER)
        claimed = await deliveries.claim_unfinished(
            session,
            older_than=LATER - timedelta(seconds=6),
            newer_than=NOW - timedelta(minutes=30),
            now=LATER,
            limit=10,
        )

    assert [key for key, _ in claimed] == ["dead"]
