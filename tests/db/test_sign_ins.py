from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from core.domain.actor import SYSTEM, Actor, Origin, Role
from core.domain.redact import redact
from core.domain.sign_in import (
    LINK_LIFETIME,
    SESSION_LIFETIME,
    LinkProblem,
    LinkRefused,
    SessionNotFound,
)
from core.domain.token import NewToken, TokenProblem, TokenRefused, digest_of
from core.services.context import NotAllowed, ServiceContext
from core.services.housekeeping import SIGN_IN_RETENTION, HousekeepingService
from core.services.sign_ins import SignInService
from core.services.tokens import TokenService
from core.store import audit
from core.store.database.engine import Database
from tests.database import NOW

ADA = Actor(role=Role.RUNNER, origin=Origin.SLACK, external_id="U1", team_id="T1", name="Ada")
BOB = Actor(role=Role.RUNNER, origin=Origin.SLACK, external_id="U2", team_id="T1", name="Bob")
ROOT = Actor(role=Role.ADMIN, origin=Origin.SLACK, external_id="U3", team_id="T1", name="Root")


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def context(database: Database, clock: Clock) -> ServiceContext:
    return ServiceContext(database, clock)


@pytest.fixture
def service(context: ServiceContext) -> SignInService:
    return SignInService(context)


async def sign_in(service: SignInService, by: Actor) -> str:
    return await service.sign_in(await service.make_link(by=by), browser="Test", address="::1")


async def test_a_link_signs_in_its_person_once(service: SignInService) -> None:
    link = await service.make_link(by=ADA)

    person = await service.preview(link)
    secret = await service.sign_in(link, browser="Firefox", address="10.0.0.7")

    assert (person.name, person.slack_user_id) == ("Ada", "U1")
    rights = await service.authenticate(secret)
    assert (rights.slack_user_id, rights.role) == ("U1", None)
    with pytest.raises(LinkRefused) as refused:
        await service.sign_in(link, browser="Firefox", address="10.0.0.7")
    assert refused.value.problem is LinkProblem.USED
    (listed,) = await service.list_sessions(by=ADA)
    assert (listed.browser, listed.address) == ("Firefox", "10.0.0.7")


async def test_a_link_that_is_opened_twice_at_once_signs_in_once(service: SignInService) -> None:
    link = await service.make_link(by=ADA)

    results = await asyncio.gather(
        *(service.sign_in(link, browser="", address="") for _ in range(5)), return_exceptions=True
    )

    refusals = [one for one in results if isinstance(one, LinkRefused)]
    assert len(refusals) == 4
    assert len(await service.list_sessions(by=ADA)) == 1


async def test_a_link_expires(service: SignInService, clock: Clock) -> None:
    link = await service.make_link(by=ADA)
    clock.now += LINK_LIFETIME

    for act in (service.preview(link), service.sign_in(link, browser="", address="")):
        with pytest.raises(LinkRefused) as refused:
            await act
        assert refused.value.problem is LinkProblem.EXPIRED


async def test_nobody_without_a_role_gets_a_link(service: SignInService) -> None:
    nobody = Actor(role=Role.NONE, origin=Origin.SLACK, external_id="U9", name="Nobody")

    with pytest.raises(NotAllowed):
        await service.make_link(by=nobody)
    with pytest.raises(LinkRefused) as refused:
        await service.preview("made up")
    assert refused.value.problem is LinkProblem.UNKNOWN


async def test_secrets_are_stored_as_digests_only(
    service: SignInService, database: Database
) -> None:
    link = await service.make_link(by=ADA)
    secret = await service.sign_in(link, browser="", address="")

    async with database.sessions() as session:
        rows = [
            str(row)
            for table in ("sign_in_links", "dashboard_sessions", "audit_log")
            for row in await session.execute(text(f"SELECT to_jsonb({table}) FROM {table}"))
        ]
    assert len(rows) >= 4
    assert not any(link in row or secret in row for row in rows)
    assert secret not in redact(f"cookie {secret}")


async def test_a_session_ends_after_a_week(service: SignInService, clock: Clock) -> None:
    secret = await sign_in(service, ADA)
    clock.now += SESSION_LIFETIME - timedelta(seconds=1)
    await service.authenticate(secret)
    clock.now += timedelta(seconds=1)

    with pytest.raises(TokenRefused) as refused:
        await service.authenticate(secret)
    assert refused.value.problem is TokenProblem.EXPIRED
    assert await service.still_valid([digest_of(secret)]) == {}
    assert await service.list_sessions(by=ADA) == []


async def test_people_sign_out_themselves_and_admins_everybody(
    service: SignInService, database: Database
) -> None:
    first, second = await sign_in(service, ADA), await sign_in(service, ADA)
    bobs = await sign_in(service, BOB)
    (bob_session,) = await service.list_sessions(by=BOB)
    assert len(await service.list_sessions(by=ADA)) == 2
    assert len(await service.list_sessions(by=ROOT)) == 3

    with pytest.raises(SessionNotFound):
        await service.end_session(bob_session.id, by=ADA)
    await service.sign_out(first, by=ADA)
    await service.end_session(bob_session.id, by=ROOT)

    for ended in (first, bobs):
        with pytest.raises(TokenRefused) as refused:
            await service.authenticate(ended)
        assert refused.value.problem is TokenProblem.REVOKED
    await service.authenticate(second)
    assert set(await service.still_valid([digest_of(one) for one in (first, second, bobs)])) == {
        digest_of(second)
    }
    async with database.sessions() as session:
        trail = await audit.recent(session, 20)
    assert [entry.actor.name for entry in trail if "signed_out" in entry.details] == ["Root", "Ada"]


async def test_the_session_of_a_token_ends_with_it(
    service: SignInService, context: ServiceContext
) -> None:
    tokens = TokenService(context)
    token, _ = await tokens.create(NewToken(name="local", role=Role.OPERATOR), by=SYSTEM)
    program = Actor(
        role=Role.OPERATOR,
        origin=Origin.API,
        external_id=str(token.id),
        user_id=token.user_id,
        name="local",
        token="local",
    )
    secret = await sign_in(service, program)

    rights = await service.authenticate(secret)
    assert (rights.role, rights.user_id) == (Role.OPERATOR, token.user_id)
    await tokens.revoke("local", by=SYSTEM)

    with pytest.raises(TokenRefused) as refused:
        await service.authenticate(secret)
    assert refused.value.problem is TokenProblem.REVOKED


async def test_old_links_and_sessions_are_deleted(
    service: SignInService, context: ServiceContext, clock: Clock, database: Database
) -> None:
    await sign_in(service, ADA)
    clock.now += SESSION_LIFETIME + SIGN_IN_RETENTION
    kept = await sign_in(service, BOB)
    clock.now += timedelta(seconds=1)

    deleted = await HousekeepingService(context).delete_expired()

    assert deleted.sign_ins == 2
    async with database.sessions() as session:
        left = await session.scalar(text("SELECT count(*) FROM dashboard_sessions"))
    assert left == 1
    await service.authenticate(kept)
