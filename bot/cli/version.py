"""`signalbox --version`."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from core.agent.version import program_version


def version_line() -> str:
    """The versions that a report of a fault needs: Signalbox's, the agent program's, Python's."""
    try:
        own = version("signalbox")
    except PackageNotFoundError:
        own = "(not installed)"
    agent = program_version() or "that does not run"
    return f"signalbox {own} (claude {agent}, Python {platform.python_version()})"
