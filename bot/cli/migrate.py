"""`signalbox migrate`."""

from __future__ import annotations

import asyncio

import typer

from bot.assembly.settings import Settings
from bot.assembly.workplace import opened_dsn
from core.store.database.engine import normalise_dsn, translating
from core.store.database.migrate import downgrade, upgrade


async def run_migration(settings: Settings, *, revision: str, down: bool) -> None:
    """Go up or down to a revision and say so."""
    settings.node.home.mkdir(parents=True, exist_ok=True)
    async with opened_dsn(settings) as dsn:
        move = downgrade if down else upgrade
        with translating():
            await asyncio.to_thread(move, normalise_dsn(dsn), revision)
    typer.echo(f"The schema is at {revision}.")
