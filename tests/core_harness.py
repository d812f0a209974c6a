"""The core for tests: real Postgres, real `claude` on the scripted model, no Slack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from bot.assembly.backend import Backend, open_backend
from bot.assembly.settings import Settings, load_settings
from bot.assembly.worker_runtime import new_worker_runtime
from bot.sandbox.model.server import Model, open_model
from core.agent.egress.resolve import Resolve, resolve_listed
from core.domain.actor import Actor, Identity, Origin, Role
from core.domain.isolation import IsolationMode
from core.domain.runs.event import EventKind
from core.domain.runs.request import StartRequest
from core.domain.runs.run import Run
from core.domain.runs.snapshot import RunSnapshot
from core.domain.sessions.ledger import LedgerSum
from core.runner.execution.attempt import prompt_uuid_of
from core.runner.execution.life_watch import USUAL_LOOKS, LookTimes
from core.runner.worker.identity import claimed_identity
from core.runner.worker.worker_runtime import WorkerRuntime
from core.store import events, ledger
from core.store.database.engine import Database
from core.store.sessions import transcripts
from tests.isolation import isolation_for
from tests.limits import limit
from tests.repositories import repositories_beside

DRAIN = timedelta(seconds=1)


@dataclass
class CoreHarness:
    """An instance of the core with one operator; it has no worker at first.

    Attributes:
        settings: The settings the parts were opened with.
        operator: An actor with the operator's role.
    """

    settings: Settings
    backend: Backend
    model: Model
    operator: Actor

    async def start(self, task: str, *, by: Actor | None = None, **overrides: object) -> Run:
        """Start a workflow; each call is a new start unless a `request_key` is given."""
        values: dict[str, object] = {
            "workflow": "implement",
            "task": task,
            "request_key": uuid4().hex,
        }
        request = StartRequest(**(values | overrides))  # type: ignore[arg-type]
        return (await self.backend.runs.start(request, by=by or self.operator)).run

    async def read_run(self, run: Run) -> RunSnapshot:
        """The present snapshot of a run."""
        return await self.backend.runs.snapshot(run.run_id, by=self.operator)

    async def wait_until(
        self, run: Run, predicate: Callable[[RunSnapshot], object], *, within: float = 45
    ) -> RunSnapshot:
        """Wait until a predicate holds for a run; checked after each of its changes."""
        async with limit(within), self.backend.drawables.changes() as hints:
            while not predicate(snapshot := await self.read_run(run)):
                await anext(hints)
            return snapshot

    async def wait_until_ended(self, run: Run, *, within: float = 45) -> RunSnapshot:
        """Wait for a run's end, and until its work is saved and measured."""
        return await self.wait_until(
            run,
            lambda seen: not seen.run.is_live and not seen.run.is_work_pending,
            within=within,
        )

    @asynccontextmanager
    async def worker(
        self, *, home: Path | None = None, looks: LookTimes = USUAL_LOOKS
    ) -> AsyncIterator[WorkerRuntime]:
        """A worker in this process, stopped at the end."""
        at = home or self.settings.node.home
        async with open_worker(self.backend, at, looks=looks) as runtime:
            yield runtime


@asynccontextmanager
async def open_worker(
    backend: Backend,
    home: Path,
    *,
    resolve: Resolve = resolve_listed,
    looks: LookTimes = USUAL_LOOKS,
) -> AsyncIterator[WorkerRuntime]:
    """A worker in this process that is ready, stopped at the end."""
    with claimed_identity(home) as identity:
        isolation = await asyncio.to_thread(isolation_for, backend.settings)
        runtime = await new_worker_runtime(
            backend, identity, resolve=resolve, looks=looks, found=isolation
        )
        working = asyncio.create_task(runtime.run(), name="test worker")
        try:
            async with limit(20):
                while not runtime.is_ready:
                    assert not working.done(), working
                    await asyncio.sleep(0.01)
            yield runtime
        finally:
            await runtime.stop(drain=DRAIN)
            await working


@asynccontextmanager
async def open_core_harness(
    home: Path,
    dsn: str | None,
    *,
    config: str = "",
    retry: str = '"never"',
    workflows: Path | None = None,
    isolation: IsolationMode = IsolationMode.AUTO,
) -> AsyncIterator[CoreHarness]:
    """A core without a worker.

    Args:
        home: Its home, which is created.
        dsn: A migrated database; `None` for an embedded one.
        config: Lines for its `signalbox.toml`.
        retry: The value of `[agent] retry` there.
        workflows: A folder with further workflows.
        isolation: The value of `[agent] isolation`.
    """
    async with open_model() as model:
        await asyncio.to_thread(home.mkdir)
        # The program's own ten retries would take minutes, and so would another attempt of the run.
        retries = f'[agent]\napi_retries = 1\nretry = {retry}\nisolation = "{isolation}"\n'
        (home / "signalbox.toml").write_text(f"{retries}\n{repositories_beside(home)}\n{config}")
        settings = load_settings(
            DATABASE_URL=dsn,
            SIGNALBOX_HOME=home,
            SIGNALBOX_WORKFLOWS=workflows,
            ANTHROPIC_API_KEY=model.api_key,
            ANTHROPIC_BASE_URL=model.url,
        )
        async with open_backend(settings, migrates=dsn is None) as backend:
            ada = Identity(origin=Origin.SLACK, external_id="U1", team_id="T1", name="Ada")
            operator = await backend.people.ensure_actor(ada, role=Role.OPERATOR)
            yield CoreHarness(settings, backend, model, operator)


@pytest.fixture
async def core_harness(database: Database, tmp_path: Path) -> AsyncIterator[CoreHarness]:
    """A core without a worker; enter `core_harness.worker()` for one."""
    async with open_core_harness(tmp_path / "home", database.dsn) as opened:
        yield opened


async def event_data(database: Database, run: Run, *kinds: EventKind) -> list[dict[str, object]]:
    """Data of a run's events of these kinds."""
    async with database.sessions() as session:
        found = await events.of_run(session, run.id, kinds=kinds, limit=10_000)
    return [dict(one.data) for one in found]


async def assert_counted_once(database: Database, run: Run) -> None:
    """Assert that the row's totals cover all attempts, each answer and call counted once.

    Each answer of the script must have one text.  What a lost worker has heard may be in the
    events only, or in the transcript only.
    """
    prompts = [prompt_uuid_of(run, attempt) for attempt in range(1, run.attempt + 1)]
    async with database.sessions() as session:
        entries = await transcripts.answers_since(session, run.session_id, prompts)
    texts = await event_data(database, run, EventKind.AGENT_TEXT)
    started = await event_data(database, run, EventKind.TOOL_STARTED)
    answers = {str(text["uuid"]) for text in texts if not text["subagent"]}
    calls = {str(call["id"]) for call in started}
    for entry in entries:
        content = entry["message"]["content"]
        calls |= {part["id"] for part in content if part["type"] == "tool_use"}
        # The program adds messages of its own to a conversation that was cut off.
        is_answer = entry["message"]["model"] != "<synthetic>" and not entry["isSidechain"]
        if is_answer and any(part["type"] == "text" for part in content):
            answers.add(entry["uuid"])
    assert (run.turns, run.tool_calls) == (len(answers), len(calls))
    async with database.sessions() as session:
        entries_by_run = await ledger.of_runs(session, [run.id])
    spent = LedgerSum.of_entries(entries_by_run.get(run.id, ()))
    assert (spent.turns, spent.known_usd) == (run.turns, run.cost_usd)
