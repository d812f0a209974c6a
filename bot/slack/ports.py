"""The services that the Slack side needs, as narrow protocols."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from core.domain.actor import Action, Actor, Identity, Role, User
from core.domain.alerts.posts.digest import Digest
from core.domain.drawables import (
    Drawable,
    DrawableId,
    DrawableRequest,
    SlackHealth,
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
from core.domain.runs.restarts.preview import RestartPreview
from core.domain.runs.restarts.request import RestartRequest
from core.domain.runs.run import Run
from core.domain.runs.snapshot import CardPlace, PersonalRuns, RunSnapshot, Thread
from core.domain.runs.stats import Period, Stats
from core.domain.workflow import WorkflowDefinition
from core.domain.workspaces.record import WorkspacesView


class WorkflowCatalog(Protocol):
    """Provides the workflow definitions."""

    @property
    def workflows(self) -> tuple[WorkflowDefinition, ...]:
        """All definitions, sorted by name."""
        ...


class RunStarter(Protocol):
    """Starts runs; idempotent by `request_key`."""

    async def require_start(self, *, by: Actor) -> None:
        """Raise an error unless the person may start runs."""
        ...

    async def start(self, request: StartRequest, *, by: Actor) -> StartResult:
        """Start a run, or return the one that the same request has already started."""
        ...


class RunKiller(Protocol):
    """Kills runs; a repeated request returns the same termination."""

    async def kill(self, request: KillRequest, *, by: Actor) -> Termination:
        """Request the kill of a run."""
        ...


class BulkKiller(Protocol):
    """Kills that may need a confirmation first."""

    async def kill_or_ask(self, request: KillRequest, *, by: Actor) -> Termination | RunSnapshot:
        """Kill a run that needs no confirmation; otherwise return the run to confirm."""
        ...

    async def preview(self, selection: KillSelection, *, by: Actor) -> KillPreview:
        """The runs that a selection would kill."""
        ...

    async def kill_many(self, request: BulkKillRequest, *, by: Actor) -> BulkKillResult:
        """Kill the confirmed runs; a repeated request kills each run once."""
        ...


class StatsReader(Protocol):
    """Reads statistics."""

    async def stats(self, period: Period, *, by: Actor) -> Stats:
        """Runs, cost and kills in the period that ends now."""
        ...


class FleetReader(Protocol):
    """Reads the fleet."""

    async def workers(self, *, by: Actor) -> FleetSnapshot:
        """The present workers, and those that left recently."""
        ...


class WorkspaceReader(Protocol):
    """Reads the workspaces on workers' disks."""

    async def view(self, *, by: Actor) -> WorkspacesView:
        """All workspaces, and those that were removed recently."""
        ...


class RunContinuer(Protocol):
    """Starts the next leg of a session; idempotent by `request_key`."""

    async def continue_run(
        self, request: ContinueRequest, *, by: Actor, place: Place | None = None
    ) -> StartResult:
        """Start the next leg of an ended run's session."""
        ...


class Restarter(Protocol):
    """Restarts ended runs; idempotent by `request_key`."""

    async def preview(self, request: RestartRequest, *, by: Actor) -> RestartPreview:
        """What a restart would do, and what is in its way."""
        ...

    async def restart(
        self, request: RestartRequest, *, by: Actor, place: Place | None = None
    ) -> StartResult:
        """Restart an ended run in a new one."""
        ...


class SnapshotReader(Protocol):
    """Reads one run."""

    async def snapshot(
        self, target: str, *, by: Actor, action: Action = Action.VIEW
    ) -> RunSnapshot:
        """A run by its id or a unique prefix, for somebody who may do this to it."""
        ...


class RunLister(Protocol):
    """Lists runs."""

    async def list_runs(
        self, run_filter: RunFilter, *, by: Actor, limit: int = 20
    ) -> list[RunSnapshot]:
        """The newest runs first."""
        ...


class ThreadRunFinder(Protocol):
    """Finds the run of a Slack thread."""

    async def run_of_thread(self, *, channel_id: str, thread_ts: str) -> Run | None:
        """The newest leg of the thread; `None` if the thread does not belong to a run."""
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
    """All operations on runs that listeners use."""


