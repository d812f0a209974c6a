"""The machine-readable fields of log lines about a run."""

from __future__ import annotations

from core.domain.runs.run import Run


def log_fields(event: str, run: Run, **fields: object) -> dict[str, object]:
    """Return the `extra` of a log call: the event, the run's attempt, and further fields.

    Args:
        event: Stable dotted name, as `run.ended`; one name for each event.
        run: What the line is about.
        fields: Values beside them, by name; none that `logging.LogRecord` uses itself.
    """
    return {"event": event, "run_id": run.run_id, "attempt": run.attempt, **fields}
