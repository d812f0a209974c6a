"""Errors as answers: one shape and the right status, whatever went wrong."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any
from uuid import uuid4

from aiohttp import hdrs, web

from bot.web.advice import ADVICE
from bot.web.request_errors import (
    InvalidRequest,
    KeyReused,
    RoleTooLow,
    TooManyStreams,
    UnsupportedBody,
)
from bot.web.route import API_ROOT, ErrorAnswer
from bot.words.advice import with_advice
from core.domain.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    NotFound,
    OpsError,
    OutOfBounds,
    Unavailable,
)
from core.domain.runs.errors import AlreadyRequested, AmbiguousRun, SessionBusy
from core.domain.runs.restarts.errors import NotRestartable, RunStillLive
from core.domain.sign_in import LinkRefused
from core.domain.token import TokenRefused
from core.domain.workflow import UnknownWorkflow

log = logging.getLogger(__name__)

API_VERSION = "1"
# The first class of an error that stands here gives the status.
_STATUSES: Mapping[type[OpsError], HTTPStatus] = MappingProxyType(
    {
        TooManyStreams: HTTPStatus.TOO_MANY_REQUESTS,
        UnsupportedBody: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        TokenRefused: HTTPStatus.UNAUTHORIZED,
        LinkRefused: HTTPStatus.UNAUTHORIZED,
        BadRequest: HTTPStatus.BAD_REQUEST,
        NotFound: HTTPStatus.NOT_FOUND,
        Forbidden: HTTPStatus.FORBIDDEN,
        Conflict: HTTPStatus.CONFLICT,
        Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    }
)
# The attributes of errors that programs can use.
_FACTS: Mapping[type[OpsError], tuple[str, ...]] = MappingProxyType(
    {
        AlreadyRequested: ("run_id",),
        AmbiguousRun: ("matches",),
        InvalidRequest: ("problems",),
        KeyReused: ("run_id",),
        NotRestartable: ("run_id",),
        OutOfBounds: ("field",),
        RunStillLive: ("run_id",),
        RoleTooLow: ("role", "needed_role"),
        SessionBusy: ("live_run_id",),
        TokenRefused: ("problem",),
        LinkRefused: ("problem",),
        TooManyStreams: ("allowed",),
        UnknownWorkflow: ("known", "nearest"),
    }
)
_RETRY_SECONDS = "5"
_RETRIED = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS)
# The words for aiohttp's own refusals; the others are rare enough for its own.
_HTTP_ERRORS: Mapping[int, tuple[str, str]] = MappingProxyType(
    {
        400: ("bad_request", "The request is not valid HTTP."),
        404: ("no_such_route", f"Nothing is at this address. {API_ROOT}/docs lists what there is."),
        405: ("method_not_allowed", "This address has other methods; see the header `Allow`."),
        413: ("too_large", "The body is too long: at most 1 MiB is read."),
        417: ("expectation_failed", "The header `Expect` asks for what this server cannot do."),
    }
)


def status_of(error: OpsError) -> HTTPStatus:
    """The HTTP status of an error; what no client can do anything about is a failure of ours."""
    for error_class in type(error).__mro__:
        if error_class in _STATUSES:
            return _STATUSES[error_class]
    return HTTPStatus.INTERNAL_SERVER_ERROR


def error_response(error: OpsError) -> web.Response:
    """The answer to a request that an `OpsError` ended."""
    status = status_of(error)
    headers: dict[str, str] = {}
    if status is HTTPStatus.UNAUTHORIZED:
        headers[hdrs.WWW_AUTHENTICATE] = 'Bearer realm="signalbox"'
    if status in _RETRIED:
        headers[hdrs.RETRY_AFTER] = _RETRY_SECONDS
    answer = ErrorAnswer(
        error=error.code, message=with_advice(error, ADVICE), details=_facts_of(error)
    )
    return json_response(answer, status=status, headers=headers)


def json_response(
    answer: ErrorAnswer,
    *,
    status: int,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> web.Response:
    """An error as JSON."""
    return web.Response(
        body=answer.model_dump_json().encode(),
        status=status,
        content_type="application/json",
        headers={**API_HEADERS, **headers},
    )


API_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "X-API-Version": API_VERSION,
        hdrs.CACHE_CONTROL: "no-store",
        "X-Content-Type-Options": "nosniff",
    }
)


def failure_response(error: Exception, request: web.Request) -> web.Response:
    """Log a defect in the handler of a request with a reference, and answer with that alone."""
    return defect_response(error, method=request.method, route=_pattern_of(request))


def defect_response(error: BaseException | None, *, method: str, route: str) -> web.Response:
    """Log a defect with a reference, and answer with that alone.

    Args:
        error: What was raised; `None` if it is being handled just now.
        method: The request's method.
        route: The pattern of the route; empty if it is unknown.
    """
    reference = uuid4().hex[:12]
    log.error(
        "request failed, reference %s",
        reference,
        exc_info=error or True,
        extra={
            "event": "http_request.failed",
            "reference": reference,
            "method": method,
            "route": route,
        },
    )
    answer = ErrorAnswer(
        error="internal_error",
        message="Signalbox failed to answer this. The log of the server has more, under the "
        f"reference {reference}.",
        details={"reference": reference},
    )
    return json_response(answer, status=HTTPStatus.INTERNAL_SERVER_ERROR)


def http_error_response(error: web.HTTPException) -> web.Response:
    """An error of aiohttp in the one shape, with its header `Allow`."""
    code, message = _HTTP_ERRORS.get(
        error.status, ("http_error", f"The request was refused: {error.reason}.")
    )
    allowed = error.headers.get(hdrs.ALLOW)
    return json_response(
        ErrorAnswer(error=code, message=message),
        status=error.status,
        headers={} if allowed is None else {hdrs.ALLOW: allowed},
    )


def malformed_response(*, is_too_long: bool) -> web.Response:
    """The answer to what is not valid HTTP."""
    words = (
        "A line or a header of the request is too long."
        if is_too_long
        else "The request is not valid HTTP."
    )
    return json_response(
        ErrorAnswer(error="bad_request", message=words), status=HTTPStatus.BAD_REQUEST
    )


def unreadable_body_response() -> web.Response:
    """The answer to a body that is not as the headers say, or that did not arrive."""
    return json_response(
        ErrorAnswer(
            error="unreadable_body",
            message="The body did not arrive as its headers say. Send the request again.",
        ),
        status=HTTPStatus.BAD_REQUEST,
    )


def _facts_of(error: OpsError) -> dict[str, Any] | None:
    for error_class, names in _FACTS.items():
        if isinstance(error, error_class):
            return {name: getattr(error, name) for name in names}
    return None


def _pattern_of(request: web.Request) -> str:
    """The route's own path: an address can contain anything."""
    resource = request.match_info.route.resource
    return "" if resource is None else resource.canonical
