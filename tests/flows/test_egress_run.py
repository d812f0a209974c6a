"""A run with a list of hosts, from the slash command to what people read about the refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bot.assembly.backend import open_backend
from bot.assembly.settings import load_settings
from bot.sandbox.model.script import Script, Turn, bash, play_in_order
from core.domain.runs.event import EventKind
from core.store import events
from core.store.database.engine import Database
from tests.core_harness import open_worker
from tests.egress_harness import LOCAL_HOSTS, open_origin
from tests.harness import CONFIG, Harness, open_harness
from tests.isolation import isolation


@asynccontextmanager
async def _worker(harness: Harness, home: Path) -> AsyncIterator[None]:
    """A worker that finds the names of the test's own hosts."""
    settings = load_settings(**harness.variables(home))
    async with (
        open_backend(settings, migrates=False) as backend,
        open_worker(backend, home, resolve=LOCAL_HOSTS),
    ):
        yield


async def test_a_run_reaches_listed_hosts_only_and_people_read_what_was_refused(
    database: Database, tmp_path: Path
) -> None:
    isolation()
    async with open_origin() as listed, open_origin() as other:
        network = f'network = ["api.example.test:{listed.port}"]\n'
        command = (
            f"curl -s http://api.example.test:{listed.port}/; "
            f"curl -s http://evil.test:{other.port}/ http://evil.test:{other.port}/again; "
            f"curl -sk https://drop.example.test/; "
            f"curl -s --noproxy '*' http://127.0.0.1:{other.port}/; true"
        )
        async with (
            open_harness(
                database, tmp_path / "home", transport="socket", config=CONFIG + network
            ) as harness,
            harness.serving(runs_worker=False),
            _worker(harness, tmp_path / "home"),
        ):
            harness.model.script = Script(
                name="reach",
                description="reaches out",
                play=play_in_order(
                    Turn(text="Trying.", calls=(bash(command, "Reach out"),)),
                    Turn(text="## Summary\n\nTried all of them. " + "Nothing else was done. " * 5),
                ),
            )
            card = await harness.run("implement Reach out")
            await card.wait_until_completed()
            await harness.settle()
            run = (await harness.run_of(card)).run

            assert len(listed.received) == 1
            assert other.received == []
            async with database.sessions() as session:
                refused = [
                    event
                    for event in await events.of_run(session, run.id)
                    if event.kind is EventKind.HOST_REFUSED
                ]
            hosts = {(one.data["host"], one.data["port"]) for one in refused}
            assert hosts == {("evil.test", other.port), ("drop.example.test", 443)}
            words = "2 hosts were refused:"
            report = next(reply for reply in card.bot_replies() if words in reply)
            assert f"evil.test:{other.port}" in report
            assert "drop.example.test" in report
            status = await harness.command_and_wait(f"status {run.run_id}", words)
            assert f"evil.test:{other.port}" in status
