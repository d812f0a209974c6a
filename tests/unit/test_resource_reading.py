"""What is read of processes and control groups, from recorded texts and from real trees."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from core.agent.process.process_tree import ProcessTree
from core.agent.resources import cgroup
from core.agent.resources.cgroup import GroupUsage
from core.agent.resources.looks import Looks, age_seconds, look_at
from core.agent.resources.proc_files import (
    ProcessMemory,
    ProcessTransfers,
    memory_of,
    parse_io,
    parse_status,
    transfers_of,
)
from core.domain.resources.sample import Look, SampleSource
from tests.limits import limit
from tests.unit.process_trees import StartedTree, linux_only, start_tree

STATUS = b"""Name:\tRssAnon: 7
State:\tS (sleeping)
VmPeak:\t  999999 kB
VmHWM:\t   40000 kB
VmRSS:\t   31000 kB
RssAnon:\t   20000 kB
RssFile:\t   10000 kB
RssShmem:\t    1000 kB
Threads:\t4
"""
IO = b"""rchar: 1
wchar: 2
syscr: 3
syscw: 4
read_bytes: 4096
write_bytes: 8192
cancelled_write_bytes: 5
"""
# Allocates and touches 60 MB, uses a processor for 0.4 s in a child that ends, and says so.
WORKING = """
import os, sys, time
held = b"x" * 60_000_000
if os.fork() == 0:
    end = time.process_time() + 0.4
    while time.process_time() < end:
        pass
    os._exit(0)
