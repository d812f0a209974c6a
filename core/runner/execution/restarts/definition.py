"""The workflow definition that a run follows, and keeping it for a restart."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from core.agent.definitions.catalog import Catalog
from core.agent.definitions.stored import (
    StoredDefinition,
    UnreadableDefinition,
    read_stored,
    stored_form,
    with_present_rights,
)
from core.domain.runs.restarts.origin import DEFINITION_KEY, follows
from core.domain.runs.run import Run
from core.domain.workflow import UnknownWorkflow, WorkflowDefinition
from core.runner.resilience import UNLIMITED_PATIENCE, retry_while_unavailable
from core.services.context import ServiceContext
from core.store import definitions


async def definition_of(context: ServiceContext, catalog: Catalog, run: Run) -> WorkflowDefinition:
    """The definition that a run follows: the present one, or the stored one of a restart.

    Raises:
        UnknownWorkflow: If the workflow was removed.
        UnreadableDefinition: If the stored definition is gone, or cannot be read.
    """
    digest = follows(run)
    if digest is None:
        return catalog.get(run.workflow_name)

    async def read() -> WorkflowDefinition:
        async with context.transaction() as session:
            found = await definitions.find(session, digest)
        if found is None:
            raise UnreadableDefinition(digest)
        return read_stored(StoredDefinition(digest=digest, name=found[0], content=found[1]))

    stored = await retry_while_unavailable(read, patience=UNLIMITED_PATIENCE)
    return with_present_rights(stored, _present(catalog, run))


def _present(catalog: Catalog, run: Run) -> WorkflowDefinition | None:
    try:
        return catalog.get(run.workflow_name)
    except UnknownWorkflow:
        return None


async def keep_definition(
    session: AsyncSession, definition: WorkflowDefinition, *, now: datetime
) -> Mapping[str, str]:
    """Store the definition that a run follows; returns the part of its metadata that names it."""
    kept = stored_form(definition)
    await definitions.keep(session, kept.digest, kept.name, kept.content, now=now)
    return {DEFINITION_KEY: kept.digest}
