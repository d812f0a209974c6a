"""How many streams and waits may be open at a time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class StreamLimits:
    """How many streams and waits may be open.

    Attributes:
        total: In this process.
        per_token: Of one token, in this process.
    """

    total: int = 1000
    per_token: int = 100
