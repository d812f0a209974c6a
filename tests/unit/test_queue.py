from __future__ import annotations

import ast
import asyncio
import inspect
import re
from importlib import metadata
from pathlib import Path

import pytest
from procrastinate import App, JobContext, PsycopgConnector, sql, worker
from procrastinate.job_context import AbortReason
from procrastinate.jobs import Job as EngineJob
from procrastinate.manager import JobManager
from procrastinate.schema import SchemaManager
from procrastinate.testing import InMemoryConnector
from psycopg.conninfo import conninfo_to_dict

import core.queue
import migrations
from core.queue.connector import ResilientConnector
from core.queue.draining import DrainingWorker
from core.queue.engine_internals import statements
from core.queue.engine_internals.worker import SIDE_TASKS, WorkerQuery, worker_query
from tests.limits import patient

# Facts about the engine that `core.queue` uses although they are not guaranteed.  If a test here
# fails after an update of the engine, read the engine's new code before you change the test.

_QUEUE_FOLDER = Path(core.queue.__path__[0])


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


def test_the_engine_fetches_with_one_method_which_gives_its_slot_back_after_a_failure() -> None:
    name = "_fetch_and_process_jobs"

    assert list(inspect.signature(getattr(worker.Worker, name)).parameters) == ["self"]
    assert inspect.getsource(worker.Worker._run_loop).count(f"self.{name}(") == 2
    source = inspect.getsource(getattr(worker.Worker, name))
    assert "if (not job or self._stop_event.is_set()) and acquire_sem_task.done():" in source


def test_every_abort_request_uses_one_method() -> None:
    name = "_handle_abort_jobs_requested"

    assert list(inspect.signature(getattr(worker.Worker, name)).parameters) == ["self", "job_ids"]
    for way in (worker.Worker._handle_notification, worker.Worker._poll_jobs_to_abort):
        assert f"self.{name}(" in inspect.getsource(way)


def test_the_side_tasks_are_the_reviewed_ones() -> None:
    source = inspect.getsource(worker.Worker._start_side_tasks)

    for name in SIDE_TASKS:
        assert f'name="{name}"' in source
    assert source.count("create_task(") == len(SIDE_TASKS)


def test_the_first_step_of_a_worker_forgets_an_earlier_stop() -> None:
    source = inspect.getsource(worker.Worker.run)

    assert source.index("self._stop_event.clear()") < source.index("await ")


def test_the_tasks_of_jobs_in_hand_are_the_keys_of_one_mapping() -> None:
    assert "self._running_jobs[job_task] = context" in inspect.getsource(
        worker.Worker._fetch_and_process_jobs
    )


@pytest.mark.parametrize("query", WorkerQuery)
def test_the_engine_still_has_the_query(query: WorkerQuery) -> None:
    assert worker_query(sql.queries[query]) is query


def test_the_engine_listens_as_the_connector_does_in_its_place() -> None:
    assert sql.queries["listen_queue"].split("\n")[-1] == "LISTEN {channel_name};"
    assert list(inspect.signature(PsycopgConnector.listen_notify).parameters) == list(
        inspect.signature(ResilientConnector.listen_notify).parameters
    )


def test_what_the_statements_name_is_in_the_engines_schema() -> None:
    schema = SchemaManager.get_schema()
    defined = re.findall(
        r"^CREATE (?:TABLE|TYPE|FUNCTION) (procrastinate_\w+)", schema, re.MULTILINE
    )
    source = inspect.getsource(statements)

    named = set(re.findall(r"\bprocrastinate_\w+", source)) - {"procrastinate_queue_v1"}

    assert "procrastinate_defer_jobs_v1" in named
    assert named <= set(defined)
    assert "'procrastinate_queue_v1#'" in schema
    assert "json_build_object('type', 'job_inserted', 'job_id', NEW.id)" in schema
    for word in ("todo", "doing", "failed", "deferred"):
        assert f"    '{word}'," in schema


def test_nothing_private_of_the_engine_is_used_elsewhere_in_the_package() -> None:
    members = {*dir(_worker()), *dir(PsycopgConnector)}
    private = {name for name in members if name.startswith("_") and not name.startswith("__")}

    used = {
        (path.name, name)
        for path in _QUEUE_FOLDER.glob("*.py")
        for name in _names_in(path)
        if name in private
    }

    assert "_running_jobs" in private
    assert used == set()


def test_handing_a_job_over_loads_nothing_of_the_engine() -> None:
    for module in ("jobs.py", "engine_internals/statements.py"):
        source = (_QUEUE_FOLDER / module).read_text(encoding="utf-8")

        assert not re.search(r"^(from|import) procrastinate", source, re.MULTILINE)


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

    assert used_queries == set(WorkerQuery)


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
    await asyncio.wait({job}, timeout=patient(5))

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


def _worker() -> worker.Worker:
    return worker.Worker(app=App(connector=InMemoryConnector()), name="unit")


def _names_in(path: Path) -> set[str]:
    """Attributes that a module uses, and functions that it defines."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    return {node.attr for node in nodes if isinstance(node, ast.Attribute)} | {
        node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


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
