"""The keys of the advisory locks for which processes compete.

The keys are arbitrary constants with a common prefix, so that no other program in the same
database uses them.  A lock for one row among many (a transcript) has a 64-bit hash as its key,
which equals one of these with a probability of 1 in 2^62.
"""

from __future__ import annotations

from enum import IntEnum


class AdvisoryLock(IntEnum):
    """The work that only one process, or one transaction, may do at a time."""

    MIGRATION = 0x5167_0000
    """Migration: of several processes that start together, one migrates."""

    DRAWER = 0x5167_0001
    """Drawing in Slack; held by a bot as long as it leads."""

    SCHEDULER = 0x5167_0002
    """Running the clock; held by a process as long as it leads."""

    ADMISSION = 0x5167_0003
    """Admission of runs under caps; held until the transaction ends."""

    ALERTS = 0x5167_0004
    """Evaluation of alerts; held until the transaction ends."""

    ANALYTICS = 0x5167_0005
    """Computing a day of the history; held until the transaction ends."""
