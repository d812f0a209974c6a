"""Reads the path, the query and the body of a request into the models of its route."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, TypeVar, get_origin

from aiohttp import hdrs, web
from pydantic import BaseModel, ValidationError

from bot.web.request_errors import InvalidJson, InvalidRequest, UnsupportedBody

ModelT = TypeVar("ModelT", bound=BaseModel)
_JSON_TYPE = "application/json"
# What `aiohttp` says of a request without a type.
_NO_TYPE = "application/octet-stream"


def read_path(request: web.Request, model: type[ModelT]) -> ModelT:
    """Read the parameters of the path.

    Raises:
        InvalidRequest: If one is not valid.
    """
    return _validated(dict(request.match_info), model, "path")


def read_query(request: web.Request, model: type[ModelT]) -> ModelT:
    """Read the parameters of the query; only a list may be given more than once.

    Raises:
        InvalidRequest: If one is not valid, not known, or repeated.
    """
    if not request.query_string:
        defaults: ModelT = _defaults(model)
        return defaults
    values: dict[str, Any] = {}
    for name in dict.fromkeys(request.query.keys()):
        given = request.query.getall(name)
        field = model.model_fields.get(name)
        if field is not None and get_origin(field.annotation) is list:
            values[name] = given
        elif len(given) == 1:
            values[name] = given[0]
        else:
            raise InvalidRequest([(f"query.{name[:60]}", "is given more than once")])
    return _validated(values, model, "query")


@cache
def _defaults(model: type[ModelT]) -> ModelT:
    """The values of an empty query; parameters are frozen, so that all requests can share them.

    Raises:
        InvalidRequest: If a value must be given; the next request raises it again.
    """
    return _validated({}, model, "query")


async def read_body(request: web.Request, model: type[ModelT]) -> ModelT:
    """Read a JSON body; none at all is an empty object.

    Raises:
        UnsupportedBody: If it is compressed, or no JSON by its type.
        InvalidJson: If it is not JSON.
        InvalidRequest: If a value in it is not valid.
        HTTPRequestEntityTooLarge: If it is too long.
        RequestPayloadError: If it is not as the headers say, or the client has gone.
    """
    announced = request.content_length or 0
    if announced > request.client_max_size:
        raise web.HTTPRequestEntityTooLarge(max_size=request.client_max_size, actual_size=announced)
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise UnsupportedBody("A compressed body is not read.")
    try:
        raw = await request.read()
    except ConnectionError as error:
        raise web.RequestPayloadError("the client has gone") from error
    if not raw.strip():
        return _validated({}, model, "body")
    is_json = request.content_type == _JSON_TYPE or request.content_type.endswith("+json")
    if not is_json and hdrs.CONTENT_TYPE in request.headers:
        raise UnsupportedBody("The body is no JSON by its type.")
    value = parse_json(raw)
    if not isinstance(value, dict):
        raise InvalidRequest([("body", "is no object")])
    return _validated(value, model, "body")


def parse_json(raw: bytes) -> Any:
    """Parse JSON strictly: no NaN and infinity, no number of thousands of digits.

    Raises:
        InvalidJson: If it is not JSON.
    """
    try:
        return json.loads(raw.decode(), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise InvalidJson("it is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise InvalidJson(f"{error.msg} at line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:
        raise InvalidJson("it is nested too deeply") from error
    except ValueError as error:
        # Python reads no number of more than 4,300 digits.
        raise InvalidJson("a number is too long, or not a number") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _validated(values: Mapping[str, Any], model: type[ModelT], place: str) -> ModelT:
    if not _is_plain(values):
        wrong = list(unstorable_texts(values, place))
        if wrong:
            raise InvalidRequest(wrong)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InvalidRequest.of(error, place) from error


def _is_plain(values: Mapping[str, Any]) -> bool:
    """Whether there are only ASCII texts, as in almost every path and query.

    To find that out takes a tenth of the time of the search for what cannot be stored.
    """
    return all(
        isinstance(value, str)
        and value.isascii()
        and name.isascii()
        and "\x00" not in value
        and "\x00" not in name
        for name, value in values.items()
    )


def unstorable_texts(value: object, place: str) -> Iterator[tuple[str, str]]:
    """The places of texts that no row can keep: those with NUL characters or lone surrogates."""
    pending: list[tuple[str, object]] = [(place, value)]
    while pending:
        where, one = pending.pop()
        if isinstance(one, str):
            problem = _problem_of(one)
            if problem:
                yield where, problem
        elif isinstance(one, Mapping):
            for key, item in one.items():
                if _problem_of(key):
                    yield where, f"has a name that {_problem_of(key)}"
                else:
                    pending.append((f"{where}.{key[:60]}", item))
        elif isinstance(one, list):
            pending += [(f"{where}.{index}", item) for index, item in enumerate(one)]


def _problem_of(text: str) -> str | None:
    if "\x00" in text:
        return "contains a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "contains half of a surrogate pair"
    return None
