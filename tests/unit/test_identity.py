"""A worker's identity: the id of its disk, and the host on which its pids are valid."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from core.domain.fleet.attempt import (
    build_host_id,
    can_see_processes,
    disk_id_of_node,
    machine_name,
    node_of,
)
from core.runner.worker.identity import claimed_identity, disk_id_of, this_host
from tests.namespaces import can_unshare, with_own_disk

PRINT_IDENTITY = """
import sys
from pathlib import Path
from core.runner.worker.identity import claimed_identity
with claimed_identity(Path(sys.argv[1])) as one:
    print(one.node, one.host, flush=True)
    sys.stdin.read()
"""
NAMESPACES = pytest.mark.skipif(
    not can_unshare("--pid", "--mount", "--fork"), reason="needs the right to make namespaces"
)


def test_a_home_keeps_its_name_after_restarts_and_moves(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with claimed_identity(home) as first:
        pass
    with claimed_identity(home) as second:
        pass
    moved = home.rename(tmp_path / "moved")
    with claimed_identity(moved) as third:
        pass

    assert first.node == second.node == third.node
    assert len({one.worker_id for one in (first, second, third)}) == 3
    assert first.node.startswith(f"{machine_name(this_host())}-")
    assert {node_of(one.worker_id) for one in (first, second)} == {first.node}


def test_a_home_keeps_its_name_under_another_hostname(tmp_path: Path) -> None:
    # Like a container that was recreated on the same volume.
    (tmp_path / "disk-id").write_text("0f1e2d3c4b5a-01234567\n")

    with claimed_identity(tmp_path) as one:
        assert one.node == "0f1e2d3c4b5a-01234567-0"
        assert one.host == this_host()


def test_workers_of_one_home_share_its_disk_but_not_their_number(tmp_path: Path) -> None:
    with claimed_identity(tmp_path) as one, claimed_identity(tmp_path) as other:
        assert one.node != other.node
        assert disk_id_of_node(one.node) == disk_id_of_node(other.node)
        assert one.host == other.host
        assert one.scratch.folder != other.scratch.folder


def test_homes_on_different_disks_have_different_names(tmp_path: Path) -> None:
    with claimed_identity(tmp_path / "a") as one, claimed_identity(tmp_path / "b") as other:
        assert disk_id_of_node(one.node) != disk_id_of_node(other.node)


@NAMESPACES
def test_the_same_path_on_two_disks_is_two_homes_and_each_pid_namespace_a_host(
    tmp_path: Path,
) -> None:
    home, nothing = tmp_path / "home", tmp_path / "nothing"
    home.mkdir()
    nothing.mkdir()
    there = with_own_disk(home, copy_from=nothing)
    command = [*there, sys.executable, "-c", PRINT_IDENTITY, str(home)]
    reported = []
    with ExitStack() as stack:
        for _ in range(2):
            worker = stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            stack.callback(worker.kill)
            assert worker.stdout is not None
            reported.append(worker.stdout.readline().split())
    assert not list(home.iterdir()), "it is the same disk"

    (node, host), (other_node, other_host) = reported
    assert node != other_node
    assert len({host, other_host, this_host()}) == 3
    assert machine_name(host) == machine_name(other_host) == machine_name(this_host())


def test_concurrent_callers_get_the_same_disk_id(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        reported = list(threads.map(lambda _: disk_id_of(tmp_path), range(32)))

    assert len(set(reported)) == 1
    assert reported[0] == (tmp_path / "disk-id").read_text().strip()


@pytest.mark.parametrize("found", ["", "0bad", "../../etc\n", "a b-01234567"])
def test_an_invalid_disk_id_is_replaced(tmp_path: Path, found: str) -> None:
    (tmp_path / "disk-id").write_text(found)

    made = disk_id_of(tmp_path)

    assert made != found.strip()
    assert disk_id_of(tmp_path) == made


def test_the_previous_lock_holder_is_known_by_name(tmp_path: Path) -> None:
    with claimed_identity(tmp_path) as first:
        pass
    with claimed_identity(tmp_path) as second:
        pass

    assert first.predecessor is None
    assert second.predecessor == first.worker_id


def test_a_copied_home_has_no_predecessor(
    tmp_path: Path,
) -> None:
    home, copy = tmp_path / "home", tmp_path / "copy"
    with claimed_identity(home) as first:
        shutil.copytree(home, copy)
        with claimed_identity(copy) as second:
            assert second.node == first.node
            assert second.predecessor is None


def test_a_host_is_shown_by_its_hostname() -> None:
    assert machine_name(build_host_id("build", boot="6dd256fd", namespace=7)) == "build"
    assert machine_name(build_host_id("build", boot="1764000000")) == "build"
    assert machine_name("odd#name") == "odd"
    assert machine_name("of-an-earlier-version") == "of-an-earlier-version"


def test_a_kernels_processes_may_be_visible_from_its_other_namespaces() -> None:
    here = build_host_id("build", boot="6dd256fd", namespace=1)

    assert can_see_processes(here, here)
    assert can_see_processes(here, build_host_id("a-container", boot="6dd256fd", namespace=2))
    assert not can_see_processes(here, build_host_id("build", boot="00000000", namespace=1))
    assert not can_see_processes("build", "another")
    assert can_see_processes("build", "build")
