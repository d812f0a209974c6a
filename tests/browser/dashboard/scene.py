"""An installation in use, for pages that list what there is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from core.domain.actor import Actor, Role
from core.domain.runs.run import CostSource, Run, StopReason, WaitingOn
from core.store.database.engine import Database
from tests.alerts.world import AlertWorld
from tests.browser.dashboard.site import Site
from tests.database import stored_run
from tests.ledger_rows import spent

REPOSITORY = "https://github.com/acme/api"
LONG = "Move the billing of invoices to the new ledger " + "and keep every old export " * 12


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Runs in every state, of two people.

    Attributes:
        ada: Who looks; the owner of all runs but `others`.
    """

    database: Database
    world: AlertWorld
    ada: Actor
    running: Run
    waiting: Run
    queued: Run
    failed: Run
    limit: Run
    clean: Run
    others: Run


async def set_scene(site: Site, *, role: Role = Role.OPERATOR) -> Scene:
    """Fill the database; `ada` has this role."""
    database = site.api.database
    now = datetime.now(UTC)
    ada, ben = await site.member("U0ADA", role), await site.member("U0BEN")
    world = AlertWorld(database, now=now - timedelta(minutes=50))
    await world.worker()

    async def start(task: str, **fields: Any) -> Run:
        world.wait(minutes=4)
        given = {"user_id": ada.user_id, "git_repo": REPOSITORY, "git_branch": "main", **fields}
        return await world.start(task_input=task, max_turns=60, **given)

    await world.subscribe("C0123ABCD")
    limit = await start("Rename the settings of the mailer")
    await world.change(limit, turns=60, cost_usd=Decimal("1.4468734"), **REPORTED)
    await spent(database, limit, "1.4468734")
    await world.finish(limit, StopReason.MAX_TURNS)
    clean = await start("Add rate limiting to the API", workflow_name="fix")
    await world.change(clean, turns=12, cost_usd=Decimal("0.31"), **REPORTED)
    await spent(database, clean, "0.31")
    await world.finish(clean)
    failed = await start(LONG)
    await world.finish(failed, StopReason.API_ERROR, error_message="The API is overloaded")
    others = await start("Write the release notes", user_id=ben.user_id, workflow_name="document")
    waiting = await start("Drop the old tables", git_branch=None)
    await world.change(waiting, waiting_on=WaitingOn.APPROVAL, turns=4)
    running = await start("Make <b>the</b> tests & pages faster")
    await world.change(running, turns=7, cost_usd=Decimal("0.12"), cost_source=CostSource.ESTIMATED)
    await world.hear(running)
    world.wait(minutes=4)
    queued = await stored_run(
        database,
        task_input="Review the new mailer",
        workflow_name="review",
        user_id=ada.user_id,
        created_at=world.now,
        updated_at=world.now,
    )
    world.now = datetime.now(UTC)
    await world.worker()
    await world.evaluate()
    return Scene(
        database=database,
        world=world,
        ada=ada,
        running=running,
        waiting=waiting,
        queued=queued,
        failed=failed,
        limit=limit,
        clean=clean,
        others=others,
    )


REPORTED = {"cost_source": CostSource.REPORTED}
