"""How runs ended, as the parts of bars."""

from __future__ import annotations

from collections.abc import Sequence

from bot.charts.palette import Tone
from bot.charts.specs import Series
from bot.web.dashboard.analytics.columns import clean_runs
from bot.words import counts
from core.domain.analytics.figures import Figures
from core.domain.runs.run import RunStatus


def outcome_series(shown: Sequence[Figures]) -> list[Series]:
    """How runs ended: the parts of a bar."""
    return [
        Series(name="Clean", tone=Tone.CLEAN, values=[clean_runs(one) for one in shown]),
        Series(name="To look at", tone=Tone.ATTENTION, values=[one.attention for one in shown]),
        Series(
            name="Unfinished",
            tone=Tone.FAILED,
            values=[one.of_status(RunStatus.FAILED) for one in shown],
        ),
        Series(
            name="Killed",
            tone=Tone.KILLED,
            values=[one.of_status(RunStatus.KILLED) for one in shown],
        ),
    ]


def outcome_words(shown: Sequence[Figures]) -> str:
    """How many runs ended in which way, in a sentence."""
    parts = [
        (part.name.lower(), int(sum(filter(None, part.values)))) for part in outcome_series(shown)
    ]
    total = counts.plural(sum(number for _, number in parts), "run")
    return f"{total} ended, {', '.join(f'{number:,} {name}' for name, number in parts)}"


def outcome_rows(names: Sequence[str], parts: Sequence[Series]) -> list[tuple[str, ...]]:
    """The same as rows of a table."""
    return [
        (name, *(f"{value:,.0f}" if value else "" for value in values))
        for name, *values in zip(names, *(part.values for part in parts), strict=True)
    ]
