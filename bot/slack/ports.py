"""What the Slack side needs of the services, as narrow protocols."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any, Protocol

from core.domain.actor import Action, Actor, Identity, Role
from core.domain.drawables import (
    Drawable,
    DrawableId,
    DrawableRequest,
    SlackMessage,
    UncertainWrite,
    UncertainWriteKind,
)
from core.domain.feed import ChangeKind
from core.domain.fleet.workers import FleetSnapshot
from core.domain.kills.bulk_kill import BulkKillRequest, BulkKillResult, KillPreview, KillSelection
from core.domain.kills.termination import Termination
from core.domain.runs.request import (
    ContinueRequest,
    KillRequest,
    Place,
    RunFilter,
    StartRequest,
    StartResult,
)
from core.domain.runs.run import Run
from core.domain.runs.snapshot import PersonalRuns, RunSnapshot, Thread
from core.domain.runs.stats import Period, Stats
from core.domain.workflow import WorkflowDefinition


class WorkflowCatalog(Protocol):
    """Knows the workflow definitions."""

    @property
    def workflows(self) -> tuple[WorkflowDefinition, ...]:
        """The catalog, sorted by name."""
        ...


class RunStarter(Protocol):
    """Starts runs; the same `request_key` starts once."""

    async def start(self, request: StartRequest, *, by: Actor) -> StartResult:
        """Start a run, or answer with the one this request had started."""
        ...


class RunKiller(Protocol):
    """Kills runs; asking twice is one termination."""

    async def kill(self, request: KillRequest, *, by: Actor) -> Termination:
        """Ask for the end of a run."""
        ...


class BulkKiller(Protocol):
    """Kills that are asked about first."""

    async def kill_or_ask(self, request: KillRequest, *, by: Actor) -> Termination | RunSnapshot:
        """Kill what needs no question; else the run to ask about, with its owner and cost."""
        ...

    async def preview(self, selection: KillSelection, *, by: Actor) -> KillPreview:
        """The runs that a selection would end."""
        ...

    async def kill_many(self, request: BulkKillRequest, *, by: Actor) -> BulkKillResult:
        """End the runs that were confirmed; asking twice is one kill of each."""
        ...


class StatsReader(Protocol):
    """Adds up periods."""

    async def stats(self, period: Period, *, by: Actor) -> Stats:
        """Runs, spend and kills of the period that ends now."""
        ...


class FleetReader(Protocol):
    """Knows the fleet."""

    async def workers(self, *, by: Actor) -> FleetSnapshot:
        """The workers there are, and those that went a while ago."""
        ...


class RunContinuer(Protocol):
    """Starts the next leg of a session; the same `request_key` starts once."""

    async def continue_run(
        self, request: ContinueRequest, *, by: Actor, place: Place | None = None
    ) -> StartResult:
        """Start the next leg of an ended run's session."""
        ...


class SnapshotReader(Protocol):
    """Shows one run."""

    async def snapshot(self, target: str, *, by: Actor) -> RunSnapshot:
        """A run by its id or a unique prefix."""
        ...


class RunLister(Protocol):
    """Lists runs."""

    async def list_runs(
        self, run_filter: RunFilter, *, by: Actor, limit: int = 20
    ) -> list[RunSnapshot]:
        """The newest runs first."""
        ...


class ThreadRunFinder(Protocol):
    """Knows whose thread a Slack thread is."""

    async def run_of_thread(self, *, channel_id: str, thread_ts: str) -> Run | None:
        """The newest leg of the thread; `None` if no run heads it."""
        ...


class RunOperations(
    WorkflowCatalog,
    RunStarter,
    RunKiller,
    RunContinuer,
    SnapshotReader,
    RunLister,
    ThreadRunFinder,
    Protocol,
):
    """Everything listeners ask of runs."""


