"""A campaign against the HTTP API: thousands of requests that its own document describes.

Real HTTP over loopback, a real Postgres, and runs of several states in it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from core.domain.actor import Role
from core.domain.runs.run import StopReason
from core.store.runs import runs
from tests.alerts.world import AlertWorld, fired_alert
from tests.api import ApiHarness
from tests.database import NOW, running_run, stored_run
from tests.error_log import watched_log
from tests.worker_rows import reported_worker
from tests.workspace_rows import reported_workspace

_ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Outcome:
    """What became of a campaign.

    Attributes:
        client: The client's own account, see `Result` of `tests.api_fuzz.client`.
        errors: Log records of errors, and all with a traceback.
    """

    client: dict[str, Any] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing failed."""
        return not self.client["failed"] and not self.errors

    def lines(self) -> list[str]:
        """The figures, and the first of what failed."""
        statuses = ", ".join(
            f"{status}: {count}" for status, count in sorted(self.client["statuses"].items())
        )
        return [
            f"{self.client['cases']} requests to {len(self.client['by_operation'])} operations",
            f"answers by status: {statuses}",
            f"server errors, undocumented statuses, broken schemas: {self.client['failed']}",
            *self.client["failures"],
            f"errors and tracebacks in the log: {len(self.errors)}",
            *self.errors[:20],
        ]


async def run_campaign(api: ApiHarness, *, count: int, seed: int) -> Outcome:
    """Send `count` requests; the same seed on an empty database makes the same ones."""
    outcome = Outcome()
    order = {
        "url": f"http://{api.host}",
        "token": await api.token(role=Role.ADMIN),
        "known": await _known_values(api),
        "count": count,
        "seed": seed,
    }
    with watched_log(outcome.errors):
        client = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.api_fuzz.client",
            cwd=_ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, problems = await client.communicate(json.dumps(order).encode())
        finally:
            if client.returncode is None:
                client.kill()
                await client.wait()
    assert client.returncode == 0, problems.decode(errors="replace")
    # What the library prints comes before.
    outcome.client = json.loads(out.splitlines()[-1])
    return outcome


async def _known_values(api: ApiHarness) -> dict[str, list[str]]:
    """Runs of several states, and what names them."""
    pending = await stored_run(api.database)
    live = await running_run(api.database)
    ended = await running_run(api.database)
    async with api.database.sessions.begin() as session:
        await runs.finish(
            session,
            ended.run_id,
            attempt=1,
            stop_reason=StopReason.MAX_TURNS,
            now=NOW + timedelta(minutes=1),
            result="Half of it is done.",
        )
    made = (pending, live, ended)
    world = AlertWorld(api.database)
    subscribed = await world.subscribe("C0123ABCD")
    return {
        "run_id": [one.run_id for one in made],
        "session_id": [str(one.session_id) for one in made],
        "workflow_name": ["fix", "builder"],
        "alert_id": [str(await fired_alert(api.database))],
        "subscription_id": [str(subscribed.id)],
        "workspace_id": [await reported_workspace(api.database)],
        "worker_id": [await reported_worker(api.database)],
        "channel": [subscribed.channel_id],
    }
