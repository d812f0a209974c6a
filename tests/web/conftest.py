"""Tests here talk to the HTTP API: they request the fixture `api`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from core.store.database.engine import Database
from tests.api import ApiHarness, open_api


@pytest.fixture
async def api(database: Database) -> AsyncIterator[ApiHarness]:
    """A running API on an empty database."""
    async with open_api(database) as harness:
        yield harness
