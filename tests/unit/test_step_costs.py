from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from core.domain.price import estimate_usd
from core.domain.runs.event import (
    AgentEvent,
    AgentResult,
    PlanChanged,
    PlanItem,
    ToolStarted,
    TurnUsage,
)
from core.domain.runs.run import Usage
from core.domain.runs.step import Step, StepStatus
from core.runner.execution.progress import Progress

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MODEL = "claude-sonnet-4-5"
PENDING, DOING, DONE = StepStatus.PENDING, StepStatus.IN_PROGRESS, StepStatus.COMPLETED


def answered(message_id: str, output: int = 100, **fields: object) -> TurnUsage:
    found = TurnUsage(message_id=message_id, usage=Usage(output_tokens=output), model=MODEL)
    return replace(found, **fields)  # type: ignore[arg-type]


def listed(*statuses: StepStatus) -> PlanChanged:
    return PlanChanged(
        items=tuple(
            PlanItem(source_id=str(number), name=f"Task {number}", status=status)
            for number, status in enumerate(statuses, start=1)
        )
    )


def edited() -> ToolStarted:
    return ToolStarted(tool_use_id="t", name="Edit", summary="")


def price(output: int) -> Decimal:
    found = estimate_usd(MODEL, Usage(output_tokens=output))
    assert found is not None
    return found


def progress_after(*events: AgentEvent) -> Progress:
    progress = Progress(model=MODEL)
    for event in events:
        progress.add_event(event, at=NOW)
    return progress


def costs(progress: Progress) -> list[Decimal | None]:
    return [step.cost_usd for step in progress.priced_steps]


def test_an_answer_costs_the_step_that_its_calls_begin() -> None:
    progress = progress_after(
        answered("m1", 10),
        listed(PENDING, PENDING),
        answered("m2", 100),
        listed(DOING, PENDING),
        edited(),
        answered("m3", 1_000),
        edited(),
        answered("m4", 10_000),
        listed(DONE, PENDING),
        listed(DONE, DOING),
        edited(),
        answered("m5", 100_000),
        listed(DONE, DONE),
    )

    assert costs(progress) == [price(1_100), price(110_000)]


def test_a_helpers_answers_cost_the_step_of_the_main_agent() -> None:
    progress = progress_after(listed(DOING), answered("m1"), answered("h1", is_subagent=True))

    assert costs(progress) == [price(200)]


def test_an_answer_counts_once_with_its_complete_usage() -> None:
    progress = progress_after(listed(DOING), answered("m1", 1))

    progress.add_answer(answered("m1", 500, is_final=True))

    assert costs(progress) == [price(500)]


def test_the_cost_is_unknown_if_that_of_one_answer_is() -> None:
    unknown = answered("m2", model="claude-unknown-9")

    assert costs(progress_after(listed(DOING), answered("m1"), unknown)) == [None]
    assert costs(progress_after(listed(DOING), answered("m1", usage=None))) == [None]


def test_costs_stand_only_if_they_add_up_to_what_the_program_reports() -> None:
    def ended(cost: Decimal) -> AgentResult:
        return AgentResult(
            subtype="success",
            is_error=False,
            text=None,
            cost_usd=cost,
            usage=Usage(output_tokens=1),
        )

    progress = progress_after(listed(DOING), answered("m1"), ended(price(100)))
    other = progress_after(listed(DOING), answered("m1"), ended(price(150)))

    assert costs(progress) == [price(100)]
    assert costs(other) == [None]


def test_a_further_attempt_adds_to_the_costs_of_the_one_before() -> None:
    begun = (
        Step(step_id=1, name="A", source_id="1", cost_usd=Decimal("0.5"), tool_calls=1),
        Step(step_id=2, name="B", source_id="2", tool_calls=3),
        Step(step_id=3, name="C", source_id="3", cost_usd=Decimal("0.25"), tool_calls=1),
    )
    progress = Progress(model=MODEL)
    progress.begin_with((), begun)
    for events in ((DOING, PENDING, PENDING), (DONE, DOING, PENDING)):
        progress.add_event(answered(str(events)), at=NOW)
        progress.add_event(listed(*events), at=NOW)

    assert costs(progress) == [Decimal("0.5") + price(100), None, Decimal("0.25")]


def test_reading_the_costs_twice_does_not_add_them_twice() -> None:
    progress = progress_after(listed(DOING), answered("m1"))

    assert progress.priced_steps == progress.priced_steps
    assert progress.steps[0].cost_usd is None


def test_a_phase_has_the_cost_of_its_answers() -> None:
    progress = progress_after(
        answered("m1"),
        ToolStarted(tool_use_id="r", name="Read", summary=""),
        answered("m2", 1_000),
        edited(),
    )

    assert costs(progress) == [price(100), price(1_000)]


def test_a_plan_does_not_cost_what_the_phases_before_it_did() -> None:
    progress = progress_after(
        answered("m1"),
        ToolStarted(tool_use_id="r", name="Read", summary=""),
        answered("m2", 1_000),
        listed(DOING),
        answered("m3", 10_000),
    )

    assert costs(progress) == [price(11_000)]
