"""Isolation for tests that launch agents without a worker: as the machine offers it."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

import pytest

from bot.assembly.settings import Settings
from bot.assembly.worker_runtime import find_agent_isolation
from core.agent.process.isolation import Isolation
from core.agent.process.isolation_probe import FoundIsolation, find_isolation
from core.domain.isolation import IsolationMode


@cache
def found_isolation() -> FoundIsolation:
    """What this machine offers; tried out once."""
    with tempfile.TemporaryDirectory() as folder:
        return find_isolation(
            IsolationMode.AUTO,
            home=Path(folder),
            real_homes=(Path.home(),),
            search_path=os.environ["PATH"],
        )


_tried: dict[tuple[object, ...], FoundIsolation] = {}


def isolation_for(settings: Settings) -> FoundIsolation:
    """What this machine offers a worker with these settings; tried out once for all like them.

    Blocking.  It takes half of the CPU time in which a worker starts, to search toolchains.
    """
    agent = settings.config.agent
    home, path = settings.agent.user_home, settings.agent.search_path
    key = (agent.isolation, agent.share, home, path)
    if key not in _tried:
        _tried[key] = find_agent_isolation(settings)
    return _tried[key]


def isolation() -> Isolation:
    """How to isolate agents here; skips the test where that is impossible."""
    found = found_isolation()
    if found.isolation is None:
        pytest.skip(f"agents cannot be isolated here: {found.status.detail}")
    return found.isolation
