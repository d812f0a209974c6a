"""The command line as a process of its own, against a real `signalbox up` with a real agent."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.assembly.web.local_access import access_file, read_access
from core.domain.actor import SYSTEM, Origin
from core.store import audit
from core.store.database.engine import Database
from tests.flows.browsers import sign_in
from tests.harness import Harness, open_harness
from tests.lasting import LASTING, MANY_TURNS, LastingWork
from tests.limits import limit
from tests.processes import Program, ProgramResult, environment, run_to_end, running

pytestmark = pytest.mark.slow

# Proxies that lead nowhere: what is on this machine is reached without them.
NOWHERE = {"http_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
CONSOLE = "/api/v1/workflows/claude-code"


@pytest.fixture
async def harness(database: Database, tmp_path: Path) -> AsyncIterator[Harness]:
    """A sandbox and a model, and a home for `up`."""
    async with open_harness(database, tmp_path / "home", transport="socket") as opened:
        opened.home.chmod(0o700)
        yield opened


@asynccontextmanager
async def up(harness: Harness) -> AsyncIterator[Program]:
    """`signalbox up`, ready."""
    variables = harness.variables(harness.home)
    async with running("up", harness.home, **variables) as program:
        await program.wait_until_ready()
        yield program
        with harness.stopping():
            program.send(signal.SIGTERM)
            assert await program.wait_until_ended() == 0, program.output


class Person:
    """Somebody at a terminal of the same machine, who has set nothing but the home."""

    def __init__(self, home: Path) -> None:
        self.home = home

    async def types(self, *arguments: str, **variables: object) -> ProgramResult:
        """Run a command to its end."""
        return await run_to_end(*arguments, home=self.home, **NOWHERE | variables)

    async def reads(self, *arguments: str) -> Any:
        """The JSON of a command that succeeds."""
        done = await self.types(*arguments, "--json")
        assert done.status == 0, done.errors
        return json.loads(done.output)

    async def interrupts(self, *arguments: str, after: str) -> ProgramResult:
        """Run a command, and press Ctrl-C once it has printed these words."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "bot", *arguments),
            env=environment(self.home, dict(NOWHERE)),
            cwd=self.home,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        seen = ""
        try:
            async with limit(60):
                while after not in seen:
                    line = await process.stdout.readline()
                    assert line, seen
                    seen += line.decode()
                process.send_signal(signal.SIGINT)
                rest, errors = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return ProgramResult(process.returncode, seen + rest.decode(), errors.decode())


@pytest.mark.sampled(2, group="programs")
async def test_a_person_at_the_machine_needs_no_configuration(harness: Harness) -> None:
    person, lasting = Person(harness.home), LastingWork(harness.model)
    before = await person.types("status")
    async with up(harness) as program:
        access = read_access(harness.home)
        assert access is not None
        file = access_file(harness.home).stat()
        done = await person.types("run", "builder", "--wait", "Add rate limiting & <tests>")
        (listed,) = (await person.reads("runs", "--mine"))["runs"]
        run_id = listed["run_id"]
        shown = await person.reads("status", run_id[:9])
        headers = {"Authorization": f"Bearer {access.token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.get(f"{access.url}{CONSOLE}/run/{run_id}/status") as answer,
        ):
            same = await answer.json()
        log = await person.types("logs", run_id, "--json")
        lines = [json.loads(line) for line in log.output.splitlines()]
        stopped = await person.types("run", "fix", "--turns=2", "--wait", "--json", LASTING)
        live = await person.reads(
            "run", "fix", "--turns", str(MANY_TURNS), "--session", "s", LASTING
        )
        followed = await person.interrupts("logs", "-f", live["run_id"], after="agent: Turn")
        busy = await person.types("continue", "s", "and", "more")
        killed = await person.types("kill", "--wait", live["run_id"], "wrong", "branch")
        ended = await person.types("status", "--wait", "s")
        missing = await person.types("status", "run_ffffffffffff")
        link = await person.types("dashboard")
        dashboard = await sign_in(link.output)
        wrong = await person.types("run", "fix", "--turns", "5000", "x")
        refused = await person.types("runs", SIGNALBOX_TOKEN="sbx_nobodys")
        lasting.finish()
        await harness.settle()
        async with harness.database.sessions() as session:
            trail = await audit.recent(session, 100)
        output = program.output
    after = await person.types("runs")

    assert link.status == 0, link.errors
    assert "operator" in dashboard
    assert run_id in dashboard
    assert before.status == 4
    assert "`signalbox up` writes one" in before.errors
    assert stat.S_IMODE(file.st_mode) == 0o600
    assert file.st_uid == os.geteuid()
    assert access.token not in output

    assert done.status == 0, done.output + done.errors
    assert "tool" in done.output
    assert f"{run_id}  Completed" in done.output
    assert listed["task"] == "Add rate limiting & <tests>"
    assert [one["reason"] for one in shown.pop("checkpoints")][-1] == "leg_ended"
    assert {**shown, "elapsed_seconds": 0} == {**same, "elapsed_seconds": 0}
    assert shown["outcome"] == "clean"
    assert lines[0]["kind"] == "run_queued"
    assert lines[-1]["id"] == max(line["id"] for line in lines)

    assert stopped.status == 7, stopped.output + stopped.errors
    assert json.loads(stopped.output)["stop_reason"] == "max_turns"

    assert followed.status == 130
    assert f"{live['run_id']} goes on. `signalbox logs -f" in followed.errors
    assert "Traceback" not in followed.errors
    assert busy.status == 9
    assert f"`signalbox logs -f {live['run_id']}` follows it" in busy.errors
    assert killed.status == 0, killed.output + killed.errors
    assert "is killed, nothing of it is left running" in killed.output
    assert ended.status == 6
    assert "Killed" in ended.output

    assert missing.status == 3
    assert wrong.status == 2
    assert "--turns" in wrong.errors
    assert refused.status == 4
    assert "SIGNALBOX_TOKEN" in refused.errors
    assert "sbx_nobodys" not in refused.errors
    assert after.status == 5
    assert access.url in after.errors
    assert "signalbox up" in after.errors

    acts = [entry for entry in trail if entry.actor.origin is Origin.API]
    assert {entry.action for entry in acts} >= {"start", "kill"}
    assert len({entry.details["token"] for entry in acts}) == 1
    assert next(e for e in trail if "created_token" in e.details).actor.name == SYSTEM.name
