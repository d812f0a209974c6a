"""The time that a start waits for its database."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from bot.assembly.backend import SchemaBehind
from bot.assembly.config.bad_setting import BadSetting
from bot.assembly.database_wait import DatabaseWait
from core.store.database.engine import DatabaseUnavailable


async def test_a_start_waits_for_a_late_database() -> None:
    tries = 0

    async def answers_late() -> str:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ConnectionRefusedError
        return "here"

    assert await DatabaseWait(timedelta(minutes=1)).retry_until_reachable(answers_late) == "here"
    assert tries == 3


async def test_a_permanent_error_is_raised_at_once() -> None:
    async def is_refused() -> None:
        raise DatabaseUnavailable("password authentication failed", sqlstate="28P01")

    async def is_behind() -> None:
        raise SchemaBehind

    patience = DatabaseWait(timedelta(minutes=1))
    with pytest.raises(BadSetting, match=r"DATABASE_URL.*password"):
        await patience.retry_until_reachable(is_refused)
    with pytest.raises(SchemaBehind):
        await patience.retry_until_reachable(is_behind)


async def test_the_wait_ends_at_its_limit_and_on_a_stop() -> None:
    async def ask() -> None:
        raise ConnectionRefusedError

    called_off = asyncio.Event()
    called_off.set()

    for patience in (DatabaseWait(), DatabaseWait(timedelta(minutes=1), called_off)):
        with pytest.raises(DatabaseUnavailable):
            await patience.retry_until_reachable(ask)
