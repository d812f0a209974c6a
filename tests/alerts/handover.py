"""Two bots' clocks, of which the leader is killed at random moments: nothing is lost or doubled.

`python -m tests.alerts.handover --kills 100` is the long form of `test_handover`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
import tempfile
from asyncio.subprocess import Process
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text

from core.domain.alerts.kinds import AlertKind
from core.domain.runs.run import StopReason
from core.store.database.embedded.server import embedded_postgres
from core.store.database.engine import Database, open_database
from core.store.database.schema import upgrade_if_behind
from tests.alerts.clock_process import utc_now
from tests.alerts.world import AlertWorld
from tests.limits import limit

BOTS = 2
# Firings and ends of runs for each kill, so that there is work at any moment.
FIRINGS_PER_KILL = 4
ENDS_PER_KILL = 2
_MAX_PAUSE = 1.2
_CREATE = """
CREATE TABLE handover_firings (
    number INTEGER PRIMARY KEY, due_at TIMESTAMPTZ NOT NULL, times INTEGER NOT NULL DEFAULT 0,
    done_by TEXT
)
"""


@dataclass(frozen=True, kw_only=True)
class HandOver:
    """What came of a campaign.

    Attributes:
        kills: How many leaders were killed.
        leaders: How many processes led in turn.
        fired: How often each firing was executed.
        told: How often each run's alert was told.
    """

    kills: int
    leaders: int
    fired: list[int]
    told: dict[str, int]

    @property
    def problems(self) -> list[str]:
        """What was lost or doubled."""
        return [
            *(f"firing {n}: {times} times" for n, times in enumerate(self.fired) if times != 1),
            *(f"alert of {run}: {times} times" for run, times in self.told.items() if times != 1),
        ]


@dataclass
class Campaign:
    """Bots on one database, and what is done to them."""

    database: Database
    kills: int
    seed: int = 1
    bots: dict[str, Process] = field(default_factory=dict)
    started: int = 0

    async def execute(self) -> HandOver:
        """Kill leaders, and look at what became of everything."""
        async with self.database.sessions.begin() as session:
            await session.execute(text(_CREATE))
        try:
            async with AsyncExitStack() as stack:
                stack.push_async_callback(self._stop)
                return await self._execute()
        finally:
            async with self.database.sessions.begin() as session:
                await session.execute(text("DROP TABLE handover_firings"))

    async def _execute(self) -> HandOver:
        chance = random.Random(self.seed)
        world = AlertWorld(self.database)
        world.now = utc_now()
        await world.subscribe(kinds=frozenset({AlertKind.FAILED}))
        firings, ended = 0, list[str]()
        for _ in range(BOTS):
            await self._start()
        for _ in range(self.kills):
            await self._add_firings(firings, chance)
            firings += FIRINGS_PER_KILL
            for _ in range(ENDS_PER_KILL):
                world.now = utc_now()
                run = await world.ended_run(StopReason.AGENT_ERROR)
                ended.append(run.run_id)
                await asyncio.sleep(chance.random() * _MAX_PAUSE / (ENDS_PER_KILL + 1))
            leader = await self._leader()
            await asyncio.sleep(chance.random() * _MAX_PAUSE / (ENDS_PER_KILL + 1))
            await self._kill(leader)
            await self._start()
        await self._wait_until_done(world, ended)
        return await self._result(ended)

    async def _start(self) -> None:
        self.started += 1
        name = f"bot-{self.started}"
        self.bots[name] = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.alerts.clock_process", self.database.dsn, name
        )

    async def _kill(self, name: str) -> None:
        process = self.bots.pop(name)
        process.send_signal(signal.SIGKILL)
        await process.wait()

    async def _stop(self) -> None:
        for name in list(self.bots):
            await self._kill(name)

    async def _add_firings(self, first: int, chance: random.Random) -> None:
        """Add firings that become due while the next leader is killed."""
        async with self.database.sessions.begin() as session:
            for number in range(first, first + FIRINGS_PER_KILL):
                due_at = utc_now() + timedelta(seconds=chance.random() * _MAX_PAUSE)
                await session.execute(
                    text("INSERT INTO handover_firings (number, due_at) VALUES (:n, :due)"),
                    {"n": number, "due": due_at},
                )

    async def _leader(self) -> str:
        """The process that executed the newest firing, once it is one of those that live."""
        query = text(
            "SELECT done_by FROM handover_firings WHERE done_by IS NOT NULL"
            " ORDER BY number DESC LIMIT 1"
        )
        async with limit(60):
            while True:
                async with self.database.sessions() as session:
                    found: str | None = await session.scalar(query)
                if found is not None and found in self.bots:
                    return found
                await asyncio.sleep(0.02)

    async def _wait_until_done(self, world: AlertWorld, ended: list[str]) -> None:
        open_firings = text("SELECT count(*) FROM handover_firings WHERE times = 0")
        async with limit(60):
            while True:
                async with self.database.sessions() as session:
                    left = await session.scalar(open_firings)
                told = {alert.subject.id for alert in await world.all_alerts()}
                if not left and told >= set(ended):
                    return
                await asyncio.sleep(0.05)

    async def _result(self, ended: list[str]) -> HandOver:
        async with self.database.sessions() as session:
            fired = await session.scalars(
                text("SELECT times FROM handover_firings ORDER BY number")
            )
            leaders = await session.scalar(
                text("SELECT count(DISTINCT done_by) FROM handover_firings")
            )
            rows = await session.execute(
                text(
                    """
                    SELECT a.subject_id, greatest(
                        count(*) FILTER (WHERE e.what = 'fired'),
                        (SELECT count(*) FROM alert_deliveries d JOIN alerts b ON b.id = d.alert_id
                         WHERE b.subject_id = a.subject_id AND b.kind = 'failed')
                    )
                    FROM alerts a LEFT JOIN alert_events e ON e.alert_id = a.id
                    WHERE a.kind = 'failed' GROUP BY a.subject_id
                    """
                )
            )
            told = {run: int(times) for run, times in rows}
            members = await session.scalar(text("SELECT sum(members) FROM alert_groups"))
            deliveries = await session.scalar(text("SELECT count(*) FROM alert_deliveries"))
            assert members == deliveries, (members, deliveries)
            return HandOver(
                kills=self.kills,
                leaders=int(leaders or 0),
                fired=list(fired),
                told={run: told.get(run, 0) for run in ended},
            )


async def _long(kills: int, seed: int) -> HandOver:
    with tempfile.TemporaryDirectory(prefix="sbho-") as folder:
        async with (
            embedded_postgres(Path(folder) / "pg") as dsn,
            open_database(dsn, pool_size=6) as database,
        ):
            await upgrade_if_behind(database)
            return await Campaign(database, kills, seed).execute()


def main() -> int:
    """Run the long form, and print what was lost or doubled."""
    parser = argparse.ArgumentParser(prog="python -m tests.alerts.handover", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1, help="another seed is another campaign")
    given = parser.parse_args()
    found = asyncio.run(_long(given.kills, given.seed))
    summary = (
        f"{found.kills} leaders killed, {found.leaders} led; {len(found.fired)} firings, "
        f"{len(found.told)} alerts: {len(found.problems)} problems"
    )
    sys.stdout.write("\n".join([*found.problems, summary]) + "\n")
    return 0 if not found.problems else 1


if __name__ == "__main__":
    sys.exit(main())
