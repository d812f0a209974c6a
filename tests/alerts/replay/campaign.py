"""One replay: a drawn week, its evaluation on Postgres, and the comparison with the reference."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from core.store.database.engine import Database
from tests.alerts.replay.comparing import Differences, compare
from tests.alerts.replay.crashes import Crash
from tests.alerts.replay.expected_alerts import expected_alerts
from tests.alerts.replay.expected_messages import Teller
from tests.alerts.replay.facts import BEGIN
from tests.alerts.replay.generator import Generator
from tests.alerts.replay.playing import Player
from tests.alerts.replay.sampling import Sampler
from tests.alerts.world import AlertWorld

# An evaluation that finds nothing has about ten statements, and one that tells much has fifty.
_STATEMENTS = (1, 4, 7, 10, 12, 14, 16, 18, 20, 23, 26, 30, 35, 40)


@dataclass(frozen=True)
class Replayed:
    """What one replay has shown."""

    seed: int
    runs: int
    events: int
    ticks: int
    cut: int
    found: Differences

    def __str__(self) -> str:
        found = self.found
        return (
            f"seed {self.seed}: {self.runs} runs, {self.events} events, {self.ticks} evaluations, "
            f"{self.cut} cut short; {found.alerts} alerts {_shares(found.kinds)}; "
            f"{found.deliveries} deliveries {_shares(found.handlings)}; "
            f"{found.messages} messages {_shares(found.types)}; "
            f"{len(found.lines)} differences"
        )


async def replay(database: Database, *, seed: int, runs: int, days: int, crashes: int) -> Replayed:
    """Draw a week, let it happen in an empty database, and compare."""
    week = Generator(seed, runs, days).week()
    chance = random.Random(f"crashes {seed}")
    chosen = chance.sample(list(week.ticks), min(crashes, len(week.ticks)))
    player = Player(
        AlertWorld(database, now=BEGIN),
        week,
        {
            tick: Crash(chance.choice(_STATEMENTS), is_cancelled=number % 2 == 0)
            for number, tick in enumerate(chosen)
        },
    )
    await player.play()
    looks = list(Sampler(week).looks(set(player.looked)))
    alerts = expected_alerts(looks)
    teller = Teller(week, looks, alerts)
    told = teller.tell()
    return Replayed(
        seed=seed,
        runs=len(player.runs),
        events=len(week.events),
        ticks=len(week.ticks),
        cut=player.cut,
        found=await compare(database, alerts, teller, told),
    )


def _shares(counted: Counter[str]) -> str:
    return "(" + ", ".join(f"{name} {count}" for name, count in sorted(counted.items())) + ")"
