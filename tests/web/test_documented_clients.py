"""The examples of `docs/api.md` for the command line and for Python work as they stand there."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from core.domain.actor import Role
from core.domain.runs.run import StopReason
from core.store.runs import runs
from tests.alerts.world import fired_alert
from tests.api import ApiHarness
from tests.database import NOW, running_run
from tests.limits import limit
from tests.web.documented import ROOT, blocks


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with a `signalbox` that is this one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "signalbox"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bot "$@"\n')
    program.chmod(0o755)
    return folder


async def output_of(*command: str, **variables: str) -> str:
    """What a command prints; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={"PATH": os.environ["PATH"], "NO_PROXY": "*", "PYTHONPATH": str(ROOT)} | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with limit(60):
        out, problems = await process.communicate()
    assert process.returncode == 0, (command, out, problems)
    return out.decode()


async def test_the_commands_print_the_json_of_the_api(
    api: ApiHarness, programs: Path, tmp_path: Path
) -> None:
    run = await running_run(api.database)
    variables = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "SIGNALBOX_HOME": str(tmp_path),
        "SIGNALBOX_URL": f"http://{api.host}",
        "SIGNALBOX_TOKEN": await api.token(role=Role.ADMIN),
        "RUN": run.run_id,
        "ALERT": str(await fired_alert(api.database, workflow_name="fix")),
    }
    (script,) = blocks("bash", section="From the command line")

    printed = await output_of("bash", "-euc", script, **variables)

    started, status, kill, listed, *lines = map(json.loads, printed.splitlines())
    *lines, alerts, acknowledged, snoozed, subscribed = lines
    assert started["is_new"]
    assert started["max_turns"] == 30
    assert (status["run_id"], status["headline"]) == (run.run_id, "Running")
    assert (kill["run_id"], kill["reason"]) == (run.run_id, "wrong branch")
    assert {one["run_id"] for one in listed["runs"]} >= {run.run_id, started["run_id"]}
    assert {line["kind"] for line in lines} <= {"run_queued", "run_started", "kill_phase"}
    assert [one["alert_id"] for one in alerts["alerts"]] == [variables["ALERT"]]
    assert acknowledged["acknowledged_by"] == "ci"
    assert snoozed["snoozed_by"] == "ci"
    assert subscribed == {"subscriptions": []}
    assert len(script.splitlines()) == 9


async def test_the_program_in_python_waits_for_its_run(api: ApiHarness) -> None:
    program, _ = blocks("python", section="From Python")
    variables = {
        "SIGNALBOX_URL": f"http://{api.host}",
        "SIGNALBOX_TOKEN": await api.token(role=Role.RUNNER),
    }

    async def end_the_run() -> str:
        """End the run that the program starts, as its worker would."""
        token = await api.token("reader", role=Role.VIEWER)
        while True:
            found = (await api.get("/workflows/claude-code/runs", token)).body["runs"]
            if found:
                break
            await asyncio.sleep(0.1)
        run_id: str = found[0]["run_id"]
        async with api.database.sessions.begin() as session:
            await runs.finish(
                session, run_id, attempt=1, stop_reason=StopReason.SETUP_ERROR, now=NOW
            )
        return run_id

    async with limit(60):
        printed, run_id = await asyncio.gather(
            output_of(sys.executable, "-c", program, **variables), end_the_run()
        )

    assert printed.startswith(f"{run_id} ")
    assert printed.rstrip().endswith("None")


async def test_the_program_in_python_prints_what_nobody_takes_care_of(api: ApiHarness) -> None:
    _, program = blocks("python", section="From Python")
    token = await api.token(role=Role.RUNNER)
    alert_id = await fired_alert(api.database)
    variables = {"SIGNALBOX_URL": f"http://{api.host}", "SIGNALBOX_TOKEN": token}

    before = await output_of(sys.executable, "-c", program, **variables)
    await api.post(f"/alerts/{alert_id}/acknowledge", token)
    after = await output_of(sys.executable, "-c", program, **variables)

    assert before.startswith("warning failed ")
    assert after == ""
