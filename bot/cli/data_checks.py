"""Checks of `signalbox doctor` of what the database holds: whether it agrees, and its months."""

from __future__ import annotations

from bot.assembly.backend import utc_now
from bot.cli.check_result import CheckResult, failed, passed, warned
from bot.words.agreement import agreement_words, disagreement_words
from bot.words.counts import plural
from core.runner.agreement import AgreementCheck
from core.services.context import ServiceContext
from core.services.retention.partitions import PartitionService
from core.store.database.engine import Database

# Further ones are counted.
_SHOWN = 10


async def data_results(database: Database) -> list[CheckResult]:
    """Whether rows, ledger, history and transcripts agree; whether every month has its place."""
    found = await AgreementCheck(database).run()
    results = [failed(f"{disagreement_words(one)}.") for one in found.disagreements[:_SHOWN]]
    further = len(found.disagreements) - len(results)
    if further:
        results.append(failed(f"{further} more numbers do not agree."))
    if found.orphans:
        results.append(failed(f"{plural(found.orphans, 'event')} of runs that do not exist."))
    if not results:
        results.append(
            passed(f"rows, ledger, history and transcripts agree: {agreement_words(found)}")
        )
    return results + await _months(database)


async def _months(database: Database) -> list[CheckResult]:
    partitions = PartitionService(ServiceContext(database, utc_now))
    results: list[CheckResult] = []
    for table, rows in (await partitions.strays()).items():
        results.append(
            warned(
                f"{plural(rows, 'row')} of {table} without a partition of their month: a bot makes "
                "it within an hour, unless there are too many; retention then deletes them one by "
                "one."
            )
        )
    missing = await partitions.missing_now()
    if missing:
        results.append(
            warned(
                f"no partition of this month for {', '.join(missing)}: a bot that keeps the clock "
                "makes them."
            )
        )
    return results
