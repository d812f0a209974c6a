"""Starts the automatic next leg in the transaction that ends a run, which does not depend on it."""

from __future__ import annotations

import logging
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.errors import Unavailable
from core.domain.runs.run import Run
from core.domain.workflow import WorkflowDefinition
from core.runner.log_fields import log_fields
from core.services.runs.auto_continue import continue_automatically
from core.store.database.engine import translate_errors

log = logging.getLogger(__name__)


async def continue_if_possible(
    session: AsyncSession, ended: Run, definition: WorkflowDefinition, *, now: datetime
) -> None:
    """Start the next leg if the workflow asks for it; a failure leaves it to a person.

    Raises:
        Unavailable: If the database cannot be reached.
    """
    if definition.auto_continue is None:
        return
    try:
        with translate_errors():
            async with session.begin_nested():
                await continue_automatically(session, ended, definition, now=now)
    except Unavailable:
        raise
    except Exception:
        log.exception(
            "%s is not continued automatically",
            ended.run_id,
            extra=log_fields("run.auto_continue_failed", ended),
        )
