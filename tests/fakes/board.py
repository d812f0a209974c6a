"""The services that the Slack side needs, in memory: runs, threads, inbox, people."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4, uuid5

from core.domain.actor import Action, Actor, Origin, Role, User, may
from core.domain.errors import Refused, Unavailable
from core.domain.fleet.workers import FleetView
from core.domain.kills.selection import KillManyOutcome, KillManyRequest, KillOffer, KillSelection
from core.domain.kills.termination import Phase, Termination
from core.domain.runs.request import (
    ContinueRequest,
    KillRequest,
    Place,
    RunFilter,
    Started,
    StartRequest,
)
from core.domain.runs.run import Run, RunNotFound, RunStatus, StopReason
from core.domain.runs.snapshot import RunSnapshot, Shown, ShownState, Thread
from core.domain.runs.stats import Period, RunFigures, Stats, TerminationFigures
from core.domain.workflow import UnknownWorkflow, WorkflowDefinition
from tests.fakes.doubts import KeptDoubts
from tests.fakes.inbox import Inbox

_PEOPLE = UUID("7b6f5a4c-0000-4000-8000-000000000000")
DEFINITIONS = (
    WorkflowDefinition(
        name="implement", aliases=("builder",), description="Builds what is asked.", prompt="…"
    ),
    WorkflowDefinition(name="review", description="Reads a change.", prompt="…"),
)


class NotYours(Refused):
    """The fake's own refusal."""

    def __init__(self) -> None:
        super().__init__("not yours", user_message="You may not do this: it is not your run.")


