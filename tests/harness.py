"""A complete Signalbox in the test's process: sandbox, scripted model, bot and worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bot.assembly.app import serve
from bot.assembly.backend import Backend, open_backend
from bot.assembly.running_app import RunningApp
from bot.assembly.serve import AppProcess
from bot.assembly.settings import load_settings
from bot.sandbox.model.server import Model, open_model
from bot.sandbox.slack.delivery.dispatcher import RETRY_SECONDS
from bot.sandbox.slack.inspector import Problem
from bot.sandbox.slack.person.human import Human
from bot.sandbox.slack.server import ACK_SECONDS, Sandbox, open_sandbox
from core.domain.actor import SYSTEM
from core.domain.drawables import DrawableKind
from core.domain.runs.request import RunFilter
from core.domain.runs.run import Run
from core.domain.runs.snapshot import RunSnapshot
from core.store.database.engine import Database
from tests.card import BUILDS, DEFAULT_TIMEOUT, Card
from tests.isolation import isolation_for
from tests.limits import limit, patient
from tests.repositories import repositories_beside

# The program's own ten retries would take minutes, and so would another attempt of the run.
CONFIG = '[agent]\napi_retries = 1\nretry = "never"\n'
_START_LIMIT = 30.0
# A stop may take 15 s on an idle machine; one that takes longer there is a defect.
_STOP_LIMIT = 16.0


@dataclass
class Harness:
    """A sandbox and a model, and a Signalbox between them while `serving` is active.

    Attributes:
        transport: Transport of Slack's deliveries: "socket" or "http".
        home: The home of the first process; `serving` accepts another one.
        ack_times_ms: Milliseconds until the acknowledgement of each command.
    """

    transport: str
    sandbox: Sandbox
    model: Model
    database: Database
    home: Path
    ack_times_ms: list[float] = field(default_factory=list)
    _stops: list[tuple[float, float]] = field(default_factory=list)
    _observer: Backend | None = None

    @property
    def human(self) -> Human:
        """The actions of people."""
        return self.sandbox.human

    @asynccontextmanager
    async def serving(
        self,
        *,
        serves_slack: bool = True,
        runs_worker: bool = True,
        home: Path | None = None,
        waits_until_ready: bool = True,
        **variables: object,
    ) -> AsyncIterator[RunningApp]:
        """Run Signalbox in this process until the block ends.

        Args:
            serves_slack: Whether it is a bot.
            runs_worker: Whether it is a worker.
            home: Its home, if it is not the first one.
            waits_until_ready: Whether to wait until it is ready.
            variables: Settings that differ.
        """
        process = AppProcess()
        is_up: asyncio.Future[RunningApp] = asyncio.get_running_loop().create_future()
        settings = load_settings(**(self.variables(home or self.home) | variables))
        isolation = await asyncio.to_thread(isolation_for, settings) if runs_worker else None
        serving = asyncio.create_task(
            serve(
                settings,
                process,
                serves_slack=serves_slack,
                runs_worker=runs_worker,
                migrates=False,
                isolation=isolation,
                on_started=is_up.set_result,
            ),
            name="signalbox",
        )
        try:
            pending: set[asyncio.Future[Any]] = {serving, is_up}
            await asyncio.wait(
                pending, timeout=patient(_START_LIMIT), return_when=asyncio.FIRST_COMPLETED
            )
            if serving.done():
                await serving
            running = is_up.result()
            if serves_slack and self.transport == "http":
                self.sandbox.events_url = f"{running.url}/slack/events"
            if waits_until_ready:
                async with limit(_START_LIMIT):
                    await running.wait_until_ready()
            yield running
        finally:
            is_up.cancel()
            process.stop_requested.set()
            with self.stopping():
                async with limit(_STOP_LIMIT):
                    await serving

    def variables(self, home: Path) -> dict[str, object]:
        """The environment variables of one of its processes."""
        return {
            "DATABASE_URL": self.database.dsn,
            "SIGNALBOX_HOME": home,
            "SIGNALBOX_PORT": 0,
            "SLACK_API_URL": self.sandbox.api_url,
            "SLACK_BOT_TOKEN": self.sandbox.bot_token,
            "SLACK_APP_TOKEN": self.sandbox.app_token if self.transport == "socket" else None,
            "SLACK_SIGNING_SECRET": self.sandbox.signing_secret
            if self.transport == "http"
            else None,
            "ANTHROPIC_API_KEY": self.model.api_key,
            "ANTHROPIC_BASE_URL": self.model.url,
        }

    @contextmanager
    def stopping(self) -> Iterator[None]:
        """Ignore unacknowledged events while a bot stops: Slack sends them to the next bot."""
        began = self.sandbox.clock.now()
        try:
            yield
        finally:
            self._stops.append((began, self.sandbox.clock.now() + patient(ACK_SECONDS) + 1))

    @property
    def problems(self) -> list[Problem]:
        """Everything the real Slack would have refused, except events at the stop of a bot."""
        return [
            problem
            for problem in self.sandbox.problems
            if problem.kind != "late_ack"
            or not any(began <= problem.at <= ended for began, ended in self._stops)
        ]

    async def command(self, text: str, *, channel: str = BUILDS, user: str | None = None) -> None:
        """Type `/workflow …`."""
        answer = await self.human.slash(channel, "/workflow", text, user=user)
        assert answer.ok, answer
        self.ack_times_ms.append(answer.ack_ms)

    async def run(self, text: str, *, user: str | None = None) -> Card:
        """Type `/workflow run …` and wait for the new card."""
        before = len(self.run_cards())
        await self.command(f"run {text}", user=user)
        return await self.human.wait_for(
            lambda: self.run_cards()[before] if len(self.run_cards()) > before else None,
            what=f"a card for {text[:60]!r}",
        )

    async def start_in_tool_call(self, text: str, *, user: str | None = None) -> Card:
        """Start a run and wait until its agent is inside the second tool call."""
        card = await self.run(text, user=user)
        run = (await self.run_of(card)).run
        await self.wait_until(run, lambda seen: seen.run.tool_calls >= 2)
        return card

    def run_cards(self, channel: str = BUILDS) -> list[Card]:
        """The cards of a channel, oldest first."""
        return [
            Card(self.human, str(message["ts"]), channel)
            for message in self.human.messages(channel)
            if message.get("bot_id")
        ]

    async def wait_for_private(
        self, words: str, *, user: str | None = None, within: float = 20
    ) -> str:
        """Wait for a private answer with these words."""
        return await self.human.wait_for(
            lambda: next((text for text in self.private_messages(user) if words in text), None),
            timeout=patient(within),
            what=f"{words!r} in private",
        )

    async def command_and_wait(self, text: str, words: str, *, user: str | None = None) -> str:
        """Type `/workflow …` and wait for one new private answer with these words."""
        before = len(self.private_messages(user))
        await self.command(text, user=user)
        answers = await self.human.wait_for(
            lambda: self.private_messages(user)[before:], what=f"an answer to {text!r}"
        )
        assert len(answers) == 1, answers
        assert words in answers[0], answers
        return answers[0]

    def private_messages(self, user: str | None = None) -> list[str]:
        """All private messages to a person."""
        return [self.human.text(message) for message in self.human.ephemerals(user)]

    async def runs(self) -> list[Run]:
        """All runs, newest first."""
        found = await self.backend.runs.list_runs(RunFilter(), by=SYSTEM, limit=100)
        return [snapshot.run for snapshot in found]

    async def run_of(self, card: Card) -> RunSnapshot:
        """The newest run of a card's thread."""
        channel = self.sandbox.workspace.channel(card.channel).id
        runs = self.backend.runs
        # Slack shows a card a moment before its place is stored.
        async with limit(5):
            while True:
                run = await runs.run_of_thread(channel_id=channel, thread_ts=card.ts)
                if run is not None:
                    return await self.read_run(run)
                await asyncio.sleep(0.01)

    async def read_run(self, run: Run) -> RunSnapshot:
        """The present snapshot of a run."""
        return await self.backend.runs.snapshot(run.run_id, by=SYSTEM)

    async def wait_until(
        self,
        run: Run,
        predicate: Callable[[RunSnapshot], object],
        *,
        within: float = DEFAULT_TIMEOUT,
    ) -> RunSnapshot:
        """Wait until a predicate holds for a run; checked after each of its changes."""
        async with limit(within), self.backend.drawables.changes() as hints:
            while not predicate(snapshot := await self.read_run(run)):
                await anext(hints)
            return snapshot

    async def wait_until_ended(self, run: Run, *, within: float = DEFAULT_TIMEOUT) -> RunSnapshot:
        """Wait for a run's end, and until its work is saved and measured."""
        return await self.wait_until(
            run,
            lambda seen: not seen.run.is_live and not seen.run.is_work_pending,
            within=within,
        )

    async def wait_until_drawn(self, *, within: float = DEFAULT_TIMEOUT) -> None:
        """Wait until every thread shows the state of its rows."""
        async with limit(within):
            # The database does not notify about drawn threads, so it is polled.
            while await self._has_outdated_threads():  # noqa: ASYNC110
                # A question takes some milliseconds of the processor, drawing a second.
                await asyncio.sleep(0.2)

    async def _has_outdated_threads(self) -> bool:
        kinds = [DrawableKind.THREAD, DrawableKind.OWNER_NOTICE]
        return bool(
            await self.backend.drawables.outdated(team_id=self.sandbox.team_id, kinds=kinds)
        )

    def calls(self, method: str) -> int:
        """How often a method of the Web API was called."""
        return len(self.sandbox.calls(method))

    async def settle(self) -> None:
        """Wait until everything is drawn and delivered, including Slack's later retries."""
        await self.wait_until_drawn()
        for _ in RETRY_SECONDS:
            try:
                await self.sandbox.wait_until_idle(timeout=2)
            except TimeoutError:
                # A later retry begins to wait only after the one before it.
                self.sandbox.clock.advance(3600)
            else:
                return
        await self.sandbox.wait_until_idle()

    @property
    def backend(self) -> Backend:
        """A backend for reading rows, which needs no process of the test."""
        assert self._observer is not None
        return self._observer


