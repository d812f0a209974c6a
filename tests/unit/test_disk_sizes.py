"""The sizes of workspaces in use: one at a time, seldom, and never for long."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from core.runner.resources.disk_sizes import DiskSizes, MeasuringTimes

AT_ONCE = MeasuringTimes(every=timedelta(0))


@pytest.fixture
def present(tmp_path: Path) -> dict[str, Path]:
    """Three workspaces of different sizes."""
    folders = {}
    for number in (1, 2, 3):
        folder = tmp_path / f"ws_{number}"
        folder.mkdir()
        (folder / "file").write_bytes(b"x" * number * 100_000)
        folders[folder.name] = folder
    return folders


async def test_each_workspace_is_measured_in_its_turn(present: dict[str, Path]) -> None:
    sizes = DiskSizes(lambda: present, AT_ONCE)

    for _ in present:
        assert await sizes.measure_one() > 0

    found = [sizes.of(name) for name in present]
    assert all(
        size is not None and number * 100_000 <= size < number * 100_000 + 50_000
        for number, size in enumerate(found, 1)
    )


async def test_none_is_measured_again_before_its_time(present: dict[str, Path]) -> None:
    sizes = DiskSizes(lambda: present)

    used = [await sizes.measure_one() for _ in range(5)]

    assert [one > 0 for one in used] == [True, True, True, False, False]


async def test_a_workspace_that_is_no_longer_in_use_is_forgotten(present: dict[str, Path]) -> None:
    sizes = DiskSizes(lambda: present)
    for _ in range(3):
        await sizes.measure_one()

    folder = present.pop("ws_2")
    await sizes.measure_one()
    forgotten = sizes.of("ws_2")
    present["ws_2"] = folder

    assert forgotten is None
    assert sizes.of("ws_1") is not None
    assert await sizes.measure_one() > 0
    assert sizes.of("ws_2") is not None


async def test_a_workspace_that_takes_too_long_has_no_size(present: dict[str, Path]) -> None:
    sizes = DiskSizes(lambda: present, MeasuringTimes(limit=timedelta(seconds=-1)))

    await sizes.measure_one()

    assert [sizes.of(name) for name in present] == [None, None, None]


async def test_a_workspace_that_is_gone_has_nothing(tmp_path: Path) -> None:
    sizes = DiskSizes(lambda: {"ws_1": tmp_path / "gone"})

    await sizes.measure_one()

    assert sizes.of("ws_1") == 0
