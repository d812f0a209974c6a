"""A worker that shares only the database with the others: no disk, no network."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from core.domain.fleet.attempt import node_of
from core.domain.fleet.workers import WorkerState
from core.domain.kills.termination import Phase
from core.domain.runs.request import ContinueRequest, KillRequest
from core.domain.runs.run import RunStatus
from tests.core_harness import CoreHarness, core_harness
from tests.flows.test_fleet import SHORT, Fleet, fleet
from tests.port_forward import relay
from tests.processes import Program, model_variables, new_home, running

__all__ = ["core_harness", "fleet"]

pytestmark = [pytest.mark.slow, pytest.mark.sampled(3, group="fleet")]


def can_unshare() -> bool:
    """Whether this machine allows new network namespaces."""
    try:
        done = subprocess.run(
            ("unshare", "--net", "true"), check=False, capture_output=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


@asynccontextmanager
async def model_socket(core_harness: CoreHarness) -> AsyncIterator[Path]:
    """A Unix socket that forwards to the model."""
    port = urlsplit(core_harness.model.url).port

    async def through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, far = await asyncio.open_connection("127.0.0.1", port)
        await relay(reader, far, answers, writer)

    with tempfile.TemporaryDirectory(prefix="sbpass-") as folder:
        path = Path(folder) / "model"
        server = await asyncio.start_unix_server(through, path)
        try:
            yield path
        finally:
            server.close()


def network_of(pid: int) -> str:
    """The network namespace of a process."""
    return str(Path(f"/proc/{pid}/ns/net").readlink())


@asynccontextmanager
async def isolated_worker(
    core_harness: CoreHarness, home: Path, model_socket: Path
) -> AsyncIterator[Program]:
    """A worker in its own network; a port there forwards to the model."""
    port = urlsplit(core_harness.model.url).port
    within = (
        *("unshare", "--net", sys.executable, "-m", "tests.port_forward"),
        *(str(port), str(model_socket)),
    )
    variables = {
        "DATABASE_URL": core_harness.backend.database.dsn,
        **model_variables(core_harness.model),
    }
    async with running("worker", home, within, **variables) as program:
        yield program


@pytest.mark.skipif(not can_unshare(), reason="needs the right to create a network namespace")
async def test_a_worker_in_another_network_works_can_be_killed_and_replaced(
    fleet: Fleet, tmp_path: Path
) -> None:
    core_harness = fleet.core_harness
    home = await asyncio.to_thread(new_home, tmp_path / "secluded")
    async with (
        model_socket(core_harness) as path,
        isolated_worker(core_harness, home, path) as worker,
    ):
        await worker.wait_until_listening()
        assert network_of(worker.process.pid) != network_of(os.getpid())
        there = await fleet.wait_for_state(WorkerState.UP)
        first = await core_harness.start(SHORT)
        done = (await core_harness.wait_until_ended(first)).run
        second = await fleet.start_working()

        await core_harness.backend.runs.kill(
            KillRequest(target=second.run_id), by=core_harness.operator
        )
        killed = await core_harness.wait_until_ended(second)

    assert done.status is RunStatus.COMPLETED, done.error_message
    assert node_of(done.worker_id or "") == there.node
    assert killed.run.status is RunStatus.KILLED
    assert killed.termination is not None
    assert killed.termination.phase is Phase.CONFIRMED
    fleet.lasting.finish()
    async with fleet.worker():
        request = ContinueRequest(target=killed.run.run_id, request_key=uuid4().hex, message=SHORT)
        started = await core_harness.backend.runs.continue_run(request, by=core_harness.operator)
        continued = (await core_harness.wait_until_ended(started.run)).run

    assert continued.status is RunStatus.COMPLETED, continued.error_message
    assert node_of(continued.worker_id or "") != there.node
