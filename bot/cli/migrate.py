"""`signalbox migrate`."""

from __future__ import annotations

import asyncio

import typer

from bot.assembly.backend import open_dsn, postgres_folder
from bot.assembly.settings import Settings
from core.domain.errors import BadRequest
from core.private_files import make_home_private
from core.store.database.connect import normalise_dsn, server_of
from core.store.database.engine import translate_errors
from core.store.database.migrate import downgrade, upgrade
from core.store.database.migration_loss import MigrationReport
from core.store.database.schema import newest_revision, revisions

_NEWEST = "head"


class RevisionNeeded(BadRequest):
    """A migration down without the revision to go to."""

    code = "revision_needed"

    def __init__(self) -> None:
        known = ", ".join(sorted(revisions()))
        super().__init__(
            "no revision to go down to",
            user_message="`--down` needs the revision to go down to, as in "
            f"`signalbox migrate --down 0009`: one of {known}, or `base` for no schema at all.",
        )


class ConsentNeeded(BadRequest):
    """A migration down without `--yes`."""

    code = "consent_needed"

    def __init__(self, report: MigrationReport, server: str) -> None:
        super().__init__(
            f"going down to {report.after} needs consent",
            user_message=f"Going down from {report.before} to {_revision(report.after)} deletes "
            f"from {_database(report, server)}: {_deletions(report)}. Nothing was changed. To do "
            "it, stop every process of Signalbox, make a backup, and add `--yes`.",
        )


async def run_migration(settings: Settings, *, revision: str, down: bool, yes: bool) -> None:
    """Migrate the schema up or down to a revision, and print what was done, and where.

    Raises:
        RevisionNeeded: If it is to go down, but not said to which revision.
        ConsentNeeded: If it is to go down, without `yes`; the error names what would be deleted.
        BadRevision: If the revision cannot be reached.
        Unavailable: If the database cannot be reached.
    """
    if down and revision == _NEWEST:
        raise RevisionNeeded
    await asyncio.to_thread(make_home_private, settings.node.home)
    async with open_dsn(settings) as dsn:
        server = (
            f"the embedded Postgres ({postgres_folder(settings)})"
            if settings.database.url is None
            else server_of(normalise_dsn(dsn))
        )
        with translate_errors():
            if down:
                said = await _go_down(normalise_dsn(dsn), revision, server, yes=yes)
            else:
                report = await asyncio.to_thread(upgrade, normalise_dsn(dsn), revision)
                said = _done(report, server) or _nothing_done(report, revision, server)
    typer.echo(said)


async def _go_down(dsn: str, revision: str, server: str, *, yes: bool) -> str:
    report = await asyncio.to_thread(downgrade, dsn, revision, is_trial=not yes)
    if report.before == report.after:
        return f"Nothing to do: {_database(report, server)} is at {_revision(report.after)}."
    if not yes:
        raise ConsentNeeded(report, server)
    return f"{_done(report, server)} Deleted: {_deletions(report)}."


def _done(report: MigrationReport, server: str) -> str:
    """What was done; empty if nothing was."""
    if report.before == report.after:
        return ""
    return (
        f"Migrated {_database(report, server)} from {_revision(report.before)} to "
        f"{_revision(report.after)}."
    )


def _nothing_done(report: MigrationReport, revision: str, server: str) -> str:
    place = f"{_database(report, server)} is at {_revision(report.after)}"
    if report.after == newest_revision() and revision != report.after and revision in revisions():
        return (
            f"Nothing was done: {place}, which is newer than {revision}. "
            f"`signalbox migrate --down {revision}` goes back to it."
        )
    newest = ", the newest revision" if report.after == newest_revision() else ""
    return f"Nothing to do: {place}{newest}."


def _database(report: MigrationReport, server: str) -> str:
    return f"the database `{report.database}` on {server}"


def _revision(revision: str | None) -> str:
    return revision or "no schema"


def _deletions(report: MigrationReport) -> str:
    rows = [
        f"{count:,} {'row' if count == 1 else 'rows'} of {table}"
        for table, count in report.deleted_rows.items()
    ]
    columns = [f"the column {name}" for name in report.deleted_columns]
    return ", ".join([*rows, *columns]) or "no rows"
