"""`signalbox workers`: the workers, read directly from the database."""

from __future__ import annotations

import json
from collections.abc import Sequence

import typer

from bot.assembly.backend import open_dsn, require_current_schema, utc_now
from bot.assembly.settings import Settings
from core.domain.actor import SYSTEM
from core.domain.fleet.workers import FleetSnapshot, WorkerRecord, WorkerState
from core.services.context import ServiceContext
from core.services.fleet.fleet import FleetService
from core.store.database.engine import open_database, translate_errors

_HEADERS = ("NODE", "HOST", "STATE", "USED", "FREE", "ISOLATED", "VERSION", "HEARTBEAT")


async def run_workers(settings: Settings, *, as_json: bool) -> None:
    """Print the workers as a table or as JSON.

    Raises:
        SchemaBehind, SchemaTooNew: If the database's schema is not this program's.
        Unavailable: If it cannot be reached.
    """
    async with open_dsn(settings) as dsn, open_database(dsn, pool_size=1) as database:
        with translate_errors():
            await require_current_schema(database)
        view = await FleetService(ServiceContext(database, utc_now)).workers(by=SYSTEM)
    typer.echo(_json(view) if as_json else _table(view))


def _json(view: FleetSnapshot) -> str:
    return json.dumps(
        {
            "at": view.at.isoformat(),
            "waiting_runs": view.pending_runs,
            "workers": [_worker_json(one, view) for one in view.workers],
        },
        indent=2,
    )


def _worker_json(worker: WorkerRecord, view: FleetSnapshot) -> dict[str, object]:
    return {
        "worker_id": worker.worker_id,
        "node": worker.node,
        "host": worker.machine,
        "state": worker.state,
        "silent": worker.is_silent(view.at),
        "slots": worker.slots,
        "live_runs": worker.live_runs,
        "free_slots": worker.free_slots,
        "isolated": worker.isolation.is_active if worker.isolation else None,
        "isolation": worker.isolation.detail if worker.isolation else None,
        "version": worker.program_version,
        "started_at": worker.started_at.isoformat(),
        "heartbeat_at": worker.heartbeat_at.isoformat(),
        "stopped_at": worker.stopped_at.isoformat() if worker.stopped_at else None,
    }


def _table(view: FleetSnapshot) -> str:
    rows = [_HEADERS, *(_row(one, view) for one in view.workers)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADERS))]
    lines = [_line(row, widths) for row in rows] if view.workers else ["There is no worker."]
    return "\n".join([*lines, f"Runs that wait: {view.pending_runs}"])


def _row(worker: WorkerRecord, view: FleetSnapshot) -> tuple[str, ...]:
    state = "silent" if worker.is_silent(view.at) else str(worker.state)
    is_gone = worker.state is WorkerState.GONE
    seconds = max((view.at - worker.heartbeat_at).total_seconds(), 0)
    return (
        worker.node,
        worker.machine,
        state,
        "-" if is_gone else str(worker.live_runs),
        "-" if is_gone else str(worker.free_slots),
        _isolated(worker),
        worker.program_version or "-",
        f"{seconds:.0f} s ago",
    )


def _isolated(worker: WorkerRecord) -> str:
    if worker.isolation is None:
        return "-"
    return "yes" if worker.isolation.is_active else "NO"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
