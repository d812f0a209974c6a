"""The fleet in numbers, for monitoring."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from core.domain.fleet.gauges import FleetGauges
from core.services.context import ServiceContext
from core.store.fleet import gauges

# Several collectors may ask in turn; one read serves all of them for so long.
MAX_AGE = timedelta(seconds=5)


@dataclass
class GaugeService:
    """Reads the numbers of the fleet, at most once in `max_age`.

    No permission is checked here: nobody acts, and who may read them is a matter of the surface.
    """

    context: ServiceContext
    max_age: timedelta = MAX_AGE
    _last: tuple[datetime, FleetGauges] | None = None
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def read(self) -> FleetGauges:
        """The numbers, up to `max_age` old.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        async with self._reading:
            now = self.context.clock()
            if self._last is not None and timedelta(0) <= now - self._last[0] < self.max_age:
                return self._last[1]
            async with self.context.transaction() as session:
                found = await gauges.read(session, now=now)
            self._last = (now, found)
            return found
