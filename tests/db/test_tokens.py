from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.assembly.settings import load_settings
from bot.cli.tokens import lifetime_of, role_named, run_create, run_list, run_revoke
from core.domain.actor import SYSTEM, Actor, Origin, Role
from core.domain.redact import redact
from core.domain.token import (
    USE_RESOLUTION,
    BadToken,
    NewToken,
    TokenExists,
    TokenNotFound,
    TokenProblem,
    TokenRefused,
)
from core.services.context import NotAllowed, ServiceContext
from core.services.tokens import TokenService
from core.store import audit
from core.store.database.engine import Database
from tests.database import NOW
from tests.limits import limit


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(database: Database, clock: Clock) -> TokenService:
    return TokenService(ServiceContext(database, clock))


async def test_a_token_is_stored_as_its_digest_only(
    service: TokenService, database: Database
) -> None:
    _, secret = await service.create(NewToken(name="ci", role=Role.RUNNER), by=SYSTEM)

    async with database.sessions() as session:
        rows = (await session.execute(text("SELECT to_jsonb(api_tokens) FROM api_tokens"))).all()
        trail = await audit.recent(session, 10)
    assert len(secret) > 40
    assert secret not in json.dumps([row[0] for row in rows])
    assert secret not in repr(trail)
    assert redact(f"the token is {secret}.") == "the token is [redacted]."


async def test_a_valid_token_is_recognised_and_its_use_recorded(
    service: TokenService, clock: Clock
) -> None:
    made, secret = await service.create(NewToken(name="ci", role=Role.RUNNER), by=SYSTEM)

    found = await service.authenticate(secret)
    clock.now += USE_RESOLUTION / 2
    await service.authenticate(secret)
    (within_a_minute,) = await service.list_all(by=SYSTEM)
    clock.now += USE_RESOLUTION
    await service.authenticate(secret)
    (later,) = await service.list_all(by=SYSTEM)

    assert (found.id, found.role, found.user_id) == (made.id, Role.RUNNER, made.user_id)
    assert within_a_minute.last_used_at == NOW
    assert later.last_used_at == clock.now


async def test_an_unknown_an_expired_and_a_revoked_token_are_refused(
    service: TokenService, clock: Clock
) -> None:
    request = NewToken(name="short", role=Role.VIEWER, lifetime=timedelta(hours=1))
    _, short = await service.create(request, by=SYSTEM)
    _, revoked = await service.create(NewToken(name="old", role=Role.VIEWER), by=SYSTEM)
    await service.revoke("old", by=SYSTEM)
    await service.authenticate(short)
    clock.now += timedelta(hours=1)

    problems = {}
    for name, secret in (("unknown", "sbx_\ud800"), ("expired", short), ("revoked", revoked)):
        with pytest.raises(TokenRefused) as refusal:
            await service.authenticate(secret)
        problems[name] = refusal.value.problem

    assert problems == {
        "unknown": TokenProblem.UNKNOWN,
        "expired": TokenProblem.EXPIRED,
        "revoked": TokenProblem.REVOKED,
    }


async def test_a_token_that_replaces_another_keeps_its_runs(service: TokenService) -> None:
    first, _ = await service.create(NewToken(name="ci", role=Role.RUNNER), by=SYSTEM)
    with pytest.raises(TokenExists):
        await service.create(NewToken(name="ci", role=Role.VIEWER), by=SYSTEM)
    await service.revoke("ci", by=SYSTEM)

    second, _ = await service.create(NewToken(name="ci", role=Role.RUNNER), by=SYSTEM)

    assert second.id != first.id
    assert second.user_id == first.user_id is not None
    with pytest.raises(TokenNotFound):
        await service.revoke("nobody", by=SYSTEM)


async def test_only_an_admin_makes_tokens_and_the_audit_tells(
    service: TokenService, database: Database
) -> None:
    operator = Actor(role=Role.OPERATOR, origin=Origin.SLACK, name="Ana")
    with pytest.raises(NotAllowed):
        await service.create(NewToken(name="ci", role=Role.ADMIN), by=operator)
    await service.create(NewToken(name="ci", role=Role.RUNNER), by=SYSTEM)
    await service.revoke("ci", by=SYSTEM)

    async with database.sessions() as session:
        revoked, created, refused = await audit.recent(session, 10)
    assert (refused.allowed, refused.actor.name) == (False, "Ana")
    assert created.details == {"created_token": "ci", "role": "runner", "slack_user_id": None}
    assert revoked.details == {"revoked_token": "ci"}


