"""Set-up of all tests: an isolated environment, and a Postgres on request.

The environment is cleaned before any test module is imported, so that neither a test nor a
process that it starts can reach a real Slack, a real model or a user's database.
"""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from tests.database import database, postgres_dsn
from tests.machine_speed import ENOUGH, processor_share
from tests.sampling import drawn
from tests.search_path import FULL_VARIABLE, system_path
from tests.statement_cache import share_statements
from tests.transports import transport

__all__ = ["database", "postgres_dsn", "transport"]

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
    os.environ[FULL_VARIABLE] = os.environ.get(FULL_VARIABLE, os.environ["PATH"])
    os.environ["PATH"] = system_path(os.environ[FULL_VARIABLE])


def _heed_interrupts() -> None:
    """Undo that an interrupt is ignored, which every program that a test starts would inherit.

    It is in what a shell without job control starts in the background.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


_scrub()
_heed_interrupts()
share_statements()

# The share of a processor, for the processes of the tests; set only with `--fit-machine`.
_SHARE_VARIABLE = "TESTS_PROCESSOR_SHARE"
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ.pop(_SHARE_VARIABLE, None)


def _share() -> float | None:
    share = os.environ.get(_SHARE_VARIABLE)
    return None if share is None else float(share)


def _is_slow_machine() -> bool:
    share = _share()
    return share is not None and share < ENOUGH


# No deadline: on a busy machine an example may take long.  Each run draws other examples, so that
# many short runs find what one long run does.
settings.register_profile("signalbox", deadline=None, max_examples=30)
settings.register_profile("slow machine", deadline=None, max_examples=20)
# `make test ARGS=--hypothesis-profile=thorough`
settings.register_profile("thorough", deadline=None, max_examples=2000)
settings.load_profile("slow machine" if _is_slow_machine() else "signalbox")


# Seconds, for tests that wait long by design; the limit of the others is in pyproject.toml.
SLOW_TIMEOUT = 1200
# So many of the test processes begin with tests that use the CPU, not with tests that wait.
WORKING_PROCESSES = 3


# Folders whose tests need a machine at full speed, unless they are marked `any_speed`.
_FULL_SPEED = ("browser", "db", "faults", "flows")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of `make test`."""
    parser.addoption(
        "--fit-machine",
        action="store_true",
        help="skip tests that need full speed if this machine gives less than half a processor",
    )
    parser.addoption(
        "--sample",
        action="store_true",
        help="of the tests that cost most run some, which the seed of the random order draws",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Measure the machine once, before the processes of the tests start."""
    if config.getoption("--fit-machine") and "PYTEST_XDIST_WORKER" not in os.environ:
        os.environ[_SHARE_VARIABLE] = f"{processor_share():.3f}"


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers() -> int:
    """For two cores: tests wait much, so five processes use them better than two.

    Each of them loads all tests, which a slow machine feels.
    """
    return 3 if _is_slow_machine() else 5


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what this machine gives, and what is left out."""
    lines = []
    if config.getoption("--sample"):
        lines.append("of the tests that cost most some are run; `make test-all` runs every one")
    share = _share()
    if share is not None:
        found = f"this machine gives {share:.0%} of a processor"
        is_enough = share >= ENOUGH
        lines.append(found if is_enough else f"{found}: tests that need full speed are SKIPPED")
    return lines


def _skip_what_needs_full_speed(items: list[pytest.Item]) -> None:
    if not _is_slow_machine():
        return
    skipping = pytest.mark.skip(reason="needs a machine at full speed (--fit-machine)")
    root = Path(__file__).parent
    for item in items:
        in_folder = item.path.relative_to(root).parts[0] in _FULL_SPEED
        is_timed = any(item.get_closest_marker(name) for name in ("slow", "full_speed"))
        needs_speed = in_folder or is_timed
        if needs_speed and item.get_closest_marker("any_speed") is None:
            item.add_marker(skipping)


def _take_sample(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--sample"):
        return
    # Without the plugin there is no seed.
    seed = config.getoption("randomly_seed", 0)
    chosen = drawn(items, seed)
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in chosen])
    items[:] = [item for item in items if item.nodeid in chosen]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the tests that mostly wait, and keep those of the browser in one process.

    With `--dist worksteal` each process gets an equal share of the list, and takes tests from
    the ends of other shares when it has finished its own.  So the first shares begin with the
    tests that wait, and the last one with those of the browser, which takes seconds to start.
    All other tests stay in random order.
    """
    _take_sample(config, items)
    _skip_what_needs_full_speed(items)
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
