"""What programs are answered about a run: the HTTP API.

To compare another surface, add a function to `SURFACES` that returns the same JSON.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.api import CONSOLE, ApiHarness


@dataclass(frozen=True, kw_only=True)
class Status:
    """The JSON of a run's status, and that of its changes."""

    status: Mapping[str, Any]
    changes: Mapping[str, Any]


Read = Callable[[ApiHarness, str, str], Awaitable[Status]]


async def over_http(api: ApiHarness, token: str, run_id: str) -> Status:
    """What the API answers."""
    status = await api.get(f"{CONSOLE}/run/{run_id}/status", token)
    changes = await api.get(f"{CONSOLE}/run/{run_id}/diff", token)
    assert (status.status, changes.status) == (200, 200), (status.text, changes.text)
    return Status(status=status.body, changes=changes.body)


SURFACES: Mapping[str, Read] = {"API": over_http}