@pytest.mark.sampled(2, group="programs")
async def test_the_whole_program_prints_nothing_but_the_token(
    postgres_dsn: str, service: TokenService, tmp_path: Path
) -> None:
    async def run(*arguments: str) -> tuple[int | None, str, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "bot", "token", *arguments),
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "DATABASE_URL": postgres_dsn,
                "SIGNALBOX_HOME": str(tmp_path / "home"),
            },
            cwd=Path(__file__).parents[2],
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with limit(30):
            out, problems = await process.communicate()
        return process.returncode, out.decode(), problems.decode()

    code, out, _ = await run("create", "ci", "--role", "viewer")
    wrong, nothing, why = await run("create", "ci", "--role", "boss")
    listed, table, _ = await run("list")
    again, _, conflict = await run("create", "ci", "--role", "viewer")
    revoked, _, _ = await run("revoke", "ci")

    token = await service.list_all(by=SYSTEM)
    assert (code, listed, revoked) == (0, 0, 0)
    assert (wrong, again) == (2, 2)
    assert out.count("\n") == 1
    assert nothing == ""
    assert "viewer, runner, operator and admin" in why
    assert "token revoke ci" in conflict
    assert "viewer" in table
    assert [one.name for one in token] == ["ci"]
    assert token[0].revoked_at is not None


@pytest.mark.parametrize(
    ("field", "request_"),
    [
        ("name", NewToken(name="", role=Role.VIEWER)),
        ("name", NewToken(name="a b", role=Role.VIEWER)),
        ("name", NewToken(name="a\x00", role=Role.VIEWER)),
        ("role", NewToken(name="a")),
        ("role", NewToken(name="a", role=Role.NONE)),
        ("user", NewToken(name="a", slack_user_id="ana")),
        ("expires", NewToken(name="a", role=Role.VIEWER, lifetime=timedelta(0))),
        ("expires", NewToken(name="a", role=Role.VIEWER, lifetime=timedelta(days=4000))),
    ],
)
def test_a_wrong_request_names_what_is_wrong(field: str, request_: NewToken) -> None:
    with pytest.raises(BadToken) as refusal:
        request_.check()

    assert refusal.value.field == field


def test_roles_and_durations_are_read_as_people_write_them() -> None:
    assert [role_named(name) for name in ("Operator", "boss")] == [Role.OPERATOR, Role.NONE]
    assert [lifetime_of(one) for one in ("90d", "12h", "2w")] == [
        timedelta(days=90),
        timedelta(hours=12),
        timedelta(weeks=2),
    ]
    assert lifetime_of("999999999w") > timedelta(days=4000)
    for wrong in ("", "90", "-1d", "1y", "1.5h", "٣d"):
        with pytest.raises(BadToken):
            lifetime_of(wrong)


async def test_the_program_prints_a_new_token_alone_on_standard_output(
    postgres_dsn: str,
    service: TokenService,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = load_settings(DATABASE_URL=postgres_dsn, SIGNALBOX_HOME=tmp_path)

    await run_create(settings, name="ci", role="operator", expires="90d", user="U024BE7LH")
    made = capsys.readouterr()
    await run_list(settings, as_json=True)
    listed = json.loads(capsys.readouterr().out)
    await run_list(settings, as_json=False)
    table = capsys.readouterr().out
    await run_revoke(settings, name="ci")
    await run_list(settings, as_json=False)
    after = capsys.readouterr().out

    assert made.out.startswith("sbx_")
    assert made.out.count("\n") == 1
    assert "only once" in made.err
    assert made.out.strip() not in made.err + json.dumps(listed) + table
    assert listed[0]["role"] == "operator"
    assert listed[0]["user"] == "U024BE7LH"
    assert listed[0]["state"] == "valid"
    assert "ci" in table
    assert "revoked" in after
    with pytest.raises(TokenRefused):
        await service.authenticate(made.out.strip())


async def test_a_kept_token_is_replaced_only_when_it_is_not_valid_any_more(
    service: TokenService, database: Database
) -> None:
    wanted = NewToken(name="ada-laptop-1", role=Role.OPERATOR)
    first = await service.keep_or_replace(wanted, secret=None, by=SYSTEM)
    owner = (await service.authenticate(first)).user_id

    kept = await service.keep_or_replace(wanted, secret=first, by=SYSTEM)
    lost = await service.keep_or_replace(wanted, secret=None, by=SYSTEM)
    await service.revoke(wanted.name, by=SYSTEM)
    revoked = await service.keep_or_replace(wanted, secret=lost, by=SYSTEM)

    assert kept == first
    assert len({first, lost, revoked}) == 3
    assert (await service.authenticate(revoked)).user_id == owner
    for old in (first, lost):
        with pytest.raises(TokenRefused, match="revoked"):
            await service.authenticate(old)
    async with database.sessions() as session:
        trail = [entry.details for entry in await audit.recent(session, 10)]
    assert sum("created_token" in details for details in trail) == 3
    assert sum("revoked_token" in details for details in trail) == 2


async def test_a_kept_token_never_stands_in_for_another_one(service: TokenService) -> None:
    _, others = await service.create(NewToken(name="ci", role=Role.ADMIN), by=SYSTEM)

    own = await service.keep_or_replace(
        NewToken(name="ada-laptop-1", role=Role.OPERATOR), secret=others, by=SYSTEM
    )

    assert own != others
    assert (await service.authenticate(own)).role is Role.OPERATOR
    assert (await service.authenticate(others)).name == "ci"
