"""Scripts of a model whose API returns errors, as the real one and gateways before it do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bot.sandbox.model.script import (
    Conversation,
    Failure,
    FailureKind,
    Play,
    Script,
    Turn,
    bash,
    play_in_order,
)


def _failing_call(failure: Failure) -> Play:
    """One turn of work, then failed calls; `[times: 2]` or `[times: forever]` say how many."""

    def play(conversation: Conversation) -> Turn:
        if conversation.position == 0:
            return Turn(text="A first command.", calls=(bash("echo first", "Begin"),))
        return Turn(
            text="## Summary\n\nThe work went on after the failed calls to the model: the first "
            "command had run before it, and its result was still known afterwards. Nothing was "
            "changed in the repository. If this report can be read, the calls were repeated "
            "until one of them was answered.",
            failure=_with_requested_times(failure, conversation),
        )

    return play


def _with_requested_times(failure: Failure, conversation: Conversation) -> Failure:
    requested = conversation.directives.get("times", "").lower()
    times = (
        None
        if requested == "forever"
        else conversation.int_directive("times", failure.times or 2, maximum=100)
    )
    if not requested and failure.times is None:
        times = None
    return replace(failure, times=times)


def _cut_answer(stop_reason: str, text: str) -> Play:
    """One turn of work, then answers that end for this reason."""

    def play(conversation: Conversation) -> Turn:
        if conversation.position == 0:
            return Turn(text="A first command.", calls=(bash("echo first", "Begin"),))
        return Turn(text=text, stop_reason=stop_reason)

    return play


def _refusal(status: int, error_type: str, message: str) -> Failure:
    return Failure(status=status, times=None, error_type=error_type, message=message)


def _usage_limit(conversation: Conversation) -> Turn:
    """The account's limit is used up until a given time; an earlier retry does not help.

    `[minutes: 5]` or `[seconds: 3]` say until when.  What the agent is told next comes after it.
    """
    seconds = conversation.int_directive("seconds", 0)
    wait = timedelta(minutes=conversation.int_directive("minutes", 60))
    resets_at = datetime.now(UTC) + (timedelta(seconds=seconds) if seconds else wait)
    if conversation.follow_ups:
        return Turn(text="## Summary\n\n" + "The limit was lifted and the work went on. " * 5)
    return Turn(
        failure=Failure(
            times=None,
            status=429,
            error_type="rate_limit_error",
            message="This request would exceed your account's usage limit.",
            headers={
                "anthropic-ratelimit-unified-status": "rejected",
                "anthropic-ratelimit-unified-representative-claim": "five_hour",
                "anthropic-ratelimit-unified-reset": str(int(resets_at.timestamp())),
                "retry-after": str(int((resets_at - datetime.now(UTC)).total_seconds())),
            },
            should_retry=False,
        )
    )


_API_FAILURES = {
    "api-500": ("the API fails", Failure(status=500)),
    "429": (
        "the API limits the rate",
        Failure(status=429, error_type="rate_limit_error", message="Rate limit reached"),
    ),
    "401": (
        "the API key is refused",
        Failure(
            status=401, times=None, error_type="authentication_error", message="invalid x-api-key"
        ),
    ),
    "overloaded": (
        "the API is overloaded",
        Failure(status=529, error_type="overloaded_error", message="Overloaded"),
    ),
    "cut": ("the answer's stream breaks off", Failure(kind=FailureKind.CUT)),
    "garbage": ("the answer is not the API's", Failure(kind=FailureKind.GARBAGE)),
    "hang": ("the model never answers", Failure(kind=FailureKind.HANG, times=None)),
    "403": (
        "the API key may not be used for this",
        _refusal(
            403,
            "permission_error",
            "Your API key does not have permission to use the specified resource.",
        ),
    ),
    "unknown-model": (
        "the API does not know the model",
        _refusal(404, "not_found_error", "model: claude-nope-9"),
    ),
    "no-credit": (
        "the account has no credit",
        _refusal(
            400,
            "invalid_request_error",
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & "
            "Billing to upgrade or purchase credits.",
        ),
    ),
    "too-large": (
        "the request is too large",
        _refusal(413, "request_too_large", "Request exceeds the maximum size"),
    ),
    "bad-request": (
        "the API rejects the request",
        _refusal(
            400, "invalid_request_error", "tools.3.custom.input_schema: JSON schema is invalid"
        ),
    ),
    "gateway-429": (
        "a gateway before the API limits the rate",
        Failure(status=429, times=None, body="Too Many Requests"),
    ),
    "gateway-504": (
        "a gateway before the API gets no answer in time",
        Failure(status=504, times=None, body="<html><h1>504 Gateway Time-out</h1></html>"),
    ),
    "spend-limit": (
        "the limit that the account's owner has set is reached",
        _refusal(
            400,
            "invalid_request_error",
            "You have reached your specified API usage limits. You will regain access on "
            "2099-12-01 at 00:00 UTC.",
        ),
    ),
}
# Answers that arrive, but end for another reason than that the model was done.
_CUT_ANSWERS = {
    "refusal": ("the model's safeguards stop its answer", "refusal", ""),
    "output-limit": ("each answer is cut at the output limit", "max_tokens", "Half a sentence th"),
    "context-limit": (
        "each answer is cut at the end of the model's context",
        "model_context_window_exceeded",
        "Half a sentence th",
    ),
}

# At the first call: a longer conversation the program makes shorter, and goes on.
_TOO_LONG = _refusal(
    400, "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"
)

API_ERROR_SCRIPTS: tuple[Script, ...] = (
    *(
        Script(
            name=name,
            description=f"{about} ([times: 2], [times: forever])",
            play=_failing_call(failure),
        )
        for name, (about, failure) in _API_FAILURES.items()
    ),
    Script(
        name="too-long",
        description="the task is too long for the model",
        play=play_in_order(Turn(failure=_TOO_LONG)),
    ),
    Script(
        name="usage-limit",
        description="the account's limit is used up ([minutes: 60], [seconds: 3])",
        play=_usage_limit,
    ),
    *(
        Script(name=name, description=about, play=_cut_answer(stop_reason, text))
        for name, (about, stop_reason, text) in _CUT_ANSWERS.items()
    ),
)
