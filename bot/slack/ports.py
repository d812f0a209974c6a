"""What the Slack side needs of the services, as narrow protocols."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol

from core.domain.actor import Action, Actor, Role
from core.domain.fleet.workers import FleetView
from core.domain.kills.selection import KillManyOutcome, KillManyRequest, KillOffer, KillSelection
from core.domain.kills.termination import Termination
from core.domain.runs.request import (
    ContinueRequest,
    KillRequest,
    Place,
    RunFilter,
    Started,
    StartRequest,
)
from core.domain.runs.run import Run
from core.domain.runs.snapshot import Doubt, Doubted, RunSnapshot, Shown, Thread
from core.domain.runs.stats import Period, Stats
from core.domain.workflow import WorkflowDefinition


class HasWorkflows(Protocol):
    """Knows the workflow definitions."""

    @property
    def workflows(self) -> tuple[WorkflowDefinition, ...]:
        """The catalog, sorted by name."""
        ...


class Starts(Protocol):
    """Starts runs; the same `request_key` starts once."""

    async def start(self, request: StartRequest, *, by: Actor) -> Started:
        """Start a run, or answer with the one this request had started."""
        ...


class Kills(Protocol):
    """Kills runs; asking twice is one termination."""

    async def kill(self, request: KillRequest, *, by: Actor) -> Termination:
        """Ask for the end of a run."""
        ...


class KillsMany(Protocol):
    """Kills that are asked about first."""

    async def look(self, named: str, *, by: Actor) -> RunSnapshot:
        """The run that a person wants to kill, with its owner and its cost."""
        ...

    async def offer(self, selection: KillSelection, *, by: Actor) -> KillOffer:
        """The runs that a selection would end."""
        ...

    async def kill_many(self, request: KillManyRequest, *, by: Actor) -> KillManyOutcome:
        """End the runs that were confirmed; asking twice is one kill of each."""
        ...


class ShowsStats(Protocol):
    """Adds up periods."""

    async def stats(self, period: Period, *, by: Actor) -> Stats:
        """Runs, spend and kills of the period that ends now."""
        ...


class ShowsWorkers(Protocol):
    """Knows the fleet."""

    async def workers(self, *, by: Actor) -> FleetView:
        """The workers there are, and those that went a while ago."""
        ...


class Continues(Protocol):
    """Starts the next leg of a session; the same `request_key` starts once."""

    async def continue_run(
        self, request: ContinueRequest, *, by: Actor, place: Place | None = None
    ) -> Started:
        """Start the next leg of an ended run's session."""
        ...


class Snapshots(Protocol):
    """Shows one run."""

    async def snapshot(self, named: str, *, by: Actor) -> RunSnapshot:
        """A run by its id or a unique prefix."""
        ...


class Lists(Protocol):
    """Lists runs."""

    async def list_runs(
        self, wanted: RunFilter, *, by: Actor, limit: int = 20
    ) -> list[RunSnapshot]:
        """The newest runs first."""
        ...


class FindsByThread(Protocol):
    """Knows whose thread a Slack thread is."""

    async def run_of_thread(self, *, channel_id: str, thread_ts: str) -> Run | None:
        """The newest leg of the thread; `None` if no run heads it."""
        ...


class Runs(HasWorkflows, Starts, Kills, Continues, Snapshots, Lists, FindsByThread, Protocol):
    """Everything listeners ask of runs."""


class Inbox(Protocol):
    """Deliveries exactly once."""

    async def receive(self, key: str, body: Mapping[str, Any]) -> bool:
        """Keep a delivery until it is done; `False` if it was received before."""
        ...

    async def done(self, key: str) -> None:
        """Note that a delivery was handled."""
        ...

    async def renew(self, keys: Collection[str]) -> None:
        """Say that these are still being handled here."""
        ...

    async def claim_unfinished(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Deliveries whose bot died before they were done."""
        ...


class People(Protocol):
    """Who acts, and refusals that no other service sees."""

    async def actor(self, *, team_id: str, user_id: str, name: str, role: Role) -> Actor:
        """The Slack user as an actor."""
        ...

    async def refuse(self, actor: Actor, action: Action, *, reason: str) -> None:
        """Audit a refusal."""
        ...


class Lead(Protocol):
    """Being the one that draws."""

    @property
    def lost(self) -> asyncio.Event:
        """Set when somebody else may be drawing."""
        ...

    @property
    def is_sure(self) -> bool:
        """Whether nobody else can be drawing; a process that was frozen is not sure."""
        ...


class KeepsDoubts(Protocol):
    """Remembers what Slack may have done late, for whoever draws next."""

    async def doubts(self, *, team_id: str) -> list[Doubted]:
        """All that are kept about a team's threads."""
        ...

    async def doubt_all(self, *, team_id: str, due_at: datetime) -> None:
        """Doubt every message that whoever drew before may have been changing at its end."""
        ...

    async def note_doubt(self, doubted: Doubted, /) -> None:
        """Keep a doubt; noted again it is due later."""
        ...

    async def settle_doubt(self, thread_key: str, slot: str, doubt: Doubt) -> None:
        """Forget a doubt."""
        ...


class Threads(KeepsDoubts, Protocol):
    """What each thread should show, and what it shows."""

    async def behind(self, *, team_id: str, limit: int = 50) -> list[str]:
        """Keys of threads whose rows are ahead of what is shown."""
        ...

    async def ended(self, thread_keys: Collection[str]) -> frozenset[str]:
        """Those of the threads that have no live run."""
        ...

    async def thread(self, thread_key: str) -> Thread | None:
        """A thread with its legs and what is shown; `None` if it has no place in Slack."""
        ...

    async def put(self, message: Shown, /) -> None:
        """Record what is (about to be) shown."""
        ...

    async def lost_places(self, *, team_id: str, reasons: Collection[str]) -> list[str]:
        """Channels in which messages were lost for one of these reasons."""
        ...

    async def reopen(self, channel_id: str, *, reasons: Collection[str]) -> int:
        """Have the threads that were lost there drawn again; answers how many."""
        ...

    def changes(self) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """Hints to look again; an empty one comes at least every few seconds."""
        ...

    def leadership(self) -> AbstractAsyncContextManager[Lead]:
        """Wait to be the one that draws."""
        ...