class Inbox(Protocol):
    """Deliveries exactly once."""

    async def receive(self, key: str, body: Mapping[str, Any]) -> bool:
        """Keep a delivery until it is done; `False` if it was received before."""
        ...

    async def mark_done(self, key: str) -> None:
        """Note that a delivery was handled."""
        ...

    async def renew_claims(self, keys: Collection[str]) -> None:
        """Say that these are still being handled here."""
        ...

    async def claim_unfinished(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Deliveries whose bot died before they were done."""
        ...


class People(Protocol):
    """Who acts, and refusals that no other service sees."""

    async def ensure_actor(self, identity: Identity, *, role: Role) -> Actor:
        """Somebody as an actor with this role."""
        ...

    async def audit_refusal(self, actor: Actor, action: Action, *, reason: str) -> None:
        """Audit a refusal."""
        ...


class Leadership(Protocol):
    """Being the one that draws."""

    @property
    def lost(self) -> asyncio.Event:
        """Set when somebody else may be drawing."""
        ...

    @property
    def is_exclusive(self) -> bool:
        """Whether nobody else can be drawing; a process that was frozen is not sure."""
        ...


class UncertainWriteStore(Protocol):
    """Remembers what Slack may have done late, for the next drawer."""

    async def uncertain_writes(self, *, team_id: str) -> list[UncertainWrite]:
        """All that are kept about a team's drawables."""
        ...

    async def mark_all_uncertain(
        self, *, team_id: str, heads: Collection[str], due_at: datetime
    ) -> None:
        """Keep as uncertain what the drawer before may have been changing at its end."""
        ...

    async def record_uncertain_write(self, write: UncertainWrite, /) -> None:
        """Keep an uncertain write; kept again it is due later."""
        ...

    async def resolve_uncertain_write(
        self, drawable: DrawableId, slot: str, kind: UncertainWriteKind
    ) -> None:
        """Forget an uncertain write."""
        ...


class MessageStore(Protocol):
    """Keeps what is shown."""

    async def save_message(self, message: SlackMessage, /) -> None:
        """Record what is (about to be) shown."""
        ...


class LostChannelStore(Protocol):
    """Knows channels that took no message."""

    async def lost_channels(self, *, team_id: str, reasons: Collection[str]) -> list[str]:
        """Channels in which messages were lost for one of these reasons."""
        ...

    async def retry_lost(self, channel_id: str, *, reasons: Collection[str]) -> int:
        """Have what was lost there drawn again; answers how many drawables."""
        ...


class Drawables(UncertainWriteStore, MessageStore, LostChannelStore, Protocol):
    """What each drawable should show, and what it shows."""

    async def outdated(
        self, *, team_id: str, kinds: Collection[str], limit: int = 50
    ) -> list[DrawableId]:
        """Drawables of these kinds of which not the newest version is shown."""
        ...

    async def drawable(self, drawable: DrawableId, /) -> Drawable | None:
        """A drawable with what is shown of it."""
        ...

    async def record_drawn(self, drawable: DrawableId, /, *, version: int, is_live: bool) -> None:
        """Note that all of a version is shown, and whether it shows what still goes on."""
        ...

    async def request(self, wanted: DrawableRequest, /) -> None:
        """Have something drawn; requested again it is the same."""
        ...

    async def activate(self, wanted: DrawableRequest, /, *, duration: timedelta) -> None:
        """Have something drawn anew now, and kept true for so long."""
        ...

    async def raise_active(self, *, team_id: str, kinds: Collection[str]) -> None:
        """Put behind what is kept true for a while: what it is drawn from may have changed."""
        ...

    def changes(self) -> AbstractAsyncContextManager[AsyncIterator[ChangeKind | None]]:
        """Hints to look; `None`, for anything, comes at least every few seconds."""
        ...

    def leadership(self) -> AbstractAsyncContextManager[Leadership]:
        """Wait to be the one that draws."""
        ...


class Threads(Protocol):
    """Reads what is drawn."""

    async def thread(self, thread_key: str) -> Thread | None:
        """A thread with its legs; `None` if it has no place in Slack."""
        ...

    async def thread_up_to(self, run_id: str) -> Thread | None:
        """The thread of a run, without the legs after it."""
        ...

    async def without_live_run(self, thread_keys: Collection[str]) -> frozenset[str]:
        """Those of the threads that have no live run."""
        ...

    async def personal_runs(self, key: str) -> PersonalRuns | None:
        """What a person's Home tab is drawn from."""
        ...
