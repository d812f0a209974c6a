from __future__ import annotations

import asyncio
import inspect
from importlib import metadata
from pathlib import Path

import pytest
from procrastinate import App, sql, worker
from procrastinate.job_context import AbortReason, JobContext
from procrastinate.jobs import Job as EngineJob
from procrastinate.manager import JobManager
from procrastinate.schema import SchemaManager
from procrastinate.testing import InMemoryConnector
from psycopg.conninfo import conninfo_to_dict

import migrations
from core.queue.connector import RETRIED_QUERIES, ResilientConnector
from core.queue.draining import DrainingWorker

# Facts about the engine that `core.queue` uses although they are not guaranteed.  If a test here
# fails after an update of the engine, read the engine's new code before you change the test.


def test_the_engine_is_the_reviewed_release() -> None:
    assert metadata.version("procrastinate").startswith("3.10.")


def test_the_migration_is_the_schema_of_the_installed_engine() -> None:
    versions = Path(str(migrations.__file__)).parent / "versions"
    migration = (versions / "0002_engine.sql").read_text(encoding="utf-8")
    _, _, schema = migration.partition("\n-- ====\n")

    assert schema == SchemaManager.get_schema()


def test_the_end_of_the_engines_worker_is_unchanged() -> None:
    assert list(inspect.signature(worker.Worker._shutdown).parameters) == ["self", "side_tasks"]
    assert "await self._shutdown(side_tasks=side_tasks)" in inspect.getsource(
        worker.Worker._run_loop
    )
    assert "cancel_and_capture_errors(side_tasks)" in inspect.getsource(worker.Worker._shutdown)
    assert "unregister_worker" in inspect.getsource(worker.Worker._shutdown)


def test_every_abort_request_uses_one_method() -> None:
    name = "_handle_abort_jobs_requested"

    assert list(inspect.signature(getattr(worker.Worker, name)).parameters) == ["self", "job_ids"]
    for way in (worker.Worker._handle_notification, worker.Worker._poll_jobs_to_abort):
        assert f"self.{name}(" in inspect.getsource(way)


def test_the_side_tasks_are_the_reviewed_ones() -> None:
    source = inspect.getsource(worker.Worker._start_side_tasks)

    for name in ("update_heartbeats", "deferrer", "poll_jobs_to_abort", "listener"):
        assert f'name="{name}"' in source
    assert source.count("create_task(") == 4


@pytest.mark.parametrize("name", [*RETRIED_QUERIES, "listen_queue"])
def test_the_engine_still_has_the_query(name: str) -> None:
    assert name in sql.queries


def test_every_query_of_a_worker_is_retried() -> None:
    used_queries = set()
    for method in (
        JobManager.fetch_job,
        JobManager.finish_job_by_id_async,
        JobManager.list_jobs_to_abort_async,
        JobManager.prune_stalled_workers,
        JobManager.register_worker,
        JobManager.unregister_worker,
        JobManager.update_heartbeat,
    ):
        source = inspect.getsource(method)
        used_queries |= {name for name in sql.queries if f'sql.queries["{name}"]' in source}

    assert used_queries == set(RETRIED_QUERIES)


async def test_an_abort_before_a_jobs_first_step_still_lets_it_begin() -> None:
    began = asyncio.Event()
    draining = DrainingWorker(app=App(connector=InMemoryConnector()), name="unit")

    async def process() -> None:
        began.set()
        await asyncio.Event().wait()

    context = _context(draining, job_id=7)
    job = asyncio.create_task(process())
    draining._running_jobs[job] = context
    draining._handle_abort_jobs_requested([7])
    draining._handle_abort_jobs_requested([7])
    await asyncio.wait({job}, timeout=5)

    assert began.is_set()
    assert job.cancelled()
    assert job.cancelling() == 1


async def test_a_dsn_over_a_unix_socket_keeps_its_own_settings() -> None:
    connector = ResilientConnector(
        "postgresql://postgres:@/postgres?host=/a%20folder/data&connect_timeout=9", name="w1"
    )

    settings = conninfo_to_dict(connector._conninfo)
    assert settings["host"] == "/a folder/data"
    assert settings["connect_timeout"] == "9"
    assert settings["application_name"] == "signalbox w1"


def _context(draining: DrainingWorker, *, job_id: int) -> JobContext:
    task = draining.app.task(name="unit", pass_context=True)(_nothing)
    return JobContext(
        app=draining.app,
        job=EngineJob(id=job_id, queue="runs", lock=None, queueing_lock=None, task_name=task.name),
        start_timestamp=0,
        abort_reason=lambda: AbortReason.USER_REQUEST,
    )


async def _nothing(_: JobContext) -> None:
    return
