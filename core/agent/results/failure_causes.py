"""The cause of a failure of the model's API, told from the agent program's structured reports.

An error result has the HTTP status, the reason why the program's loop ended, and a text of the
program itself; the message before it has the program's own class of the error.  What the model
wrote is never read.  Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from core.domain.failure_cause import FailureCause
from core.domain.runs.event import AgentResult
from core.domain.runs.failure_analysis import FailureAnalysis

_MAX_TEXT_CHARS = 500
_API_ERROR = re.compile(r"^\s*(?:API Error\b|Request timed out|Connection error)", re.IGNORECASE)
_NAMED_MODEL = re.compile(r"\bmodel \(([^()\s]{1,100})\)")
# A limit that the account's owner has set; the API reports it as an invalid request.
_SPEND_LIMIT = re.compile(r"reached your specified (?:workspace )?API usage limits", re.IGNORECASE)
_REGAINED = re.compile(r"regain access on (\d{4}-\d\d-\d\d) at (\d\d:\d\d) UTC", re.IGNORECASE)

_Sign = Callable[[AgentResult, str], bool]


def _status(*statuses: int) -> _Sign:
    return lambda result, _text: result.api_error_status in statuses


def _error_type(*names: str) -> _Sign:
    return lambda result, _text: result.error_type in names


def _says(pattern: str) -> _Sign:
    """The program's own text; for its versions that report no class of the error."""
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda _result, text: compiled.search(text) is not None


def _is_server_status(result: AgentResult, _text: str) -> bool:
    return result.api_error_status is not None and result.api_error_status >= 500


def _is_client_status(result: AgentResult, _text: str) -> bool:
    return result.api_error_status is not None and 400 <= result.api_error_status < 500


# The first sign that a result shows decides: the surest come first.
_SIGNS: tuple[tuple[FailureCause, tuple[_Sign, ...]], ...] = (
    (FailureCause.REFUSAL, (lambda result, _text: result.stop_reason == "refusal",)),
    (
        FailureCause.PROMPT_TOO_LONG,
        (
            lambda result, _text: result.terminal_reason == "prompt_too_long",
            _says(r"^(?:API Error: )?(?:\d+ )?prompt is too long"),
            _says(r"^API Error: The model has reached its context window limit"),
        ),
    ),
    (FailureCause.OUTPUT_LIMIT, (_error_type("max_output_tokens"),)),
    (
        FailureCause.NO_CREDIT,
        (_error_type("billing_error"), _status(402), _says(r"^(?:API Error: )?(?:\d+ )?.{0,5}"
                                                          r"credit balance is too low")),
    ),
    (FailureCause.UNKNOWN_MODEL, (_error_type("model_not_found"),)),
    (FailureCause.RATE_LIMIT, (_error_type("rate_limit"), _status(429))),
    (FailureCause.NO_CREDENTIALS, (_says(r"^Not logged in\b"),)),
    (FailureCause.CREDENTIALS_REFUSED, (_status(401),)),
    (FailureCause.ACCESS_DENIED, (_status(403), _error_type("oauth_org_not_allowed"))),
    (FailureCause.CREDENTIALS_REFUSED, (_error_type("authentication_failed"),)),
    (FailureCause.REQUEST_TOO_LARGE, (_status(413),)),
    (FailureCause.OVERLOADED, (_status(529), _error_type("overloaded"))),
    (FailureCause.API_FAILED, (_is_server_status,)),
    (FailureCause.UNKNOWN_MODEL, (_status(404),)),
    (FailureCause.REQUEST_REJECTED, (_is_client_status, _error_type("invalid_request"))),
    (
        FailureCause.API_UNREACHABLE,
        (_error_type("server_error"), _says(r"^(?:API Error: )?(?:Request timed out|Connection )")),
    ),
    (FailureCause.BAD_ANSWER, (_error_type("unknown"), _says(r"malformed response"))),
    (FailureCause.API_FAILED, (lambda _result, text: _API_ERROR.search(text) is not None,)),
)  # fmt: skip


def analyse_api_failure(result: AgentResult) -> FailureAnalysis | None:
    """Tell the cause of an error result; `None` if it was no failure of the model's API."""
    text = error_text(result)
    cause = next(
        (cause for cause, signs in _SIGNS if any(sign(result, text) for sign in signs)), None
    )
    if cause is None and result.subtype == "success":
        cause = FailureCause.API_FAILED
    if cause is None:
        return None
    named = _NAMED_MODEL.search(text) if cause is FailureCause.UNKNOWN_MODEL else None
    evidence = {
        "status": result.api_error_status,
        "error_type": result.error_type,
        "terminal_reason": result.terminal_reason,
        "stop_reason": result.stop_reason,
        "text": text[:_MAX_TEXT_CHARS],
    }
    return FailureAnalysis(
        cause=cause,
        subject=named[1] if named else None,
        evidence={name: value for name, value in evidence.items() if value},
    )


def error_text(result: AgentResult) -> str:
    """The program's words about an error: the texts of an error result, each once."""
    return " ".join(dict.fromkeys(filter(None, (*result.errors, result.text))))


def spend_limit(text: str) -> tuple[bool, datetime | None]:
    """Return whether an error is the limit that the account's owner has set, and when it ends."""
    if not _SPEND_LIMIT.search(text):
        return False, None
    found = _REGAINED.search(text)
    if found is None:
        return True, None
    try:
        return True, datetime.fromisoformat(f"{found[1]}T{found[2]}").replace(tzinfo=UTC)
    except ValueError:
        return True, None
