"""What holds for all tests: an environment that leads nowhere, and a Postgres on request.

The environment is cleaned before any test module is imported, so that no test, and no
process that a test starts, reaches a real Slack, a real model or somebody's database.
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
    # The machine's own git configuration must not decide a test.
    os.environ["GIT_CONFIG_GLOBAL"] = os.devnull
    os.environ["GIT_CONFIG_NOSYSTEM"] = "1"
    os.environ["GIT_TERMINAL_PROMPT"] = "0"


_scrub()

# On a busy machine an example takes as long as it takes.
settings.register_profile("signalbox", deadline=None)
settings.load_profile("signalbox")


# For what waits long by its nature, in seconds; the others have the limit of pyproject.toml.
SLOW_TIMEOUT = 300
# Of the processes that run tests, so many begin with those that work and not with those that wait.
WORKING_PROCESSES = 3


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that mostly wait, and leave those of the browser to one process.

    With `--dist worksteal` each process gets an equal share of the list, and takes of the ends of
    the others' when it has done its own.  So shares have their beginnings: of the first ones the
    tests that wait, of the last one those of the browser, which takes seconds to start.  All else
    stays in the random order.
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
        # The last ones get what does not divide.
        free_count = share + (number >= processes - rest) - len(beginning)
        items += [*beginning, *others[: max(free_count, 0)]]
        del others[: max(free_count, 0)]
    items += others


def pytest_collection_finish() -> None:
    """Spare the collector what stays to the end: half a million objects of modules and tests."""
    gc.collect()
    gc.freeze()
