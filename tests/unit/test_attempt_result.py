from datetime import UTC, datetime
from decimal import Decimal

import pytest

from core.agent.protocol import AgentFailed
from core.agent.results.attempt_result import AttemptResult, determine_attempt_result, final_result
from core.domain.runs.event import AgentResult, AgentText, RateLimit
from core.domain.runs.run import StopReason, Usage
from tests.fakes.recordings import translate_recording

LONG = "This says at some length what was done, in which files, and why it is right. " * 4


def result(
    text: str | None = "Done.",
    *,
    subtype: str = "success",
    is_error: bool = False,
    errors: tuple[str, ...] = (),
    status: int | None = None,
) -> AgentResult:
    return AgentResult(
        subtype=subtype,
        is_error=is_error,
        text=text,
        cost_usd=Decimal(0),
        usage=Usage(),
        errors=errors,
        api_error_status=status,
    )


def attempt_result_of(name: str) -> AttemptResult:
    events = translate_recording(name)
    results = [event for event in events if isinstance(event, AgentResult)]
    limits = [event for event in events if isinstance(event, RateLimit)]
    return determine_attempt_result(
        result=results[-1],
        texts=[event.text for event in events if isinstance(event, AgentText)],
        rate_limit=limits[-1] if limits else None,
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("tasks", StopReason.SUCCESS),
        ("todo", StopReason.SUCCESS),
        ("subagent", StopReason.SUCCESS),
        ("api_retry", StopReason.SUCCESS),
        ("max_turns", StopReason.MAX_TURNS),
        ("api_error", StopReason.API_ERROR),
        ("usage_limit", StopReason.USAGE_LIMIT),
        ("usage_limit_oauth", StopReason.USAGE_LIMIT),
        ("interrupted", StopReason.AGENT_ERROR),
    ],
)
def test_recorded_runs_stop_for_their_reason(name: str, reason: StopReason) -> None:
    found = attempt_result_of(name)

    assert found.stop_reason is reason
    assert (found.error is None) == (reason is StopReason.SUCCESS)


def test_a_usage_limit_has_its_reset_time() -> None:
    found = attempt_result_of("usage_limit_oauth")

    assert found.resets_at is not None
    assert found.error is not None
    assert f"{found.resets_at:%H:%M} UTC" in found.error
    assert found.result is None


LIMIT_TEXTS = (
    "Claude AI usage limit reached|1767225600",
    "You've hit your limit · resets 3pm (Europe/Berlin)",
    "You’ve reached your weekly limit",
    "5-hour limit reached ∙ resets 5am",
    "You're out of extra usage · resets 9pm",
)


@pytest.mark.parametrize("text", LIMIT_TEXTS)
def test_an_error_with_a_limit_message_is_a_usage_limit_and_no_result(text: str) -> None:
    found = determine_attempt_result(result=result(text, is_error=True), texts=[text])

    assert (found.stop_reason, found.result) == (StopReason.USAGE_LIMIT, None)


@pytest.mark.parametrize(
    "text",
    [*LIMIT_TEXTS, "Session limit reached errors are now shown as a banner; tests pass."],
)
def test_a_success_is_one_whatever_its_words_say(text: str) -> None:
    rejected = RateLimit(status="rejected", resets_at=None)

    found = determine_attempt_result(result=result(text), texts=[text], rate_limit=rejected)

    assert (found.stop_reason, found.result, found.error) == (StopReason.SUCCESS, text, None)


def test_the_reset_time_is_read_from_a_limit_message() -> None:
    found = determine_attempt_result(
        result=result("Claude AI usage limit reached|1767225600", is_error=True), texts=[]
    )

    assert found.resets_at == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_report_about_limits_is_a_success() -> None:
    text = f"## Summary\n\nThe message 'usage limit reached' is now shown. {LONG}"

    assert (
        determine_attempt_result(result=result(text), texts=[text]).stop_reason
        is StopReason.SUCCESS
    )


def test_an_api_error_reported_as_success_is_an_error() -> None:
    found = determine_attempt_result(
        result=result("API Error: 500 …", is_error=True, status=500), texts=[LONG]
    )

    assert found.stop_reason is StopReason.API_ERROR
    assert found.error == "API Error: 500 …"
    assert found.result == LONG.strip()


