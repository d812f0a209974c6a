"""`signalbox token …`: API tokens, made and revoked directly in the database."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import typer

from bot.assembly.backend import open_dsn, require_current_schema, utc_now
from bot.assembly.settings import Settings
from core.domain.actor import Actor, Origin, Role
from core.domain.token import ApiToken, BadToken, NewToken
from core.services.context import ServiceContext
from core.services.tokens import TokenService
from core.store.database.engine import open_database, translate_errors

# Everybody who has the database's address may do everything with it.
OPERATOR_OF_THE_MACHINE = Actor(role=Role.ADMIN, origin=Origin.CLI, name="the command line")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"([0-9]{1,9})([smhdw])")
_HEADERS = ("NAME", "ROLE", "USER", "STATE", "CREATED", "EXPIRES", "LAST USED")


async def run_create(
    settings: Settings, *, name: str, role: str | None, expires: str | None, user: str | None
) -> None:
    """Make a token and print it, alone on standard output; the rest goes to standard error.

    Raises:
        BadToken: If a value is not allowed.
        TokenExists: If a token that is not revoked has this name.
        SchemaBehind, SchemaTooNew: If the database's schema is not this program's.
        Unavailable: If it cannot be reached.
    """
    request = NewToken(
        name=name,
        role=None if role is None else role_named(role),
        slack_user_id=user,
        lifetime=None if expires is None else lifetime_of(expires),
    )
    request.check()
    async with _service(settings) as service:
        token, secret = await service.create(request, by=OPERATOR_OF_THE_MACHINE)
    until = "does not expire" if token.expires_at is None else f"expires {_day(token.expires_at)}"
    typer.echo(f"Token {token.name} {until}. It is shown only once.", err=True)
    typer.echo(secret)


async def run_list(settings: Settings, *, as_json: bool) -> None:
    """Print the tokens, newest first, as a table or as JSON.

    Raises:
        SchemaBehind, SchemaTooNew: If the database's schema is not this program's.
        Unavailable: If it cannot be reached.
    """
    async with _service(settings) as service:
        found = await service.list_all(by=OPERATOR_OF_THE_MACHINE)
    now = utc_now()
    if as_json:
        typer.echo(json.dumps([_json(token, now) for token in found], indent=2))
    else:
        typer.echo(_table(found, now))


async def run_revoke(settings: Settings, *, name: str) -> None:
    """Revoke a token.

    Raises:
        TokenNotFound: If no token that is not revoked has this name.
        SchemaBehind, SchemaTooNew: If the database's schema is not this program's.
        Unavailable: If it cannot be reached.
    """
    async with _service(settings) as service:
        token = await service.revoke(name, by=OPERATOR_OF_THE_MACHINE)
    typer.echo(f"Token {token.name} is revoked.")


def role_named(text: str) -> Role:
    """The role with this name; `NONE`, which no token can have, if there is none."""
    name = text.strip().upper()
    # `NewToken.check` refuses `NONE`, and any other text is no better.
    return Role.__members__.get(name, Role.NONE)


def lifetime_of(text: str) -> timedelta:
    """Read a duration: `90d`, `12h`, `30m`, `2w`.

    Raises:
        BadToken: If it is none.
    """
    found = _DURATION.fullmatch(text.strip().lower())
    if found is None:
        raise BadToken("expires", f"`{text[:40]}` is no duration; write it like `90d` or `12h`.")
    seconds = int(found[1]) * _UNITS[found[2]]
    # What is far too long for a `timedelta` is refused with what is too long for a token.
    return timedelta(seconds=min(seconds, 10**10))


@asynccontextmanager
async def _service(settings: Settings) -> AsyncIterator[TokenService]:
    async with open_dsn(settings) as dsn, open_database(dsn, pool_size=1) as database:
        with translate_errors():
            await require_current_schema(database)
        yield TokenService(ServiceContext(database, utc_now))


def _state(token: ApiToken, now: datetime) -> str:
    problem = token.problem(now)
    return "valid" if problem is None else problem.value


def _json(token: ApiToken, now: datetime) -> dict[str, object]:
    return {
        "name": token.name,
        "role": None if token.role is None else token.role.name.lower(),
        "user": token.slack_user_id,
        "state": _state(token, now),
        "created_at": token.created_at.isoformat(),
        "expires_at": _iso(token.expires_at),
        "revoked_at": _iso(token.revoked_at),
        "last_used_at": _iso(token.last_used_at),
    }


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _day(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M}"


def _table(found: Sequence[ApiToken], now: datetime) -> str:
    if not found:
        return "There is no token."
    rows = [_HEADERS, *(_row(token, now) for token in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADERS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _row(token: ApiToken, now: datetime) -> tuple[str, ...]:
    return (
        token.name,
        "-" if token.role is None else token.role.name.lower(),
        token.slack_user_id or "-",
        _state(token, now),
        _day(token.created_at),
        _day(token.expires_at),
        _day(token.last_used_at),
    )
