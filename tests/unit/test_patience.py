"""How long a start waits for its database."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from bot.assembly.backend import SchemaBehind
from bot.assembly.database_wait import DatabaseWait
from bot.assembly.settings import BadSetting
from core.store.database.engine import DatabaseUnavailable


async def test_a_database_that_answers_late_is_waited_for() -> None:
    asked = 0

    async def answers_late() -> str:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise ConnectionRefusedError
        return "here"

    assert await DatabaseWait(timedelta(minutes=1)).retry_until_reachable(answers_late) == "here"
    assert asked == 3


async def test_what_waiting_does_not_mend_is_raised_at_once() -> None:
    async def is_refused() -> None:
        raise DatabaseUnavailable("password authentication failed", sqlstate="28P01")

    async def is_behind() -> None:
        raise SchemaBehind

    patience = DatabaseWait(timedelta(minutes=1))
    with pytest.raises(BadSetting, match=r"DATABASE_URL.*password"):
        await patience.retry_until_reachable(is_refused)
    with pytest.raises(SchemaBehind):
        await patience.retry_until_reachable(is_behind)


async def test_it_ends_at_its_limit_and_when_it_is_called_off() -> None:
    async def ask() -> None:
        raise ConnectionRefusedError

    called_off = asyncio.Event()
    called_off.set()

    for patience in (DatabaseWait(), DatabaseWait(timedelta(minutes=1), called_off)):
        with pytest.raises(DatabaseUnavailable):
            await patience.retry_until_reachable(ask)
