"""Limits of waits in tests.

A wait ends when its condition holds; its limit only ends a test that can no longer pass.  Machines
differ in speed by an order of magnitude, and a busy one pauses for seconds, so the limits in the
tests are those of an idle machine, and are multiplied here.
"""

from __future__ import annotations

import asyncio

# A shared virtual machine was seen to start `claude` 10 times slower than an idle one.
_SLOWEST = 8


def patient(seconds: float) -> float:
    """A limit for the slowest machine, from one for an idle machine; both in seconds."""
    return seconds * _SLOWEST


def limit(seconds: float) -> asyncio.Timeout:
    """`asyncio.timeout` for the slowest machine, from a limit for an idle one."""
    return asyncio.timeout(patient(seconds))
