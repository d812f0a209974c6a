"""How long a checkpoint and going back to it take, by the number of files and the size of a change.

Each size is measured in a workspace of its own, with git confined as for an isolated agent where
this machine can do that.  A change rewrites one file, or several of at most 10 MB, with bytes that
do not compress.  Three times are measured: until the files are committed and on their reference;
until the bundle for the database is made as well; and going back.  While the first two are
measured, a working agent is imitated: a process that writes and reads small files and computes,
without a pause.  The baseline is a shell that commits the same files from a copy of the index.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import run
from uuid import uuid4

from benchmarks.results import heading, line, median, percentile
from core.agent.process.isolation_probe import find_isolation
from core.domain.isolation import IsolationMode
from core.domain.runs.checkpoint import Checkpoint, CheckpointReason
from core.workspace.checkpoints.taking import TakenFiles
from core.workspace.workspaces import Workspace, Workspaces

FILES = (10, 1_000, 10_000, 100_000)
CHANGES = (1_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
_FILE_BYTES = 500
_FILES_PER_FOLDER = 100
_LARGEST_FILE = 10_000_000
_AGENT = """
import hashlib, pathlib, sys
folder = pathlib.Path(sys.argv[1])
folder.mkdir()
print("ready", flush=True)
number = 0
while True:
    number += 1
    file = folder / f"{number % 50}.txt"
    file.write_text(str(number) * 500)
    hashlib.sha256(file.read_bytes() * 50).hexdigest()
"""


async def measure(
    *,
    repetitions: int = 20,
    files: Sequence[int] = FILES,
    changes: Sequence[int] = CHANGES,
) -> None:
    """Measure and print the results."""
    heading("checkpoints", "milliseconds beside a working agent, median and 95th percentile")
    for count in files:
        with tempfile.TemporaryDirectory(prefix="signalbox-bench-") as folder:
            workspaces = _workspaces(Path(folder))
            workspace = await _prepare(workspaces, count)
            for size in changes:
                await _measure_change(workspaces, workspace, count, size, repetitions)


async def _measure_change(
    workspaces: Workspaces, workspace: Workspace, count: int, size: int, repetitions: int
) -> None:
    taking: list[float] = []
    storing: list[float] = []
    restoring: list[float] = []
    baseline: list[float] = []
    previous: Checkpoint | None = None
    # As in a clone: the run began with these files.
    start = await asyncio.to_thread(_head, workspace.path)
    for number in range(repetitions + 1):
        async with _working_agent(Path(f"{workspace.path}-agent-{uuid4().hex[:8]}")):
            await asyncio.to_thread(_change, workspace.path, size)
            began = time.perf_counter()
            taken = await workspaces.checkpoints.take(workspace, start=start)
            found = _checkpoint_of(taken, workspace)
            await workspaces.checkpoints.keep(workspace, taken, found.reference)
            committed = time.perf_counter()
            await workspaces.checkpoints.pack(
                workspace, taken, basis=previous, max_bytes=2 * max(CHANGES)
            )
            packed = time.perf_counter()
            await asyncio.to_thread(_commit_plainly, workspace.path)
            committed_plainly = time.perf_counter()
        await asyncio.to_thread(_change, workspace.path, size)
        changed = time.perf_counter()
        await workspaces.checkpoints.restore(
            workspace, found, bundles=None, label=f"bench-{uuid4().hex[:8]}"
        )
        restored = time.perf_counter()
        previous = found
        # The first reads everything into the caches of the machine.
        if number:
            taking.append(committed - began)
            storing.append(packed - began)
            baseline.append(committed_plainly - packed)
            restoring.append(restored - changed)
    name = f"{count:,} files, {size:,} bytes"
    line(f"{name}: checkpoint", _milliseconds(taking))
    line("  with its bundle", _milliseconds(storing))
    line("  going back", _milliseconds(restoring))
    line("  checkpoint ÷ plain git", f"{median(taking) / median(baseline):.2f} ×")


def _milliseconds(samples: Sequence[float]) -> str:
    return (
        f"{median(samples) * 1000:.0f} ms, p95 {percentile(samples, 95) * 1000:.0f} ms "
        f"(n={len(samples)})"
    )


def _workspaces(folder: Path) -> Workspaces:
    found = find_isolation(
        IsolationMode.AUTO, home=folder, real_homes=(Path.home(),), search_path=os.environ["PATH"]
    )
    confine = found.isolation.confine if found.isolation is not None else None
    return Workspaces(folder / "home", git_timeout=timedelta(minutes=10), confine=confine)


async def _prepare(workspaces: Workspaces, count: int) -> Workspace:
    """A workspace with so many committed files."""
    workspace = await workspaces.prepare(
        workspace_id="ws_bench", source=None, branch=None, run_branch="signalbox/bench"
    )
    await asyncio.to_thread(_fill, workspace.path, count)
    found = await workspaces.reopen("ws_bench")
    if found is None:
        raise RuntimeError("the workspace is gone")
    return found


def _head(path: Path) -> str:
    found = run(["git", "rev-parse", "HEAD"], cwd=path, check=True, capture_output=True, text=True)
    return found.stdout.strip()


def _fill(path: Path, count: int) -> None:
    for number in range(count):
        file = path / f"{number // _FILES_PER_FOLDER:04}" / f"{number}.bin"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(os.urandom(_FILE_BYTES))
    identity = ["-c", "user.name=Bench", "-c", "user.email=bench@example.org"]
    for arguments in (["add", "-A"], ["commit", "-q", "-m", "Begin"]):
        run(["git", *identity, *arguments], cwd=path, check=True, timeout=600)


def _commit_plainly(path: Path) -> None:
    """Commit all files from a copy of the index, with nothing of Signalbox."""
    index = path / ".git" / "plain-index"
    script = (
        f"cp -p .git/index {index} && export GIT_INDEX_FILE={index} && git add --all"
        " && git -c user.name=b -c user.email=b@b commit-tree $(git write-tree) -p HEAD -m plain"
        f" && rm {index}"
    )
    run(["sh", "-c", script], cwd=path, check=True, capture_output=True, timeout=600)


def _change(path: Path, size: int) -> None:
    """Write so many new bytes."""
    for number, start in enumerate(range(0, size, _LARGEST_FILE)):
        (path / f"changed-{number}.bin").write_bytes(os.urandom(min(_LARGEST_FILE, size - start)))


@asynccontextmanager
async def _working_agent(folder: Path) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _AGENT, str(folder), stdout=asyncio.subprocess.PIPE
    )
    try:
        if process.stdout is None:
            raise RuntimeError("the agent has no output")
        await process.stdout.readline()
        yield
    finally:
        process.kill()
        await process.wait()


def _checkpoint_of(taken: TakenFiles, workspace: Workspace) -> Checkpoint:
    return Checkpoint(
        id=uuid4(),
        run_id=uuid4(),
        session_id=uuid4(),
        attempt=1,
        number=1,
        taken_at=datetime.now(UTC),
        reason=CheckpointReason.INTERVAL,
        commit=taken.commit,
        head_commit=taken.head_commit,
        base_commit=workspace.base_commit,
        branch=taken.branch,
        references=taken.references,
    )
