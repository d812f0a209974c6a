"""`signalbox migrate`."""

from __future__ import annotations

import asyncio

import typer

from bot.assembly.backend import open_dsn
from bot.assembly.settings import Settings
from core.private_files import make_home_private
from core.store.database.connect import normalise_dsn
from core.store.database.engine import translate_errors
from core.store.database.migrate import downgrade, upgrade


async def run_migration(settings: Settings, *, revision: str, down: bool) -> None:
    """Migrate the schema up or down to a revision, and print the revision."""
    await asyncio.to_thread(make_home_private, settings.node.home)
    async with open_dsn(settings) as dsn:
        operation = downgrade if down else upgrade
        with translate_errors():
            await asyncio.to_thread(operation, normalise_dsn(dsn), revision)
    typer.echo(f"The schema is at {revision}.")