os.wait()
print("ready", flush=True)
sys.stdin.read()
time.sleep(60)
"""


def test_the_memory_of_a_process_is_read() -> None:
    kilobyte = 1024

    assert parse_status(STATUS) == ProcessMemory(
        own_bytes=20_000 * kilobyte,
        shared_bytes=11_000 * kilobyte,
        largest_bytes=40_000 * kilobyte,
    )


@pytest.mark.parametrize(
    "text",
    [
        None,
        b"",
        b"Name:\tkworker\nState:\tI (idle)\n",
        b"Name:\tx\nRssAnon:\t",
        b"x\nRssAnon: a kB",
    ],
)
def test_a_process_without_memory_has_none(text: bytes | None) -> None:
    assert parse_status(text) is None


def test_what_a_process_has_moved_is_read() -> None:
    assert parse_io(IO) == ProcessTransfers(read_bytes=4096, written_bytes=8192)
    assert parse_io(b"read_bytes: 1\ncancelled_write_bytes: 5\n") is None
    assert parse_io(None) is None


@linux_only
def test_the_kernel_writes_what_is_read_here() -> None:
    memory, transfers = memory_of(os.getpid()), transfers_of(os.getpid())

    assert memory is not None
    assert 1_000_000 < memory.own_bytes <= memory.largest_bytes
    assert transfers is not None
    assert transfers.written_bytes >= 0
    assert memory_of(2**22 + 1) is None
    assert transfers_of(2**22 + 1) is None


def group(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def test_a_group_is_read(tmp_path: Path) -> None:
    folder = group(
        tmp_path,
        cpu_stat="usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n",
        memory_stat="anon 3000\nfile 9000000\nkernel 70\nshmem 200\nfile_mapped 50\n",
        io_stat="8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=2\n",
    )

    assert cgroup.read_group(folder) == GroupUsage(
        cpu_seconds=2.5, memory_bytes=3250, read_bytes=11, written_bytes=22
    )


def test_what_a_group_does_not_count_is_unknown(tmp_path: Path) -> None:
    assert cgroup.read_group(tmp_path / "gone") == GroupUsage(
        cpu_seconds=None, memory_bytes=None, read_bytes=None, written_bytes=None
    )
    assert cgroup.read_group(group(tmp_path, io_stat="")).read_bytes == 0


def test_the_unified_hierarchy_is_found_among_others() -> None:
    text = b"4:memory:/other\n1:name=systemd:/\n0::/user.slice/run-7.scope\n"

    assert cgroup.parse_path(text) == "/user.slice/run-7.scope"
    assert cgroup.parse_path(b"4:memory:/other\n") is None
    assert cgroup.parse_path(None) is None


@pytest.mark.parametrize(
    ("path", "is_shared"),
    [
        ("/work", True),
        ("/", True),
        ("/work/run", False),
        ("/worker", False),
        ("/work.slice", False),
        ("/../elsewhere", True),
    ],
)
def test_a_group_around_the_worker_is_no_runs_own(path: str, *, is_shared: bool) -> None:
    assert cgroup.is_shared(path, "/work") is is_shared


@linux_only
def test_a_group_is_a_runs_own_if_nobody_else_is_in_it(tmp_path: Path) -> None:
    me = os.getpid()
    path = cgroup.group_path(me)
    if path is None:
        pytest.skip("this kernel has no control groups")
    folder = group(tmp_path / path.lstrip("/"), cgroup_procs=f"{me}\n{me + 1}\n")

    def found(*members: int, worker_path: str | None = "/the-worker") -> Path | None:
        return cgroup.own_group(me, members, worker_path=worker_path, root=tmp_path)

    assert found(me, me + 1) is None, "there is no unified hierarchy"
    group(tmp_path, cgroup_controllers="cpu io memory pids\n")
    if path == "/":
        assert found(me, me + 1) is None, "everybody is in the first group"
    else:
        assert found(me, me + 1) == folder
        assert found(me) is None, "somebody else is in it"
    assert found(me, me + 1, worker_path=path) is None, "the worker is in it"
    assert found(me, me + 1, worker_path=None) is None


async def look_until(tree: ProcessTree, predicate: Callable[[Look], bool]) -> Look:
    async with limit(15):
        while True:
            [look] = (await look_at([tree])).trees
            if look is not None and predicate(look):
                return look
            await asyncio.sleep(0.02)


def tree_of(started: StartedTree) -> ProcessTree:
    return ProcessTree(started.run_marker, started.root)


@linux_only
async def test_a_tree_counts_what_it_holds_and_what_ended_processes_used() -> None:
    with start_tree(sys.executable, "-c", WORKING) as started:
        look = await look_until(tree_of(started), lambda one: one.memory_bytes > 60_000_000)

        assert look.processes == 1
        assert 0.4 <= look.cpu_seconds < 5
        assert look.largest_bytes >= 60_000_000
        assert look.source is SampleSource.PROCESSES
        assert 0 < age_seconds(tree_of(started)) < 60


@linux_only
async def test_one_look_tells_several_trees_apart_also_orphans_and_other_sessions() -> None:
    orphaning = "(setsid sleep 61 &) ; sleep 60 & echo ready; wait"
    with (
        start_tree("bash", "-c", orphaning, with_reaper=True) as first,
        start_tree("bash", "-c", "sleep 62 & sleep 63 & sleep 64 & echo ready; wait") as second,
    ):
        gone = ProcessTree("run_gone")
        async with limit(15):
            while True:
                looks = await look_at([tree_of(first), gone, tree_of(second)])
                counts = [None if one is None else one.processes for one in looks.trees]
                if counts == [4, None, 4]:
                    break
                await asyncio.sleep(0.02)

        assert looks.worker.processes >= 1
        assert looks.worker.memory_bytes > 1_000_000
        assert looks.worker.cpu_seconds > 0


@linux_only
async def test_the_worker_is_seen_without_its_agents() -> None:
    with (
        start_tree("bash", "-c", "sleep 62 & echo ready; wait") as agent,
        start_tree("bash", "-c", "sleep 63 & echo ready; wait"),
    ):

        async def count(*trees: ProcessTree) -> int:
            looks: Looks = await look_at(trees)
            return looks.worker.processes

        assert await count() - await count(tree_of(agent)) == 2


@linux_only
async def test_a_pid_that_now_belongs_to_another_process_is_not_counted() -> None:
    with start_tree("bash", "-c", "echo ready; sleep 62") as started:
        tree = ProcessTree(started.run_marker)
        tree.seen[started.root.pid, started.root.started_ticks - 1] = started.root

        assert (await look_at([tree])).trees == [None]
