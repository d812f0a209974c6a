"""The rescue service of another machine, without a worker."""

from __future__ import annotations

from pathlib import Path

from core.runner.execution.ledgers.ledger import Ledger
from core.runner.recovery.clean_up import Cleaner
from core.runner.recovery.interrupted_kills import InterruptedKills
from core.runner.recovery.lost_jobs import LostJobs
from core.runner.recovery.rescue import Rescue

# Its own disk is empty.
_MISSING_DIR = Path("/nonexistent/far-away")


def rescuer(ledger: Ledger) -> Rescue:
    """A rescue service that writes with this ledger."""
    return Rescue(ledger, InterruptedKills(ledger, Cleaner(_MISSING_DIR)))


def job_rescuer(ledger: Ledger) -> LostJobs:
    """Its replacement of lost jobs."""
    return LostJobs(ledger, rescuer(ledger).kills)
