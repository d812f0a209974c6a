"""Machines that look alike: same hostname and home path, but other disks and processes."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from core.domain.fleet.attempt import build_host_id, machine_name
from core.domain.kills.termination import Phase
from core.domain.runs.event import EventKind
from core.domain.runs.run import Run, RunStatus
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.recovery.clean_up import Cleaner
from core.runner.recovery.interrupted_kills import InterruptedKills
from core.runner.worker.identity import claimed_identity, disk_id_of, this_host
from core.store.fleet import attempts
from core.workspace.scratch import open_scratch, staging_path
from tests.core_harness import CoreHarness, core_harness
from tests.flows.test_kill_rescue import (
    events_of_kind,
    own_identity,
    record_kill,
    start_on_lost_worker,
)
from tests.lasting import LASTING, MANY_TURNS, LastingWork
from tests.namespaces import can_unshare, with_own_disk
from tests.processes import Program, model_variables, new_home, run_to_end, running
from tests.unit.process_trees import linux_only

__all__ = ["core_harness"]

pytestmark = [linux_only, pytest.mark.sampled(3)]

# Same kernel and hostname, other processes: a second container on the machine.
BESIDE = f"{this_host()}0"
BEFORE_THE_BOOT = build_host_id(machine_name(this_host()), boot="00000000", namespace=1)


def kills_of(core_harness: CoreHarness, host: str, home: Path) -> InterruptedKills:
    """The service that finishes interrupted kills, on that host with a separate disk."""
    ledger = Ledger(core_harness.backend.context, f"{disk_id_of(home)}-0:alive000", host)
    return InterruptedKills(ledger, Cleaner(home), remote_grace=timedelta(0))


@asynccontextmanager
async def container(
    core_harness: CoreHarness, home: Path, copy_from: Path
) -> AsyncIterator[Program]:
    """A worker with this hostname and home path, on another disk, in its own pid namespace."""
    within = with_own_disk(home, copy_from=copy_from)
    variables = {
        "DATABASE_URL": core_harness.backend.database.dsn,
        **model_variables(core_harness.model),
    }
    async with running("worker", home, within, **variables) as program:
        try:
            await program.wait_until_ready()
            yield program
        finally:
            # The first process of a container receives no other signal from its parent.
            program.send(signal.SIGKILL)


@pytest.mark.skipif(
    not can_unshare("--pid", "--mount", "--fork"), reason="needs the right to make namespaces"
)
async def test_a_starting_worker_takes_nothing_from_one_with_its_hostname_and_home(
    core_harness: CoreHarness, tmp_path: Path
) -> None:
    home = core_harness.settings.node.home
    filling = await asyncio.to_thread(new_home, tmp_path / "filling")
    async with container(core_harness, home, filling):
        lasting = LastingWork(core_harness.model)
        run = await core_harness.start(LASTING, max_turns=MANY_TURNS)
        await core_harness.wait_until(run, lambda seen: seen.run.tool_calls >= 1)

        async with core_harness.worker():
            lasting.finish()
            seen = await core_harness.wait_until_ended(run)

    assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message
    assert seen.run.attempt == 1
    assert await events_of_kind(core_harness, run, EventKind.WORKER_LOST) == []
    assert await events_of_kind(core_harness, run, EventKind.LEFTOVERS_ENDED) == []


async def test_the_same_hostname_does_not_confirm_a_kill_in_another_pid_namespace(
    core_harness: CoreHarness, tmp_path: Path
) -> None:
    run = await start_on_lost_worker(core_harness, "build-00000000-0:dead0000", BESIDE)
    await record_kill(core_harness, run, Phase.INTERRUPTED)

    await kills_of(core_harness, this_host(), tmp_path / "a").finish_kill(
        (await core_harness.read_run(run)).run
    )
    unconfirmed = await core_harness.read_run(run)
    await kills_of(core_harness, BESIDE, tmp_path / "b").finish_kill(unconfirmed.run)
    confirmed = await core_harness.read_run(run)

    assert unconfirmed.run.status is RunStatus.RUNNING
    assert unconfirmed.termination is not None
    assert unconfirmed.termination.phase is Phase.UNCONFIRMED
    assert unconfirmed.kill_machine == machine_name(this_host())
    assert confirmed.termination is not None
    assert confirmed.termination.phase is Phase.CONFIRMED


async def run_before_reboot(core_harness: CoreHarness) -> Run:
    """A run of a worker on this disk, from before its machine was rebooted."""
    worker_id, _ = own_identity(core_harness)
    return await start_on_lost_worker(core_harness, worker_id, BEFORE_THE_BOOT)


async def test_a_run_continues_at_once_after_a_reboot_of_its_machine(
    core_harness: CoreHarness,
) -> None:
    run = await run_before_reboot(core_harness)

    async with core_harness.worker():
        seen = await core_harness.wait_until_ended(run)

    assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message
    assert seen.run.attempt == 2
    assert len(await events_of_kind(core_harness, run, EventKind.WORKER_LOST)) == 1
    async with core_harness.backend.database.sessions() as session:
        first, _ = await attempts.of_run(session, run.id)
    assert first.gone_at is not None


async def test_a_kill_is_confirmed_at_once_after_a_reboot_of_its_machine(
    core_harness: CoreHarness,
) -> None:
    run = await run_before_reboot(core_harness)
    await record_kill(core_harness, run, Phase.TERMINATED)

    async with core_harness.worker():
        seen = await core_harness.wait_until_ended(run)

    assert seen.run.status is RunStatus.KILLED
    assert seen.termination is not None
    assert seen.termination.phase is Phase.CONFIRMED
    assert "unseen_hosts" not in seen.termination.cleanup
    assert await events_of_kind(core_harness, run, EventKind.KILL_UNCONFIRMED) == []


async def test_a_copy_of_a_home_is_refused_with_one_line_while_the_original_works(
    core_harness: CoreHarness, tmp_path: Path
) -> None:
    home, copy = core_harness.settings.node.home, tmp_path / "copy"
    async with core_harness.worker() as runtime:
        await asyncio.to_thread(shutil.copytree, home, copy)
        refused = await run_to_end(
            "worker",
            home=copy,
            SIGNALBOX_PORT=0,
            DATABASE_URL=core_harness.backend.database.dsn,
            **model_variables(core_harness.model),
        )
        assert runtime.is_ready
        await asyncio.to_thread((copy / "disk-id").unlink)
        with claimed_identity(copy) as repaired:
            assert repaired.node != runtime.identity.node

    assert refused.status == 2, refused.errors
    (line,) = [one for one in refused.lines if one.startswith("signalbox: ")]
    assert f"Delete {copy / 'disk-id'} " in line
    assert "Traceback" not in refused.errors


async def test_temporary_files_of_a_killed_worker_are_removed_by_the_next(
    core_harness: CoreHarness,
) -> None:
    home = core_harness.settings.node.home
    dead = {
        home / "tmp/worker-00000000dead/signalbox-x",
        home / "workspaces/.ws_1.worker-00000000dead-00000001",
        home / "workspaces/.ws_2.00000001",
    }

    def leave_files() -> set[Path]:
        for path in dead:
            path.mkdir(parents=True)
        (home / "tmp/worker-00000000dead.lock").touch()
        theirs = {scratch.folder / "signalbox-y", staging_path(home / "workspaces/ws_3", scratch)}
        for path in theirs:
            path.mkdir()
        return theirs

    def remaining_files() -> set[Path]:
        return {path for path in dead | live if path.exists()}

    with open_scratch(home) as scratch:
        live = await asyncio.to_thread(leave_files)
        async with core_harness.worker():
            remaining = await asyncio.to_thread(remaining_files)

    assert remaining == live
    assert not await asyncio.to_thread((home / "tmp/worker-00000000dead.lock").exists)
