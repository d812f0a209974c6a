"""Compares what the dashboard's page of a run says with the script's account."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bot.words import money
from core.domain.runs.run import CostSource, Usage
from tests.truth.pages import RunPage
from tests.truth.plan import End
from tests.truth.seen import SeenLeg

# The page lists so many, and counts the others.
_COMMITS_SHOWN = 8


def _figures(seen: SeenLeg, page: RunPage) -> Iterator[str]:
    run, true = seen.run, seen.figures
    wanted: dict[str, str | None] = {
        "Turns": f"{true.turns}/{run.max_turns}",
        "Tool calls": str(true.calls),
        "Tokens in and out": str(true.usage.total_tokens) if true.usage != Usage() else None,
        "Changed": _changed(seen),
    }
    is_estimate = run.cost_source is CostSource.ESTIMATED
    name = "Cost, estimated" if is_estimate else "Cost"
    wanted[name] = (
        None
        if true.cost_usd is None
        else ("~" if is_estimate else "") + money.dollars(true.cost_usd)
    )
    for label, figure in wanted.items():
        if page.figures.get(label) != figure:
            yield f"the page has {label} {page.figures.get(label)}, not {figure}"


def _changed(seen: SeenLeg) -> str | None:
    true = seen.figures.changes
    count = len(true.files)
    if not count:
        return None
    return f"{count} {'file' if count == 1 else 'files'} +{true.added} −{true.removed}"


def _work(seen: SeenLeg, page: RunPage) -> Iterator[str]:
    true, tests = seen.figures.changes, seen.figures.tests
    shown = len(page.commits)
    if shown != min(len(true.commits), _COMMITS_SHOWN):
        yield f"the page has {shown} commits, not {len(true.commits)}"
    if tests is not None:
        words = f"{tests.passed} passed, {tests.failed} failed"
        if words not in page.text:
            yield f"the page does not have the tests {words!r}"
    elif " passed, " in page.text:
        yield "the page has tests that nobody ran"


def _steps(seen: SeenLeg, page: RunPage) -> Iterator[str]:
    true = [task.name for task in seen.figures.tasks.values()]
    if true and list(page.steps) != true:
        yield f"the page has the steps {page.steps}, not {true}"


def _last_words(seen: SeenLeg, page: RunPage) -> Iterator[str]:
    words = seen.figures.last_words
    if seen.leg.end in (End.KILLED, End.FORCE_KILLED) or not words:
        return
    last_line = " ".join(words.splitlines()[-1].split())
    if last_line not in page.text:
        yield f"the page does not say {last_line!r}"


_CHECKS = (_figures, _work, _steps, _last_words)


def _page(seen: SeenLeg) -> Iterator[str]:
    if seen.page is None:
        return
    for check in _CHECKS:
        yield from check(seen, seen.page)


PAGE_CHECKS: tuple[Callable[[SeenLeg], Iterator[str]], ...] = (_page,)
