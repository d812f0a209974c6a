"""The services that the Slack side needs, in memory: runs, threads, inbox, people."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4, uuid5

from core.domain.actor import Action, Actor, Identity, Role, User, is_allowed
from core.domain.errors import Forbidden, Unavailable
from core.domain.fleet.workers import FleetSnapshot
from core.domain.kills.bulk_kill import BulkKillRequest, BulkKillResult, KillPreview, KillSelection
from core.domain.kills.termination import Phase, Termination
from core.domain.runs.errors import RunNotFound
from core.domain.runs.request import (
    ContinueRequest,
    KillRequest,
    Place,
    RunFilter,
    StartRequest,
    StartResult,
)
from core.domain.runs.run import Run, RunStatus, StopReason
from core.domain.runs.snapshot import CardPlace, PersonalRuns, RunSnapshot, Thread
from core.domain.runs.stats import KillStats, Period, RunStats, Stats
from core.domain.workflow import UnknownWorkflow, WorkflowDefinition
from core.domain.workspaces.record import WorkspacesView
from core.services.context import NotAllowed
from tests.fakes.alerts import NoAlerts
from tests.fakes.drawables import FakeDrawables
from tests.fakes.inbox import FakeInbox
from tests.limits import limit

_PEOPLE = UUID("7b6f5a4c-0000-4000-8000-000000000000")
DEFINITIONS = (
    WorkflowDefinition(
        name="implement", aliases=("builder",), description="Builds what is asked.", prompt="…"
    ),
    WorkflowDefinition(name="review", description="Reads a change.", prompt="…"),
)


class NotOwner(Forbidden):
    """The fake's own refusal."""

    def __init__(self) -> None:
        super().__init__("not yours", user_message="You may not do this: it is not your run.")