@dataclass
class Board(KeptDoubts, Inbox):
    """Runs in memory; every change wakes who listens.

    Attributes:
        starts: Requests as they came in, repeated ones too.
        is_away: The database cannot be reached.
    """

    runs: dict[str, Run] = field(default_factory=dict)
    users: dict[UUID, User] = field(default_factory=dict)
    kills: dict[UUID, Termination] = field(default_factory=dict)
    puts: list[Shown] = field(default_factory=list)
    starts: list[StartRequest] = field(default_factory=list)
    continues: list[ContinueRequest] = field(default_factory=list)
    killed_many: list[KillManyRequest] = field(default_factory=list)
    refusals: list[tuple[Actor, Action, str]] = field(default_factory=list)
    is_away: bool = False
    slowness: float = 0.0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _watchers: set[asyncio.Event] = field(default_factory=set)

    def touch(self) -> None:
        self._changed.set()
        for watcher in self._watchers:
            watcher.set()

    async def until(
        self, predicate: Callable[[], object], *, what: str = "it", timeout: float = 15
    ) -> None:
        """Wait until something holds; asked again at every change of the board."""
        watcher = asyncio.Event()
        self._watchers.add(watcher)
        try:
            async with asyncio.timeout(timeout):
                while not predicate():
                    await watcher.wait()
                    watcher.clear()
        except TimeoutError:
            raise AssertionError(f"{what} never came") from None
        finally:
            self._watchers.discard(watcher)

    async def handled(self) -> None:
        """Wait until every delivery that was taken is done."""
        await self.until(
            lambda: self.inbox and all(body is None for body in self.inbox.values()),
            what="the end of every delivery",
        )

    def reach(self) -> None:
        if self.is_away:
            raise Unavailable("away", user_message="The database does not answer. Try again.")

    def put_run(self, run: Run) -> Run:
        self.runs[run.run_id] = run
        self.touch()
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

    async def start(self, request: StartRequest, *, by: Actor) -> Started:
        self.reach()
        if self.slowness:
            await asyncio.sleep(self.slowness)
        request.check()
        self.starts.append(request)
        self.touch()
        names = {name for one in DEFINITIONS for name in (one.name, *one.aliases)}
        if request.workflow not in names:
            raise UnknownWorkflow(request.workflow, tuple(sorted(names)))
        known = next((r for r in self.runs.values() if r.request_key == request.request_key), None)
        if known is not None:
            return Started(run=known, is_new=False)
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
        return Started(run=self.put_run(run), is_new=True)

    async def kill(self, request: KillRequest, *, by: Actor) -> Termination:
        self.reach()
        run = self._named(request.named)
        if not may(by, Action.KILL, run):
            raise NotYours
        now = datetime.now(UTC)
        kill = self.kills.get(run.id) or Termination(
            id=uuid4(), run_id=run.id, phase=Phase.REQUESTED, requested_at=now, force=request.force
        )
        self.kills[run.id] = kill
        if run.kill_requested_at is None:
            self.change(run.run_id, kill_requested_at=now)
        return kill

    async def look(self, named: str, *, by: Actor) -> RunSnapshot:
        self.reach()
        run = self._named(named)
        if not may(by, Action.KILL, run):
            raise NotYours
        return self._snapshot(run)

    async def offer(self, selection: KillSelection, *, by: Actor) -> KillOffer:
        self.reach()
        found = [
            self._snapshot(run)
            for run in self.runs.values()
            if run.is_live
            and not (selection.wanted.mine and run.user_id != by.user_id)
            and selection.wanted.workflow in (None, run.workflow_name)
        ]
        return KillOffer(selection=selection, listed=tuple(found))

    async def kill_many(self, request: KillManyRequest, *, by: Actor) -> KillManyOutcome:
        self.reach()
        self.killed_many.append(request)
        for run_id in request.run_ids:
            await self.kill(KillRequest(named=run_id, force=request.force), by=by)
        return KillManyOutcome(asked=request.run_ids)

    async def stats(self, period: Period, *, by: Actor) -> Stats:
        self.reach()
        now = datetime.now(UTC)
        return Stats(
            period=period,
            since=now - period.length,
            until=now,
            runs=RunFigures(),
            kills=TerminationFigures(),
        )

    async def workers(self, *, by: Actor) -> FleetView:
        self.reach()
        return FleetView(at=datetime.now(UTC), workers=())

    async def continue_run(
        self, request: ContinueRequest, *, by: Actor, place: Place | None = None
    ) -> Started:
        self.reach()
        self.continues.append(request)
        self.touch()
        run = self._named(request.named)
        if not may(by, Action.CONTINUE, run):
            raise NotYours
        key = f"continue:{run.run_id}"
        known = next((r for r in self.runs.values() if r.request_key == key), None)
        if known is not None:
            return Started(run=known, is_new=False)
        identity = uuid4()
        leg = replace(
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
        return Started(run=self.put_run(leg), is_new=True)

    async def snapshot(self, named: str, *, by: Actor) -> RunSnapshot:
        self.reach()
        return self._snapshot(self._named(named))

    async def list_runs(
        self, wanted: RunFilter, *, by: Actor, limit: int = 20
    ) -> list[RunSnapshot]:
        self.reach()
        found = [
            run
            for run in reversed(self.runs.values())
            if not (wanted.live and not run.is_live)
            and not (wanted.mine and run.user_id != by.user_id)
        ]
        return [self._snapshot(run) for run in found[:limit]]

    async def run_of_thread(self, *, channel_id: str, thread_ts: str) -> Run | None:
        self.reach()
        for (thread_key, slot), shown in self.shown.items():
            root = shown.thread_ts or shown.message_ts
            if slot == "card" and shown.channel_id == channel_id and root == thread_ts:
                return self._legs(thread_key)[-1]
        return None

    def _named(self, named: str) -> Run:
        if named not in self.runs:
            raise RunNotFound(named)
        return self.runs[named]

    def _legs(self, thread_key: str) -> list[Run]:
        return [run for run in self.runs.values() if run.thread_key == thread_key]

    def _snapshot(self, run: Run) -> RunSnapshot:
        owner = self.users.get(run.user_id) if run.user_id else None
        return RunSnapshot(run=run, owner=owner, termination=self.kills.get(run.id))

    # --- threads

    async def behind(self, *, team_id: str, limit: int = 50) -> list[str]:
        self.reach()
        keys = []
        for key in dict.fromkeys(r.thread_key for r in self.runs.values() if r.thread_key):
            legs = self._legs(key)
            if legs[0].slack_team_id != team_id or legs[0].slack_channel_id is None:
                continue
            card = self.shown.get((key, "card"))
            if card is None or max(leg.version for leg in legs) > card.version:
                keys.append(key)
        return keys[:limit]

    async def ended(self, thread_keys: Collection[str]) -> frozenset[str]:
        self.reach()
        return frozenset(
            key for key in thread_keys if not any(leg.is_live for leg in self._legs(key))
        )

    async def thread(self, thread_key: str) -> Thread | None:
        self.reach()
        legs = self._legs(thread_key)
        if not legs or legs[0].slack_channel_id is None or legs[0].slack_team_id is None:
            return None
        return Thread(
            thread_key=thread_key,
            team_id=legs[0].slack_team_id,
            channel_id=legs[0].slack_channel_id,
            legs=tuple(self._snapshot(leg) for leg in legs),
            shown={slot: row for (key, slot), row in self.shown.items() if key == thread_key},
        )

    async def put(self, message: Shown, /) -> None:
        self.reach()
        self.puts.append(message)
        self.shown[message.thread_key, message.slot] = message
        for watcher in self._watchers:
            watcher.set()

    async def lost_places(self, *, team_id: str, reasons: Collection[str]) -> list[str]:
        self.reach()
        lost = (row for row in self.shown.values() if row.error in reasons)
        return list(dict.fromkeys(row.channel_id for row in lost))

    async def reopen(self, channel_id: str, *, reasons: Collection[str]) -> int:
        self.reach()
        keys = set()
        for place, row in self.shown.items():
            if row.channel_id == channel_id and row.error in reasons:
                state = ShownState.SHOWN if row.message_ts else ShownState.GONE
                error = None if row.message_ts else "unsent"
                self.shown[place] = replace(row, state=state, error=error, content_hash=None)
                keys.add(row.thread_key)
        for key in keys:
            self.shown[key, "card"] = replace(self.shown[key, "card"], version=0)
        self.touch()
        return len(keys)

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[AsyncIterator[str]]:
        async def hints() -> AsyncIterator[str]:
            while True:
                yield ""
                try:
                    async with asyncio.timeout(0.5):
                        await self._changed.wait()
                except TimeoutError:
                    continue
                self._changed.clear()

        yield hints()

    @asynccontextmanager
    async def leadership(self) -> AsyncIterator[Leading]:
        yield Leading()

    # --- people

    async def actor(self, *, team_id: str, user_id: str, name: str, role: Role) -> Actor:
        self.reach()
        identity = uuid5(_PEOPLE, user_id)
        self.users[identity] = User(
            id=identity, name=name, slack_team_id=team_id, slack_user_id=user_id
        )
        return Actor(
            role=role,
            origin=Origin.SLACK,
            user_id=identity,
            external_id=user_id,
            team_id=team_id,
            name=name,
        )

    async def refuse(self, actor: Actor, action: Action, *, reason: str) -> None:
        self.reach()
        self.refusals.append((actor, action, reason))
        self.touch()


@dataclass
class Leading:
    """Leadership that nobody contests."""

    lost: asyncio.Event = field(default_factory=asyncio.Event)
    is_sure: bool = True
