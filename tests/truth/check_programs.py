"""Compares what programs are answered about a run with the script's account."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from core.domain.runs.run import Usage
from tests.truth.account import Figures
from tests.truth.programs import Status
from tests.truth.seen import SeenLeg

_ROUNDING = Decimal("0.000001")


def is_meaningful(seen: SeenLeg, answer: Status) -> bool:
    """Whether a final result has the agent's last words, and the report before them."""
    result = answer.status.get("final_result")
    words = [seen.figures.last_words, seen.figures.report]
    return isinstance(result, str) and all(one in result for one in words if one is not None)


def _figures(seen: SeenLeg) -> Iterator[str]:
    for surface, answer in seen.answers.items():
        true = _true_figures(seen.figures)
        shown = {name: answer.status.get(name) for name in true}
        if shown != true:
            different = {
                name: (shown[name], true[name]) for name in true if shown[name] != true[name]
            }
            yield f"the {surface} has (shown, true) {different}"
        cost, true_cost = answer.status["cost"], seen.figures.cost_usd
        is_same = (cost is None) == (true_cost is None) and (
            true_cost is None or abs(Decimal(str(cost)) - true_cost) <= _ROUNDING
        )
        if not is_same:
            yield f"the {surface} has a cost of {cost}, not {true_cost}"


def _work(seen: SeenLeg) -> Iterator[str]:
    true, tests = seen.figures.changes, seen.figures.tests
    for surface, answer in seen.answers.items():
        summary, changes = answer.status.get("workflow_summary"), answer.changes
        if summary is None:
            yield f"the {surface} has no summary"
            continue
        for name, shown, right in (
            ("files", summary["files_modified"], len(true.files)),
            ("passed tests", summary["tests_passed"], tests and tests.passed),
            ("failed tests", summary["tests_failed"], tests and tests.failed),
            ("commits", changes["commit_count"], len(true.commits)),
            ("commit ids", len(answer.status["git_commits"]), len(true.commits)),
            ("changed files", changes["file_count"], len(true.files)),
            ("added lines", changes["added_lines"], true.added),
            ("removed lines", changes["removed_lines"], true.removed),
            ("merged commits", changes["merged_commits"], true.merged),
            ("branch", changes["branch"], seen.branch_name(true.branch)),
        ):
            if shown != right:
                yield f"the {surface} has {name} {shown}, not {right}"


def _steps(seen: SeenLeg) -> Iterator[str]:
    for surface, answer in seen.answers.items():
        shown = [
            (one["step_id"], one["name"]) for one in answer.status.get("step_by_step_results") or ()
        ]
        true = [(number, task.name) for number, task in seen.figures.tasks.items()]
        if true and shown != true:
            yield f"the {surface} has steps {shown}, not {true}"
        if not true and seen.figures.own_calls and not shown:
            yield f"the {surface} has no steps"


def _true_figures(figures: Figures) -> dict[str, Any]:
    usage = figures.usage if figures.turns else Usage()
    return {
        "turns": figures.turns,
        "current_turns": figures.turns,
        "tool_calls": figures.calls,
        "tokens": usage.input_tokens + usage.output_tokens if usage != Usage() else None,
    }


PROGRAM_CHECKS: tuple[Callable[[SeenLeg], Iterator[str]], ...] = (_figures, _work, _steps)