@asynccontextmanager
async def open_harness(
    database: Database, home: Path, *, transport: str, config: str = CONFIG
) -> AsyncIterator[Harness]:
    """A harness that serves nothing yet."""
    await asyncio.to_thread(home.mkdir, parents=True)
    table = repositories_beside(home)
    await asyncio.to_thread((home / "signalbox.toml").write_text, f"{config}\n{table}")
    async with open_model() as model, open_sandbox(ack_timeout=patient(ACK_SECONDS)) as sandbox:
        harness = Harness(transport, sandbox, model, database, home)
        settings = load_settings(**harness.variables(home))
        async with open_backend(settings, migrates=False) as observed:
            harness._observer = observed
            yield harness
        assert not harness.problems, harness.problems


@pytest.fixture
async def idle_harness(
    transport: str, database: Database, tmp_path: Path
) -> AsyncIterator[Harness]:
    """A harness over the test's transport; the test enters `serving` itself."""
    async with open_harness(database, tmp_path / "home", transport=transport) as harness:
        yield harness


@pytest.fixture
async def harness(transport: str, database: Database, tmp_path: Path) -> AsyncIterator[Harness]:
    """A harness over the test's transport, with a bot and a worker in one process."""
    async with (
        open_harness(database, tmp_path / "home", transport=transport) as opened,
        opened.serving(),
    ):
        yield opened
        await opened.settle()


@pytest.fixture
async def socket_harness(database: Database, tmp_path: Path) -> AsyncIterator[Harness]:
    """A harness over Socket Mode only, for tests that do not depend on the transport."""
    async with (
        open_harness(database, tmp_path / "home", transport="socket") as opened,
        opened.serving(),
    ):
        yield opened
        await opened.settle()
