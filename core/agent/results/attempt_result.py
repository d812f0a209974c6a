"""The result of an attempt: why it stopped, and the report that remains.  Pure."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from core.agent.program_values import moment
from core.agent.protocol import AgentFailed
from core.agent.results.failure_causes import analyse_api_failure, error_text, spend_limit
from core.domain.failure_cause import FailureCause
from core.domain.runs.event import AgentResult, RateLimit
from core.domain.runs.failure_analysis import FailureAnalysis
from core.domain.runs.report import has_report_heading, join_report
from core.domain.runs.run import StopReason

# A text longer than this counts as a report; a shorter one may be a closing word ("Done!").
_MIN_REPORT_CHARS = 200
_LAST_TEXTS = 5
# The program's message in place of an answer when the account's usage limit is reached.
_USAGE_LIMIT = re.compile(
    r"(?:claude(?: ai| code)? )?usage limit reached"
    r"|you(?:'|’)ve (?:hit|reached) your (?:[\w-]+ ){0,3}limit"
    r"|exceed your account(?:'|’)s usage limit"
    r"|(?:\d+-hour|weekly|session|daily|opus|sonnet) limit reached"
    r"|out of (?:extra )?usage",
    re.IGNORECASE,
)
_USAGE_LIMIT_EPOCH = re.compile(r"limit reached\|(\d{9,11})\b", re.IGNORECASE)
# A longer text that mentions a limit only talks about one.
_MAX_LIMIT_TEXT_CHARS = 300

# SIGINT and SIGTERM, handled by the program (128 + n) or by the kernel (-n): it did not crash,
# it was stopped from outside.
_TERMINATED_EXIT_CODES = frozenset({-signal.SIGINT, -signal.SIGTERM})
# What the program calls a failure at the account's limit; after any other one an earlier report of
# the limit does not count.
_CAUSES_OF_LIMITS = frozenset(
    {FailureCause.RATE_LIMIT, FailureCause.API_FAILED, FailureCause.NO_CREDIT}
)

_REASONS_BY_SUBTYPE = MappingProxyType(
    {
        "error_max_turns": (StopReason.MAX_TURNS, "The turn limit was reached."),
        "error_max_budget_usd": (StopReason.BUDGET, "The budget was used up."),
    }
)


@dataclass(frozen=True, kw_only=True)
class AttemptResult:
    """Why an attempt stopped, and what remains of it.

    Attributes:
        result: The agent's last report, whatever the stop reason.
        error: What went wrong, as a text for people; `None` after a success.
        resets_at: When the account's usage limit ends, if that is the reason and the time is known.
        analysis: The cause of a failure, if it is known.
    """

    stop_reason: StopReason
    result: str | None
    error: str | None
    resets_at: datetime | None = None
    analysis: FailureAnalysis | None = None


def determine_attempt_result(
    *,
    result: AgentResult | None,
    texts: Sequence[str],
    is_timed_out: bool = False,
    failure: AgentFailed | None = None,
    rate_limit: RateLimit | None = None,
) -> AttemptResult:
    """Determine why an attempt stopped.

    A successful result wins over a time limit that passed at the same moment.

    Args:
        result: The agent's last result, if any.
        texts: The main agent's texts, oldest first (the last few are enough), one for each answer.
        is_timed_out: Whether the time limit passed before the agent ended.
        failure: What `events()` raised, if anything.
        rate_limit: The last rate limit that the program reported.
    """
    report = final_result(texts, result)
    if result is not None and _is_success(result):
        return AttemptResult(stop_reason=StopReason.SUCCESS, result=report, error=None)
    if is_timed_out:
        return AttemptResult(
            stop_reason=StopReason.TIMEOUT, result=report, error="The time limit was reached."
        )
    if result is not None:
        return _error_result(result, report, rate_limit)
    if failure is not None and failure.exit_code not in _TERMINATED_EXIT_CODES:
        return AttemptResult(
            stop_reason=StopReason.AGENT_ERROR,
            result=report,
            error=_failure_text(failure),
            analysis=FailureAnalysis.of_error(failure),
        )
    return AttemptResult(
        stop_reason=StopReason.NO_RESULT,
        result=report,
        error="The agent program ended without a result.",
    )


def final_result(texts: Sequence[str], result: AgentResult | None) -> str | None:
    """Choose what remains of an attempt: the main agent's last words always do.

    If they are no report themselves (no heading such as Summary, at most 200 characters), the last
    report among the four texts before them stands above them.
    """
    said = [text.strip() for text in texts if text.strip()]
    result_text = (result.text or "").strip() if result is not None else ""
    if result is not None and not _is_success(result):
        # The text of a failure becomes the attempt's `error`, not its report.
        said = [text for text in said if text != result_text]
    elif result_text and not (said and said[-1].endswith(result_text)):
        said.append(result_text)
    if not said:
        return None
    *before, last_words = said[-_LAST_TEXTS:]
    report = next((text for text in reversed(before) if _is_report(text)), None)
    if report is None or _is_report(last_words):
        return last_words
    return join_report(report, last_words)


def detect_usage_limit(text: str, rate_limit: RateLimit | None) -> tuple[bool, datetime | None]:
    """Return whether an error means the account's usage limit, and when that limit ends.

    Pass only an error text of the program, never what the agent says.  The time is `None` if
    neither the text nor the reported rate limit names it.
    """
    is_rejected = rate_limit is not None and rate_limit.status == "rejected"
    is_limit_text = len(text) <= _MAX_LIMIT_TEXT_CHARS and _USAGE_LIMIT.search(text) is not None
    if not (is_rejected or is_limit_text):
        return False, None
    epoch = _USAGE_LIMIT_EPOCH.search(text)
    if epoch is not None:
        return True, moment(int(epoch[1]))
    return True, rate_limit.resets_at if rate_limit is not None else None


def _is_success(result: AgentResult) -> bool:
    return result.subtype == "success" and not result.is_error


def _is_report(text: str) -> bool:
    return has_report_heading(text) or len(text) > _MIN_REPORT_CHARS


def _error_result(
    result: AgentResult, report: str | None, rate_limit: RateLimit | None
) -> AttemptResult:
    if result.subtype in _REASONS_BY_SUBTYPE:
        reason, error = _REASONS_BY_SUBTYPE[result.subtype]
        return AttemptResult(stop_reason=reason, result=report, error=error)
    text, analysis = error_text(result), analyse_api_failure(result)
    is_limit, resets_at = spend_limit(text)
    if not is_limit:
        may_be_limit = analysis is None or analysis.cause in _CAUSES_OF_LIMITS
        is_limit, resets_at = detect_usage_limit(text, rate_limit if may_be_limit else None)
    if is_limit:
        until = f" It ends at {resets_at:%Y-%m-%d %H:%M} UTC." if resets_at else ""
        return AttemptResult(
            stop_reason=StopReason.USAGE_LIMIT,
            result=report,
            error=f"The account's usage limit is reached.{until}",
            resets_at=resets_at,
            analysis=FailureAnalysis(
                cause=FailureCause.USAGE_LIMIT,
                evidence=analysis.evidence if analysis else {"text": text},
            ),
        )
    return AttemptResult(
        stop_reason=StopReason.API_ERROR if analysis else StopReason.AGENT_ERROR,
        result=report,
        error=text or result.subtype,
        analysis=analysis,
    )


def _failure_text(failure: AgentFailed) -> str:
    message = f"The agent program {failure.problem_and_exit}."
    last = failure.stderr_tail.strip().splitlines()[-3:]
    return "\n".join((message, *last))
