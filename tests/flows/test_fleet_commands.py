"""The state of the fleet: in Slack for authorized people, and on the server's command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.store.database.engine import Database
from tests.harness import Harness, socket_harness
from tests.processes import new_home, run_to_end

__all__ = ["socket_harness"]

pytestmark = pytest.mark.sampled(3, group="fleet")


async def test_slack_and_the_command_line_show_the_same_worker(
    socket_harness: Harness, tmp_path: Path
) -> None:
    harness = socket_harness
    home = new_home(tmp_path / "asking")
    answer = await harness.command_and_wait("workers", "0 of 4 slots in use")
    dsn = harness.database.dsn

    table = await run_to_end("workers", home=home, DATABASE_URL=dsn)
    facts = await run_to_end("workers", "--json", home=home, DATABASE_URL=dsn)

    assert table.status == facts.status == 0, table.errors + facts.errors
    (worker,) = json.loads(facts.output)["workers"]
    assert (worker["state"], worker["slots"], worker["free_slots"]) == ("up", 4, 4)
    assert worker["node"] in answer
    assert worker["node"] in table.output
    assert "takes runs" in answer


async def test_without_a_worker_the_command_line_says_so(
    database: Database, tmp_path: Path
) -> None:
    done = await run_to_end("workers", home=new_home(tmp_path / "h"), DATABASE_URL=database.dsn)

    assert done.status == 0, done.errors
    assert done.output.splitlines() == ["There is no worker.", "Runs that wait: 0"]


async def test_an_unreachable_database_is_reported_in_one_line(tmp_path: Path) -> None:
    unreachable_dsn = "postgresql://postgres@127.0.0.1:9/postgres"

    done = await run_to_end("workers", home=new_home(tmp_path / "h"), DATABASE_URL=unreachable_dsn)

    assert done.status == 2
    assert len(done.lines) == 1
    assert "database" in done.lines[0]
