"""The last line of `signalbox doctor`."""

from __future__ import annotations

import pytest

from bot.cli.check_result import (
    EVERY_PART,
    SLACK_PARTS,
    WORKER_PARTS,
    CheckResult,
    Part,
    failed,
    passed,
    verdict,
    warned,
)

FINE = passed("fine")
ODD = warned("odd")


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ([FINE], "No warnings: `up`, `bot` and `worker` would work."),
        ([FINE, ODD, ODD, ODD], "3 warnings: `up`, `bot` and `worker` would work."),
        (
            [warned("no Slack", stops=SLACK_PARTS)],
            "1 warning: `up` and `bot` would not work, `worker` would work.",
        ),
        (
            [failed("no isolation", stops=WORKER_PARTS), ODD],
            "1 error and 1 warning: `up` and `worker` would not work, `bot` would work.",
        ),
        (
            [warned("no key", spoils_runs=True)],
            "1 warning: `up`, `bot` and `worker` would work, but runs would fail.",
        ),
        (
            [failed("no worker", stops=WORKER_PARTS, spoils_runs=True)],
            "1 error: `up` and `worker` would not work, `bot` would work.",
        ),
        (
            [failed("a", stops=EVERY_PART), failed("b")],
            "2 errors: `up`, `bot` and `worker` would not work.",
        ),
    ],
)
def test_the_verdict_counts_and_says_what_would_work(results: list[CheckResult], said: str) -> None:
    assert verdict(results) == said


def test_a_line_says_what_it_keeps_from_working() -> None:
    line = warned("the schema is old.", stops=frozenset({Part.WORKER, Part.BOT})).line

    assert line == "! the schema is old. → `bot` and `worker` would not work."
    assert FINE.line == "✓ fine"
