"""What a leg came to: why it stopped, and the words that stay of it.  Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from core.agent.protocol import AgentFailed
from core.domain.runs.event import AgentResult, RateLimit
from core.domain.runs.run import StopReason

# A report, not a coda ("Done!"), when it is the last thing said.
_SUBSTANTIAL = 200
_LAST_TEXTS = 5
_HEADING = re.compile(
    r"^\s{0,3}(?:#{1,6}\s+|\*\*)[^\n]{0,40}?"
    r"\b(?:summary|results?|completed?|report|findings|conclusions?|outcome"
    r"|what (?:i did|changed))\b",
    re.IGNORECASE | re.MULTILINE,
)
# What the program says in place of an answer when the account's limit is reached.
_LIMIT = re.compile(
    r"(?:claude(?: ai| code)? )?usage limit reached"
    r"|you(?:'|’)ve (?:hit|reached) your (?:[\w-]+ ){0,3}limit"
    r"|exceed your account(?:'|’)s usage limit"
    r"|(?:\d+-hour|weekly|session|daily|opus|sonnet) limit reached"
    r"|out of (?:extra )?usage",
    re.IGNORECASE,
)
_LIMIT_EPOCH = re.compile(r"limit reached\|(\d{9,11})\b", re.IGNORECASE)
# Longer texts that mention a limit are about one.
_LIMIT_TEXT_LENGTH = 300
_API_ERROR = re.compile(r"^\s*(?:API Error\b|Request timed out|Connection error)", re.IGNORECASE)

# SIGINT and SIGTERM, by the program's own handler or by the kernel: somebody ended it.
_TOLD_TO_END = frozenset({130, 143, -2, -15})

_SUBTYPES = MappingProxyType(
    {
        "error_max_turns": (StopReason.MAX_TURNS, "The turn limit was reached."),
        "error_max_budget_usd": (StopReason.BUDGET, "The budget was used up."),
    }
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a leg ended.

    Attributes:
        result: The agent's last report, whatever the reason it stopped.
        error: What went wrong, for people; `None` after a success.
        resets_at: When the account's usage limit ends, if it is known.
    """

    stop_reason: StopReason
    result: str | None
    error: str | None
    resets_at: datetime | None = None


def judge(
    *,
    result: AgentResult | None,
    texts: Sequence[str],
    timed_out: bool = False,
    failure: AgentFailed | None = None,
    rate_limit: RateLimit | None = None,
) -> Outcome:
    """Why a leg stopped.

    Args:
        result: The last one the agent gave, if any.
        texts: What the main agent said, in order (the last few are enough).
        timed_out: Whether its time was up before it ended by itself.
        failure: What `events()` raised, if it did.
        rate_limit: The last one reported.
    """
    words = final_result(texts, result)
    if result is not None and _is_success(result):
        return Outcome(stop_reason=StopReason.SUCCESS, result=words, error=None)
    if timed_out:
        return Outcome(
            stop_reason=StopReason.TIMEOUT, result=words, error="The time limit was reached."
        )
    if result is not None:
        return _judge_error(result, words, rate_limit)
    if failure is not None and failure.exit_code not in _TOLD_TO_END:
        return Outcome(stop_reason=StopReason.AGENT_ERROR, result=words, error=_told(failure))
    return Outcome(
        stop_reason=StopReason.NO_RESULT,
        result=words,
        error="The agent program ended without a result.",
    )


def final_result(texts: Sequence[str], result: AgentResult | None) -> str | None:
    """The words that stay of a leg: its last report.

    The last of the last five texts that has a heading such as Summary or Results; else the
    last substantial one; else the result message; else the last thing said.
    """
    said = list(texts)
    ending = result.text if result is not None else None
    if result is not None and ending and not _is_success(result):
        # What it says of its failure is told as the error.
        said = [text for text in said if text.strip() != ending.strip()]
        ending = None
    if ending and (not said or said[-1].strip() != ending.strip()):
        said.append(ending)
    last = [text.strip() for text in said[-_LAST_TEXTS:] if text.strip()]
    for text in reversed(last):
        if _HEADING.search(text) and len(text) > len(text.splitlines()[0]):
            return text
    for text in reversed(last):
        if len(text) > _SUBSTANTIAL:
            return text
    if ending and ending.strip():
        return ending.strip()
    return last[-1] if last else None


def limit_reset(text: str, rate_limit: RateLimit | None) -> tuple[bool, datetime | None]:
    """Whether this error is the account's usage limit, and when that ends if it is said."""
    is_rejected = rate_limit is not None and rate_limit.status == "rejected"
    is_said = len(text) <= _LIMIT_TEXT_LENGTH and _LIMIT.search(text) is not None
    if not (is_rejected or is_said):
        return False, None
    epoch = _LIMIT_EPOCH.search(text)
    if epoch is not None:
        return True, datetime.fromtimestamp(int(epoch[1]), UTC)
    return True, rate_limit.resets_at if rate_limit is not None else None


def _is_success(result: AgentResult) -> bool:
    if result.subtype != "success" or result.is_error:
        return False
    # Some versions of the program give these out as an answer.
    text = (result.text or "").strip()
    return not (_LIMIT.match(text) and len(text) <= _LIMIT_TEXT_LENGTH)


def _judge_error(result: AgentResult, words: str | None, rate_limit: RateLimit | None) -> Outcome:
    if result.subtype in _SUBTYPES:
        reason, error = _SUBTYPES[result.subtype]
        return Outcome(stop_reason=reason, result=words, error=error)
    said = " ".join(dict.fromkeys(filter(None, (*result.errors, result.text))))
    is_limit, resets_at = limit_reset(said, rate_limit)
    if is_limit:
        until = f" It ends at {resets_at:%Y-%m-%d %H:%M} UTC." if resets_at else ""
        return Outcome(
            stop_reason=StopReason.USAGE_LIMIT,
            result=words,
            error=f"The account's usage limit is reached.{until}",
            resets_at=resets_at,
        )
    is_api = (
        result.subtype == "success"
        or result.api_error_status is not None
        or _API_ERROR.search(said) is not None
    )
    reason = StopReason.API_ERROR if is_api else StopReason.AGENT_ERROR
    return Outcome(stop_reason=reason, result=words, error=said or result.subtype)


def _told(failure: AgentFailed) -> str:
    told = f"The agent program {failure.what}."
    if failure.exit_code is not None:
        told = f"The agent program {failure.what} (exit code {failure.exit_code})."
    last = failure.stderr_tail.strip().splitlines()[-3:]
    return "\n".join((told, *last))
