"""What agents see of the machine at present: the machine changes while a worker runs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from core.agent.process.system_view import SystemView

log = logging.getLogger(__name__)

# The start of a worker waits for the first search.  Measured: 0.02 s for `/etc`, `/usr/local` and
# `/opt` of a small server, 0.5 s with a pyenv of 130,000 files, and 50 s for that from a cold disk.
FIRST_SEARCH_LIMIT = timedelta(seconds=5)
# Nobody waits for a later search to its end.
LATER_SEARCH_LIMIT = timedelta(minutes=1)
# A start of an agent waits so long for a new search, then it takes the results of the last one.
RENEWAL_WAIT = timedelta(seconds=1)
# An agent that works for an hour keeps its view for as long, so a shorter interval would protect
# little; and a search takes the processor from the agents (0.6 s with two Python installations).
RENEWAL_INTERVAL = timedelta(minutes=5)
# On a machine where a search takes long, they come less often: it takes 5 % of a processor at most.
_INTERVAL_FACTOR = 20


class FindSystemView(Protocol):
    """Looks up what to show of the machine; each of its searches takes so long at most."""

    def __call__(self, *, limit: timedelta) -> SystemView:
        """Look it up.  Blocking."""
        ...


class CurrentView:
    """The last view of the machine, and a new one when an agent starts; for use by any thread.

    Attributes:
        last: The last view.
    """

    def __init__(
        self,
        find: FindSystemView,
        *,
        wait: timedelta = RENEWAL_WAIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Find the first view.  Blocking, for `FIRST_SEARCH_LIMIT` at most for each search.

        Args:
            find: Looks up a view.
            wait: How long `renewed` waits for a new one.
            clock: Tells the time in seconds, from any moment on.
        """
        self._find = find
        self._clock = clock
        self._wait = wait.total_seconds()
        self._lock = threading.Lock()
        self._renewal: threading.Thread | None = None
        began = self._clock()
        self.last = find(limit=FIRST_SEARCH_LIMIT)
        _tell(self.last)
        # A search that was not finished goes on at the first opportunity.
        self._renew_at = began if self.last.notices else self._next_renewal(began)

    def renewed(self) -> SystemView:
        """Return a view that is five minutes old at most, if the machine can be searched so fast.

        What became private later is not masked.  Blocking, for a second at most.
        """
        with self._lock:
            if self._renewal is None and self._clock() >= self._renew_at:
                # A daemon, since a search can hang on a network file system.
                thread = threading.Thread(target=self._renew, name="renew view", daemon=True)
                thread.start()
                self._renewal = thread
            renewal = self._renewal
        if renewal is not None:
            renewal.join(self._wait)
        return self.last

    def _renew(self) -> None:
        began = self._clock()
        try:
            found = self._find(limit=LATER_SEARCH_LIMIT)
        except Exception:
            log.exception("cannot look up the machine", extra={"event": "system_view.failed"})
        else:
            if found.notices != self.last.notices:
                _tell(found)
            self.last = found
        finally:
            with self._lock:
                self._renewal = None
                self._renew_at = self._next_renewal(began)

    def _next_renewal(self, began: float) -> float:
        ended = self._clock()
        return ended + max(RENEWAL_INTERVAL.total_seconds(), _INTERVAL_FACTOR * (ended - began))


def _tell(view: SystemView) -> None:
    for notice in view.notices:
        log.warning("isolation: %s", notice, extra={"event": "isolation.limited"})
