"""The look-out of a worker on another machine, without the worker."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from core.runner.execution.ledger import Ledger
from core.runner.recovery.clean_up import Clearing
from core.runner.recovery.interrupted_kills import Kills
from core.runner.recovery.rescue import Rescue
from core.workspace.workspaces import Workspaces

# There is nothing of its own on its disk.
_NOWHERE = Path("/nonexistent/far-away")


def rescuer(ledger: Ledger) -> Rescue:
    """A look-out that writes with this ledger."""
    workspaces = Workspaces(_NOWHERE, git_timeout=timedelta(seconds=5))
    return Rescue(ledger, Kills(ledger, workspaces, Clearing(_NOWHERE)))
