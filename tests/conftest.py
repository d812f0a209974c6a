"""Set-up of all tests: an isolated environment, and a Postgres on request.

The environment is cleaned before any test module is imported, so that neither a test nor a
process that it starts can reach a real Slack, a real model or a user's database.
"""

from __future__ import annotations

import gc
import os

import pytest
from hypothesis import settings

from tests.database import database, postgres_dsn

__all__ = ["database", "postgres_dsn"]

_PREFIXES = ("ANTHROPIC_", "AWS_", "CLAUDE", "GIT_", "GOOGLE_", "PG", "SIGNALBOX_", "SLACK_")
_NAMES = {
    "ALL_PROXY",
    "DATABASE_URL",
    "FTP_PROXY",
    "GITHUB_TOKEN",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "OPENAI_API_KEY",
    "SSH_AUTH_SOCK",
}


def _scrub() -> None:
    for name in list(os.environ):
        if name.upper().startswith(_PREFIXES) or name.upper() in _NAMES:
            del os.environ[name]
    # The machine's own git configuration must not influence a test.
    os.environ["GIT_CONFIG_GLOBAL"] = os.devnull
    os.environ["GIT_CONFIG_NOSYSTEM"] = "1"
    os.environ["GIT_TERMINAL_PROMPT"] = "0"


_scrub()

# No deadline: on a busy machine an example may take long.
settings.register_profile("signalbox", deadline=None)
settings.load_profile("signalbox")


# Seconds, for tests that wait long by design; the limit of the others is in pyproject.toml.
SLOW_TIMEOUT = 1200
# So many of the test processes begin with tests that use the CPU, not with tests that wait.
WORKING_PROCESSES = 3


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that mostly wait, and keep those of the browser in one process.

    With `--dist worksteal` each process gets an equal share of the list, and takes tests from
    the ends of other shares when it has finished its own.  So the first shares begin with the
    tests that wait, and the last one with those of the browser, which takes seconds to start.
    All other tests stay in random order.
    """
    slow = [item for item in items if item.get_closest_marker("slow")]
    browser = [item for item in items if "browser" in item.path.parts and item not in slow]
    placed_first = {*slow, *browser}
    others = [item for item in items if item not in placed_first]
    for item in slow:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT))
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    waiting = max(processes - WORKING_PROCESSES, 1)
    beginnings = [slow[number::waiting] for number in range(waiting)]
    beginnings += [[] for _ in range(processes - waiting)]
    beginnings[-1] = [*beginnings[-1], *browser]
    share, rest = divmod(len(items), processes)
    items.clear()
    for number, beginning in enumerate(beginnings):
        # The last shares get the remainder of the division.
        free_count = share + (number >= processes - rest) - len(beginning)
        items += [*beginning, *others[: max(free_count, 0)]]
        del others[: max(free_count, 0)]
    items += others


def pytest_collection_finish() -> None:
    """Exempt half a million long-lived objects of modules and tests from garbage collection."""
    gc.collect()
    gc.freeze()
