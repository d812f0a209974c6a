"""What holds for all tests: an environment that leads nowhere, and a Postgres on request.

The environment is cleaned before any test module is imported, so that no test, and no
process that a test starts, reaches a real Slack, a real model or somebody's database.
"""

from __future__ import annotations

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
PATIENT_TIMEOUT = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that mostly wait: two processes wait while the others work.

    Among themselves both kinds stay in the random order.  With `--dist worksteal` each process
    gets an equal share of the list, and takes of the others' when it has done its own.
    """
    patient = [item for item in items if item.get_closest_marker("patient")]
    for item in patient:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(PATIENT_TIMEOUT))
    others = [item for item in items if not item.get_closest_marker("patient")]
    middle = len(items) // 2 - len(patient[::2])
    items[:] = [*patient[::2], *others[:middle], *patient[1::2], *others[middle:]]
