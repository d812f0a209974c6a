"""The keys of the advisory locks that whole processes compete for.

Each key is any constant that no other program in the same database uses; the common first half
is ours.  A lock for one row among many (a transcript) takes a 64-bit hash as its key instead,
which meets one of these with a chance of 1 in 2^62.
"""

from __future__ import annotations

from enum import IntEnum


class AdvisoryLock(IntEnum):
    """What only one process, or one transaction, does at a time."""

    MIGRATION = 0x5167_0000
    """Migrating: two processes that start together do not both do it."""

    DRAWER = 0x5167_0001
    """Drawing in Slack; held by a bot for as long as it leads."""

    SCHEDULER = 0x5167_0002
    """Keeping the clock; held by a process for as long as it leads."""

    ADMISSION = 0x5167_0003
    """Admitting runs under caps; held until the transaction ends."""
