"""What programs are answered about a run: the HTTP API, and the command line.

To compare another surface, add a function to `SURFACES` that returns the same JSON, or to
`SAMPLED` if an answer of it takes long.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
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


async def by_command(api: ApiHarness, token: str, run_id: str) -> Status:
    """What `signalbox status --json` prints; no command has the changes of a run."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "status", "--json", run_id),
        env={**os.environ, "SIGNALBOX_URL": f"http://{api.host}", "SIGNALBOX_TOKEN": token},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    changes = (await over_http(api, token, run_id)).changes
    return Status(status=json.loads(printed), changes=changes)


SURFACES: Mapping[str, Read] = {"API": over_http}
# Asked about one run in `_SAMPLE`: the start of a process takes most of a second of a processor.
SAMPLED: Mapping[str, Read] = {"command line": by_command}
_SAMPLE = 25


async def answers_about(
    api: ApiHarness, token: str, run_id: str, *, number: int
) -> dict[str, Status]:
    """What the surfaces answer about a run, by name.

    Args:
        api: The server.
        token: A viewer's.
        run_id: The run.
        number: Of the runs that were asked about before.
    """
    asked = {**SURFACES, **(SAMPLED if number % _SAMPLE == 0 else {})}
    return {name: await read(api, token, run_id) for name, read in asked.items()}
