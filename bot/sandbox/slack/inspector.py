"""The sandbox's log: every call, delivery, problem and change."""

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from bot.sandbox.event_wait import wait_for_event

T = TypeVar("T")

# The log drops its oldest entries, so that a long demo does not fill the memory.
MAX_ENTRIES = 2_000
MAX_LOGGED_CHARS = 20_000

# Longest time until a wait notices a change made elsewhere.
POLL_SECONDS = 0.2

_TOKEN = re.compile(r"\bx(?:ox[a-z]|app)-[A-Za-z0-9-]+")
_SECRET_KEYS = frozenset({"token", "client_secret", "signing_secret", "ticket"})


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that the real Slack would have refused.

    Attributes:
        kind: A stable code, mostly Slack's own error code.
        name: The method or delivery concerned.
        what: A description for a person.
    """

    kind: str
    name: str
    what: str
    at: float


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One API call or one delivery, with tokens redacted."""

    n: int
    at: float
    direction: str
    name: str
    status: int
    ok: bool
    error: str | None
    ms: int
    request: Any
    response: Any


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change after which a screen may need to be read again."""

    type: str
    n: int
    channel: str | None = None
    ts: str | None = None
    thread_ts: str | None = None
    user: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The change without its empty fields."""
        return {key: value for key, value in asdict(self).items() if value is not None}


class WaitTimeout(TimeoutError):
    """A condition did not become true in time."""


def redact(value: Any) -> Any:
    """The same value with every token replaced."""
    if isinstance(value, str):
        return _TOKEN.sub(lambda found: found[0][:5] + "…", value)[:MAX_LOGGED_CHARS]
    if isinstance(value, dict):
        return {
            key: "…" if key in _SECRET_KEYS and isinstance(item, str) else redact(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    return value


class Inspector:
    """The log, the list of problems, and the changes that subscribers and waits receive."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.entries: deque[Entry] = deque(maxlen=MAX_ENTRIES)
        self.problems: list[Problem] = []
        self.n = 0
        self._now = now
        self._change_event = asyncio.Event()
        self._readers: set[asyncio.Queue[Change | None]] = set()

    def log(
        self,
        direction: str,
        name: str,
        *,
        status: int,
        error: str | None,
        ms: float,
        request: Any,
        response: Any,
    ) -> None:
        """Log one call ("api") or one delivery ("delivery")."""
        self.publish_change("inspector")
        self.entries.append(
            Entry(
                n=self.n,
                at=self._now(),
                direction=direction,
                name=name,
                status=status,
                ok=error is None,
                error=error,
                ms=round(ms),
                request=redact(request),
                response=redact(response),
            )
        )

    def add_problem(self, kind: str, name: str, what: str) -> None:
        """Record something that the real Slack would have refused or shown as an error."""
        self.problems.append(Problem(kind=kind, name=name, what=str(redact(what)), at=self._now()))
        self.publish_change("problem")

    def publish_change(
        self,
        kind: str,
        *,
        channel: str | None = None,
        ts: str | None = None,
        thread_ts: str | None = None,
        user: str | None = None,
    ) -> None:
        """Send a change to every subscriber and wake every wait."""
        self.n += 1
        change = Change(type=kind, n=self.n, channel=channel, ts=ts, thread_ts=thread_ts, user=user)
        for reader in self._readers:
            reader.put_nowait(change)
        change_event, self._change_event = self._change_event, asyncio.Event()
        change_event.set()

    def subscribe(self) -> asyncio.Queue[Change | None]:
        """A queue that receives every later change; pass it to `unsubscribe` at the end."""
        reader: asyncio.Queue[Change | None] = asyncio.Queue()
        self._readers.add(reader)
        return reader

    def unsubscribe(self, reader: asyncio.Queue[Change | None]) -> None:
        """Stop sending changes to a queue."""
        self._readers.discard(reader)

    async def wait_until(
        self, predicate: Callable[[], T | None], *, timeout: float, what: str
    ) -> T:
        """Wait until the predicate returns a true value.

        It is evaluated at every change here, and a few times a second because it may depend
        on something else as well.

        Raises:
            WaitTimeout: After `timeout` seconds; its text lists the latest calls and the problems.
        """
        try:
            async with asyncio.timeout(timeout):
                while True:
                    change_event = self._change_event
                    if found := predicate():
                        return found
                    await wait_for_event(change_event, POLL_SECONDS)
        except TimeoutError:
            last = "; ".join(f"{e.name} {e.error or 'ok'}" for e in list(self.entries)[-12:])
            problem_list = "; ".join(f"{p.kind} {p.name}: {p.what}" for p in self.problems)
            raise WaitTimeout(
                f"{what} did not happen in {timeout:g} s; last calls: [{last}]; problems: "
                f"[{problem_list}]"
            ) from None