class Inbox(Protocol):
    """Stores deliveries from Slack, each exactly once, until they are handled."""

    async def receive(self, key: str, body: Mapping[str, Any]) -> bool:
        """Store a delivery until it is done; `False` if its key was received before."""
        ...

    async def mark_done(self, key: str) -> None:
        """Record that a delivery was handled."""
        ...

    async def renew_claims(self, keys: Collection[str]) -> None:
        """Record that this process is still handling these deliveries."""
        ...

    async def claim_unfinished(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Claim the deliveries whose bot died before they were done."""
        ...


class People(Protocol):
    """Stores people, and audits the refusals that the Slack side decides."""

    async def ensure_actor(self, identity: Identity, *, role: Role) -> Actor:
        """The person as an actor with this role; the user row is created if needed."""
        ...

    async def find_users(self, user_ids: Collection[UUID]) -> Mapping[UUID, User]:
        """Those of the people who are known, by the ids of their rows."""
        ...

    async def audit_refusal(self, actor: Actor, action: Action, *, reason: str) -> None:
        """Add a refused action to the audit log."""
        ...


class Leadership(Protocol):
    """The exclusive right to draw."""

    @property
    def lost(self) -> asyncio.Event:
        """Set when another process may be drawing."""
        ...

    @property
    def is_exclusive(self) -> bool:
        """Whether no other process can be drawing; `False` after this process was frozen."""
        ...


class UncertainWriteStore(Protocol):
    """Stores the calls that Slack may execute late, for the next drawer."""

    async def uncertain_writes(self, *, team_id: str) -> list[UncertainWrite]:
        """All stored uncertain writes of a team's drawables."""
        ...

    async def mark_all_uncertain(
        self, *, team_id: str, heads: Collection[str], due_at: datetime
    ) -> None:
        """Mark the messages as uncertain that the previous drawer may have been changing."""
        ...

    async def record_uncertain_write(self, write: UncertainWrite, /) -> None:
        """Store an uncertain write; storing it again replaces its due time."""
        ...

    async def resolve_uncertain_write(
        self, drawable: DrawableId, slot: str, kind: UncertainWriteKind
    ) -> None:
        """Delete an uncertain write, if it exists."""
        ...


class MessageStore(Protocol):
    """Stores the messages in Slack."""

    async def save_message(self, message: SlackMessage, /) -> None:
        """Store the row of a message, before or after a call to Slack."""
        ...


class LostChannelStore(Protocol):
    """Finds channels that accepted no messages."""

    async def lost_channels(self, *, team_id: str, reasons: Collection[str]) -> list[str]:
        """The channels in which messages were recently lost with one of these errors."""
        ...

    async def retry_lost(self, channel_id: str, *, reasons: Collection[str]) -> int:
        """Request a redraw of the lost messages; returns the number of drawables."""
        ...


class HealthStore(Protocol):
    """Stores how far what is shown is behind."""

    async def record_health(self, health: SlackHealth, /) -> None:
        """Store it; the row of the workspace is replaced."""
        ...


class Drawables(HealthStore, UncertainWriteStore, MessageStore, LostChannelStore, Protocol):
    """The desired and the actual state of each drawable."""

    async def outdated(
        self, *, team_id: str, kinds: Collection[str], limit: int = 50
    ) -> list[DrawableId]:
        """At most `limit` outdated drawables of these kinds."""
        ...

    async def drawable(self, drawable: DrawableId, /) -> Drawable | None:
        """A drawable with the rows of its messages; `None` if it does not exist."""
        ...

    async def record_drawn(self, drawable: DrawableId, /, *, version: int, is_live: bool) -> None:
        """Record the version that is completely shown, and whether the drawable is live."""
        ...

    async def request(self, wanted: DrawableRequest, /) -> None:
        """Request a drawing; idempotent."""
        ...

    async def activate(self, wanted: DrawableRequest, /, *, duration: timedelta) -> None:
        """Request a new drawing now, and keep the drawable up to date for `duration`."""
        ...

    async def raise_active(self, *, team_id: str, kinds: Collection[str]) -> None:
        """Mark the active drawables with a time limit as outdated: their rows may have changed."""
        ...

    def changes(self) -> AbstractAsyncContextManager[AsyncIterator[ChangeKind | None]]:
        """Hints to poll; `None` (anything may have changed) comes at least every few seconds."""
        ...

    def leadership(self) -> AbstractAsyncContextManager[Leadership]:
        """Wait for the exclusive right to draw."""
        ...


class CardFinder(Protocol):
    """Finds the threads of runs."""

    async def cards(self, run_ids: Collection[str], /) -> Mapping[str, CardPlace]:
        """Where the threads of these runs are, by run id; runs without one are missing."""
        ...


class Dashboard(Protocol):
    """Signs people in to the dashboard."""

    async def sign_in_url(self, *, by: Actor) -> str:
        """The address of a new link for this person."""
        ...

    @property
    def public_url(self) -> str | None:
        """The address at which other machines reach the dashboard; `None` if it is not known."""
        ...


class Digests(Protocol):
    """Reads digests."""

    async def digest(self, key: str) -> Digest | None:
        """The digest with this id; `None` if there is none."""
        ...


class NoDigests:
    """There is none."""

    async def digest(self, key: str) -> Digest | None:  # noqa: ARG002 - there is none
        """Nothing."""
        return None


NO_DIGESTS: Digests = NoDigests()


class Threads(CardFinder, Protocol):
    """Reads the subjects of drawables."""

    async def thread(self, thread_key: str) -> Thread | None:
        """A thread with its legs; `None` if it does not exist or has no place in Slack."""
        ...

    async def thread_up_to(self, run_id: str) -> Thread | None:
        """The thread of a run, without later legs; `None` as for `thread`."""
        ...

    async def urgent(self, thread_keys: Collection[str]) -> frozenset[str]:
        """Those of the threads without a run that works undisturbed, see `ThreadService`."""
        ...

    async def personal_runs(self, key: str) -> PersonalRuns | None:
        """The runs on a person's Home tab; the key is `<team_id>:<user_id>`."""
        ...