@pytest.mark.parametrize(
    ("subtype", "reason"),
    [
        ("error_max_turns", StopReason.MAX_TURNS),
        ("error_max_budget_usd", StopReason.BUDGET),
        ("error_during_execution", StopReason.AGENT_ERROR),
        ("error_of_a_new_kind", StopReason.AGENT_ERROR),
    ],
)
def test_each_error_has_its_reason(subtype: str, reason: StopReason) -> None:
    found = determine_attempt_result(result=result(None, subtype=subtype, is_error=True), texts=[])

    assert found.stop_reason is reason
    assert found.error


def test_a_timeout_stays_a_timeout_whatever_the_interrupted_agent_says() -> None:
    found = determine_attempt_result(
        result=result(None, subtype="error_during_execution", is_error=True),
        texts=["Half way."],
        is_timed_out=True,
    )

    assert found.stop_reason is StopReason.TIMEOUT
    assert found.result == "Half way."


def test_a_success_at_the_last_moment_is_a_success() -> None:
    assert (
        determine_attempt_result(result=result(), texts=[], is_timed_out=True).stop_reason
        is StopReason.SUCCESS
    )


def test_a_crash_is_an_agent_error_with_the_last_output() -> None:
    failure = AgentFailed("crashed", exit_code=-11, stderr_tail="a\nb\nSegmentation fault")

    found = determine_attempt_result(result=None, texts=[], failure=failure)

    assert found.stop_reason is StopReason.AGENT_ERROR
    assert found.error is not None
    assert "crashed (ended by SIGSEGV)" in found.error
    assert found.error.endswith("Segmentation fault")


@pytest.mark.parametrize("failure", [None, AgentFailed("crashed", exit_code=-15)])
def test_an_end_without_a_result_is_no_result(failure: AgentFailed | None) -> None:
    found = determine_attempt_result(result=None, texts=["So far."], failure=failure)

    assert found.stop_reason is StopReason.NO_RESULT
    assert found.result == "So far."


def test_a_result_before_a_crash_counts() -> None:
    found = determine_attempt_result(
        result=result(), texts=[], failure=AgentFailed("crashed", exit_code=1)
    )

    assert found.stop_reason is StopReason.SUCCESS


def test_the_last_words_stand_below_the_report_before_them() -> None:
    report, last = "**What I did so far**\n\nI wrote it.", "I could not run it. It is NOT done."

    assert final_result(["Working.", report, last], result(last)) == f"{report}\n\n---\n\n{last}"


def test_a_report_is_recognized_by_its_length_too() -> None:
    found = final_result([LONG, "All set!"], result("All set!"))

    assert found == f"{LONG.strip()}\n\n---\n\nAll set!"


@pytest.mark.parametrize("last", ["## Results\n\nnew", LONG.strip()])
def test_last_words_that_are_a_report_stand_alone(last: str) -> None:
    assert final_result(["## Results\n\nold", last], result(last)) == last


@pytest.mark.parametrize(
    "heading",
    [
        "# Summary",
        "## Final results",
        "**Task complete**",
        "### Work Completed ✅",
        "## What I did",
    ],
)
def test_headings_of_reports_are_recognized(heading: str) -> None:
    report = f"{heading}\n\nIt works."

    assert final_result([report, "Bye."], result("Bye.")) == f"{report}\n\n---\n\nBye."


def test_a_report_long_ago_does_not_count() -> None:
    texts = ["## Summary\n\nof a part", "1", "2", "3", "4", "5"]

    assert final_result(texts, result("5")) == "5"


def test_the_last_of_several_texts_of_an_answer_is_not_repeated() -> None:
    assert final_result(["One.\n\nTwo."], result("Two.")) == "One.\n\nTwo."


def test_the_last_words_before_a_limit_stand_too() -> None:
    stopped = result(None, subtype="error_max_turns", is_error=True)

    assert final_result(["## Summary\n\nHalf.", "It fails."], stopped) == (
        "## Summary\n\nHalf.\n\n---\n\nIt fails."
    )


def test_without_a_report_the_result_message_is_used() -> None:
    assert final_result(["Hm."], result("Short answer.")) == "Short answer."


def test_without_texts_and_result_there_is_no_final_result() -> None:
    assert final_result([], None) is None
    assert final_result([" "], result("")) is None


def test_the_text_of_an_error_is_no_result() -> None:
    assert final_result([], result("API Error: 500", is_error=True)) is None
