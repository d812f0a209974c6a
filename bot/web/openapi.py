"""The OpenAPI 3.1 document of a table of routes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from bot.web.errors import API_VERSION
from bot.web.route import (
    API_ROOT,
    ERROR_STATUSES,
    IDEMPOTENCY_HEADER,
    LAST_EVENT_HEADER,
    MAX_KEY_CHARS,
    AnyRoute,
    ErrorAnswer,
    Method,
    NoParameters,
)

EVENT_STREAM = "text/event-stream"
_OPENAPI_VERSION = "3.1.0"
_REFERENCE = "#/components/schemas/{model}"
_DESCRIPTION = (
    "Runs of Claude Code workflows: start, watch, continue and kill them. Every route needs a "
    "token, made with `signalbox token create`, except where its security is empty. An error is "
    "always `{error, message, details}`; programs read `error`."
)
_SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"key": []}]
_IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": IDEMPOTENCY_HEADER,
    "in": "header",
    "required": False,
    "description": "The same for each repetition of a request, which then has no further effect.",
    "schema": {"type": "string", "pattern": "^[ -~]+$", "maxLength": MAX_KEY_CHARS},
}
_LAST_EVENT_ID: dict[str, Any] = {
    "name": LAST_EVENT_HEADER,
    "in": "header",
    "required": False,
    "description": "The id of the last event that is known; the stream goes on after it.",
    "schema": {"type": "string"},
}
# Of one event of a stream, as programs that read the document take the schema of this type.
_EVENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "event": {"type": "string"},
        "id": {"type": "string"},
        "data": {"type": "string", "contentMediaType": "application/json"},
        "retry": {"type": "integer"},
    },
}
Schemas = Mapping[Any, Mapping[str, Any]]


def document_of(table: Sequence[AnyRoute], *, public_url: str | None = None) -> dict[str, Any]:
    """The document, as JSON.

    Args:
        table: The routes.
        public_url: The address under which clients reach this server, if it is configured.
    """
    references, definitions = models_json_schema(
        sorted(set(_models_of(table)), key=lambda pair: (pair[0].__name__, pair[1])),
        ref_template=_REFERENCE,
    )
    components: dict[str, Any] = definitions.get("$defs", {})
    paths: dict[str, dict[str, Any]] = {}
    for route in table:
        operation = _operation(route, references, components)
        paths.setdefault(f"{API_ROOT}{route.path}", {})[route.method.lower()] = operation
    return {
        "openapi": _OPENAPI_VERSION,
        "info": {"title": "Signalbox", "version": API_VERSION, "description": _DESCRIPTION},
        "servers": [{"url": public_url or "/"}],
        "paths": paths,
        "components": {
            # Parameters stand in the operations themselves.
            "schemas": {name: components[name] for name in sorted(_used(paths, components))},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }


def _used(paths: Mapping[str, Any], components: Mapping[str, Any]) -> set[str]:
    """The names of all components to which the paths refer, also through others."""
    found: set[str] = set()
    pending: list[Any] = [paths]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            if isinstance(value.get("$ref"), str) and (name := _name_of(value)) not in found:
                found.add(name)
                pending.append(components[name])
            pending += value.values()
        elif isinstance(value, list):
            pending += value
    return found


def _models_of(
    table: Iterable[AnyRoute],
) -> Iterable[tuple[type[BaseModel], JsonSchemaMode]]:
    yield ErrorAnswer, "serialization"
    for route in table:
        yield route.path_parameters, "validation"
        yield route.query, "validation"
        yield route.answer, "serialization"
        if route.has_body:
            yield route.body, "validation"


def _name_of(reference: Mapping[str, Any]) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _operation(
    route: AnyRoute, references: Schemas, components: Mapping[str, Any]
) -> dict[str, Any]:
    parameters = [
        *_parameters(route.path_parameters, "path", references, components),
        *_parameters(route.query, "query", references, components),
        *([_IDEMPOTENCY_KEY] if route.method is Method.POST else []),
        *([_LAST_EVENT_ID] if route.is_stream else []),
    ]
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "description": _description(route),
        "tags": [route.tag],
        "security": [] if route.is_public else _SECURITY,
        "responses": {
            "200": _success(route, references),
            **({"204": {"description": "Nothing more to stream"}} if route.is_stream else {}),
            **({"304": {"description": "Not Modified"}} if route.has_etag else {}),
            **{
                str(int(status)): _response(status.phrase, references[ErrorAnswer, "serialization"])
                for status in _error_statuses(route)
            },
        },
    }
    if parameters:
        operation["parameters"] = parameters
    if route.has_body:
        schema = references[route.body, "validation"]
        operation["requestBody"] = {
            "required": bool(components[_name_of(schema)].get("required")),
            "content": {"application/json": {"schema": schema}},
        }
    return operation


def _description(route: AnyRoute) -> str:
    role = "Needs no token." if route.is_public else f"Needs the role {route.role.name.lower()}."
    return f"{route.description} {role}".strip()


def _error_statuses(route: AnyRoute) -> list[HTTPStatus]:
    needless = set()
    if route.is_public:
        needless |= {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
    if not route.has_body:
        needless |= {HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE}
    if not route.may_stay_open:
        needless.add(HTTPStatus.TOO_MANY_REQUESTS)
    return [status for status in ERROR_STATUSES if status not in needless]


def _success(route: AnyRoute, references: Schemas) -> dict[str, Any]:
    """The answer of a route; of a stream, whose text no schema describes, also its events."""
    schema = references[route.answer, "serialization"]
    if not route.is_stream:
        return _response("Success", schema)
    return {
        "description": "Server-sent events; `x-event-data` has the data of each by its name.",
        "content": {EVENT_STREAM: {"schema": _EVENT_SCHEMA, "x-event-data": schema}},
    }


def _response(description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _parameters(
    model: type[BaseModel], place: str, references: Schemas, components: Mapping[str, Any]
) -> list[dict[str, Any]]:
    if issubclass(model, NoParameters):
        return []
    schema = components[_name_of(references[model, "validation"])]
    required = schema.get("required", [])
    return [
        _without_empty(
            {
                "name": name,
                "in": place,
                "required": place == "path" or name in required,
                "description": one.get("description"),
                "schema": {key: value for key, value in one.items() if key != "description"},
            }
        )
        for name, one in schema.get("properties", {}).items()
    ]


def _without_empty(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