@dataclass
class FakeServices(FakeDrawables, FakeInbox):
    """Runs in memory; every change wakes who listens.

    Attributes:
        start_requests: All requests received, repeated ones included.
        is_unreachable: Whether the database is unreachable.
    """

    users: dict[UUID, User] = field(default_factory=dict)
    kills: dict[UUID, Termination] = field(default_factory=dict)
    start_requests: list[StartRequest] = field(default_factory=list)
    continue_requests: list[ContinueRequest] = field(default_factory=list)
    killed_many: list[BulkKillRequest] = field(default_factory=list)
    refusals: list[tuple[Actor, Action, str]] = field(default_factory=list)
    alerts: NoAlerts = field(default_factory=NoAlerts)
    is_unreachable: bool = False
    start_delay: float = 0.0

    async def wait_until(
        self, predicate: Callable[[], object], *, what: str = "it", timeout: float = 15
    ) -> None:
        """Wait until a predicate holds; it is checked after every change."""
        watcher = asyncio.Event()
        self._watchers.add(watcher)
        try:
            async with limit(timeout):
                while not predicate():
                    await watcher.wait()
                    watcher.clear()
        except TimeoutError:
            raise AssertionError(f"{what} did not happen") from None
        finally:
            self._watchers.discard(watcher)

    async def wait_until_handled(self) -> None:
        """Wait until every received delivery is done."""
        await self.wait_until(
            lambda: self.inbox and all(body is None for body in self.inbox.values()),
            what="the end of every delivery",
        )

    def check_reachable(self) -> None:
        if self.is_unreachable:
            raise Unavailable("away", user_message="The database does not answer. Try again.")

    def put_run(self, run: Run) -> Run:
        self.runs[run.run_id] = run
        self.notify_watchers()
        return run

    def change(self, run_id: str, **columns: Any) -> Run:
        run = self.runs[run_id]
        return self.put_run(
            replace(run, **columns, version=run.version + 1, updated_at=datetime.now(UTC))
        )

    def end(self, run_id: str, reason: StopReason = StopReason.SUCCESS, **columns: Any) -> Run:
        now = datetime.now(UTC)
        return self.change(
            run_id,
            status=reason.final_status,
            stop_reason=reason,
            started_at=now,
            completed_at=now,
            **columns,
        )

    # --- runs

    @property
    def workflows(self) -> tuple[WorkflowDefinition, ...]:
        return DEFINITIONS

    async def start(self, request: StartRequest, *, by: Actor) -> StartResult:
        self.check_reachable()
        if self.start_delay:
            await asyncio.sleep(self.start_delay)
        request.check()
        self.start_requests.append(request)
        self.notify_watchers()
        names = {name for one in DEFINITIONS for name in (one.name, *one.aliases)}
        if request.workflow not in names:
            raise UnknownWorkflow(request.workflow, tuple(sorted(names)))
        known = next((r for r in self.runs.values() if r.request_key == request.request_key), None)
        if known is not None:
            return StartResult(run=known, is_new=False)
        identity, now = uuid4(), datetime.now(UTC)
        run_id = f"run_{identity.hex[:12]}"
        place = request.place
        run = Run(
            id=identity,
            run_id=run_id,
            workflow_name=request.workflow,
            task_input=request.task,
            status=RunStatus.PENDING,
            created_at=now,
            updated_at=now,
            session_id=uuid4(),
            user_id=by.user_id,
            max_turns=request.max_turns or 30,
            slack_team_id=place.team_id if place else None,
            slack_channel_id=place.channel_id if place else None,
            thread_key=run_id,
            request_key=request.request_key,
        )
        return StartResult(run=self.put_run(run), is_new=True)

    async def kill(self, request: KillRequest, *, by: Actor) -> Termination:
        self.check_reachable()
        run = self._find_run(request.target)
        if not is_allowed(by, Action.KILL, run):
            raise NotOwner
        now = datetime.now(UTC)
        kill = self.kills.get(run.id) or Termination(
            id=uuid4(), run_id=run.id, phase=Phase.REQUESTED, requested_at=now, force=request.force
        )
        self.kills[run.id] = kill
        if run.kill_requested_at is None:
            self.change(run.run_id, kill_requested_at=now)
        return kill

    async def kill_or_ask(self, request: KillRequest, *, by: Actor) -> Termination | RunSnapshot:
        self.check_reachable()
        run = self._find_run(request.target)
        if not is_allowed(by, Action.KILL, run):
            raise NotOwner
        is_new = run.is_live and run.kill_requested_at is None
        if run.user_id == by.user_id or not (is_new or request.force) or not run.is_live:
            return await self.kill(request, by=by)
        return self._snapshot(run)

    async def preview(self, selection: KillSelection, *, by: Actor) -> KillPreview:
        self.check_reachable()
        found = [
            self._snapshot(run)
            for run in self.runs.values()
            if run.is_live
            and not (selection.run_filter.mine and run.user_id != by.user_id)
            and selection.run_filter.workflow in (None, run.workflow_name)
        ]
        return KillPreview(selection=selection, runs=tuple(found))

    async def kill_many(self, request: BulkKillRequest, *, by: Actor) -> BulkKillResult:
        self.check_reachable()
        self.killed_many.append(request)
        for run_id in request.run_ids:
            await self.kill(KillRequest(target=run_id, force=request.force), by=by)
        return BulkKillResult(requested=request.run_ids)

    async def stats(self, period: Period, *, by: Actor) -> Stats:
        self.check_reachable()
        now = datetime.now(UTC)
        return Stats(
            period=period,
            since=now - period.length,
            until=now,
            runs=RunStats(),
            kills=KillStats(),
        )

    async def workers(self, *, by: Actor) -> FleetSnapshot:
        self.check_reachable()
        return FleetSnapshot(at=datetime.now(UTC), workers=())

    async def view(self, *, by: Actor) -> WorkspacesView:
        self.check_reachable()
        return WorkspacesView(at=datetime.now(UTC), workspaces=(), disks=())

    async def continue_run(
        self, request: ContinueRequest, *, by: Actor, place: Place | None = None
    ) -> StartResult:
        self.check_reachable()
        self.continue_requests.append(request)
        self.notify_watchers()
        run = self._find_run(request.target)
        if not is_allowed(by, Action.CONTINUE, run):
            raise NotOwner
        key = f"continue:{run.run_id}"
        known = next((r for r in self.runs.values() if r.request_key == key), None)
        if known is not None:
            return StartResult(run=known, is_new=False)
        identity = uuid4()
        continued = replace(
            run,
            id=identity,
            run_id=f"run_{identity.hex[:12]}",
            task_input=request.message or "Go on.",
            status=RunStatus.PENDING,
            stop_reason=None,
            completed_at=None,
            started_at=None,
            kill_requested_at=None,
            max_turns=request.additional_turns or 30,
            parent_run_id=run.id,
            version=run.version + 1,
            request_key=key,
        )
        return StartResult(run=self.put_run(continued), is_new=True)

    async def snapshot(
        self, target: str, *, by: Actor, action: Action = Action.VIEW
    ) -> RunSnapshot:
        self.check_reachable()
        run = self._find_run(target)
        if not is_allowed(by, action, run):
            raise NotAllowed(by, action, run)
        return self._snapshot(run)

    async def require_start(self, *, by: Actor) -> None:
        self.check_reachable()
        if not is_allowed(by, Action.START):
            raise NotAllowed(by, Action.START, None)

    async def cards(self, run_ids: Collection[str], /) -> dict[str, CardPlace]:
        self.check_reachable()
        found = {run_id: self._card(self.runs[run_id]) for run_id in run_ids if run_id in self.runs}
        return {run_id: card for run_id, card in found.items() if card is not None}

    def _card(self, run: Run) -> CardPlace | None:
        shown = self.shown.get((run.thread_key or "", "card"))
        if shown is None or not shown.message_ts or not shown.channel_id:
            return None
        return CardPlace(
            channel_id=shown.channel_id, message_ts=shown.thread_ts or shown.message_ts
        )

    async def list_runs(
        self, run_filter: RunFilter, *, by: Actor, limit: int = 20
    ) -> list[RunSnapshot]:
        self.check_reachable()
        found = [
            run
            for run in reversed(self.runs.values())
            if not (run_filter.live and not run.is_live)
            and not (run_filter.mine and run.user_id != by.user_id)
        ]
        return [self._snapshot(run) for run in found[:limit]]

    async def run_of_thread(self, *, channel_id: str, thread_ts: str) -> Run | None:
        self.check_reachable()
        for (thread_key, slot), shown in self.shown.items():
            root = shown.thread_ts or shown.message_ts
            if slot == "card" and shown.channel_id == channel_id and root == thread_ts:
                return self.legs(thread_key)[-1]
        return None

    def _find_run(self, target: str) -> Run:
        if target not in self.runs:
            raise RunNotFound(target)
        return self.runs[target]

    def _snapshot(self, run: Run) -> RunSnapshot:
        owner = self.users.get(run.user_id) if run.user_id else None
        return RunSnapshot(
            run=run, owner=owner, termination=self.kills.get(run.id), card=self._card(run)
        )

    # --- threads

    async def urgent(self, thread_keys: Collection[str]) -> frozenset[str]:
        self.check_reachable()
        return frozenset(
            key
            for key in thread_keys
            if not any(
                leg.is_live and leg.kill_requested_at is None and leg.waiting_on is None
                for leg in self.legs(key)
            )
        )

    async def thread(self, thread_key: str) -> Thread | None:
        self.check_reachable()
        legs = self.legs(thread_key)
        if not legs or legs[0].slack_channel_id is None or legs[0].slack_team_id is None:
            return None
        return Thread(
            thread_key=thread_key,
            team_id=legs[0].slack_team_id,
            channel_id=legs[0].slack_channel_id,
            legs=tuple(self._snapshot(leg) for leg in legs),
        )

    async def thread_up_to(self, run_id: str) -> Thread | None:
        thread = await self.thread(self.runs[run_id].thread_key or "")
        if thread is None:
            return None
        number = next(n for n, leg in enumerate(thread.legs, 1) if leg.run.run_id == run_id)
        return replace(thread, legs=thread.legs[:number])

    async def personal_runs(self, key: str) -> PersonalRuns:
        self.check_reachable()
        person = uuid5(_PEOPLE, key.partition(":")[2])
        newest = [self._snapshot(run) for run in reversed(self.runs.values())]
        return PersonalRuns(
            mine=tuple(one for one in newest if one.run.user_id == person)[:10],
            live=tuple(one for one in newest if one.run.is_live)[:10],
        )

    # --- people

    async def ensure_actor(self, identity: Identity, *, role: Role) -> Actor:
        self.check_reachable()
        user_id = uuid5(_PEOPLE, identity.external_id)
        self.users[user_id] = User(
            id=user_id,
            name=identity.name,
            slack_team_id=identity.team_id,
            slack_user_id=identity.external_id,
        )
        return Actor(
            role=role,
            origin=identity.origin,
            user_id=user_id,
            external_id=identity.external_id,
            team_id=identity.team_id,
            name=identity.name,
        )

    async def find_users(self, user_ids: Collection[UUID]) -> dict[UUID, User]:
        self.check_reachable()
        return {one: self.users[one] for one in user_ids if one in self.users}

    async def audit_refusal(self, actor: Actor, action: Action, *, reason: str) -> None:
        self.check_reachable()
        self.refusals.append((actor, action, reason))
        self.notify_watchers()
