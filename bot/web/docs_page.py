"""The page that describes the API, made from its document.  It loads nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from bot.web.openapi import EVENT_STREAM

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 0 auto; padding: 1rem; }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
pre { overflow-x: auto; padding: .75rem; border: 1px solid #8886; border-radius: .4rem; }
section { border-top: 1px solid #8886; padding: .5rem 0; }
h3 { font-size: 1rem; margin: .5rem 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; }
.method { display: inline-block; min-width: 3.5rem; font-weight: 700; }
"""


def docs_page(document: Mapping[str, Any]) -> str:
    """The whole page as HTML.  Pure."""
    return "".join(_parts(document))


def _parts(document: Mapping[str, Any]) -> Iterator[str]:
    info = document["info"]
    title = escape(f"{info['title']} API {info['version']}")
    yield f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<style>{_STYLE}</style></head><body><h1>{title}</h1>"
    yield f"<p>{_prose(info['description'])}</p>"
    yield '<p><a href="openapi.json">OpenAPI document</a></p>'
    operations = list(_operations(document))
    yield "<nav><ul>"
    for method, path, operation in operations:
        words = f"{escape(method)} {escape(path)}: {escape(operation['summary'])}"
        yield f'<li><a href="#{escape(operation["operationId"])}">{words}</a></li>'
    yield "</ul></nav>"
    tag = None
    for method, path, operation in operations:
        if operation["tags"][0] != tag:
            tag = operation["tags"][0]
            yield f"<h2>{escape(tag)}</h2>"
        yield from _section(method, path, operation)
    yield "<h2>Schemas</h2>"
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield f'<section id="schema-{escape(name)}"><h3>{escape(name)}</h3>'
        yield f"<pre>{escape(json.dumps(schema, indent=2))}</pre></section>"
    yield "</body></html>"


def _operations(document: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Method, path and operation of each route; those under one heading together."""
    found = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    tags = list(dict.fromkeys(operation["tags"][0] for _, _, operation in found))
    return sorted(found, key=lambda entry: tags.index(entry[2]["tags"][0]))


def _section(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f'<section id="{escape(operation["operationId"])}"><h3>'
    yield f'<span class="method">{escape(method)}</span><code>{escape(path)}</code></h3>'
    yield f"<p>{_prose(operation['summary'])}. {_prose(operation['description'])}</p>"
    if operation.get("parameters"):
        yield "<table><tr><th>Parameter</th><th>In</th><th>Type</th><th>Meaning</th></tr>"
        for parameter in operation["parameters"]:
            mark = " (required)" if parameter["required"] else ""
            yield f"<tr><td><code>{escape(parameter['name'])}</code>{mark}</td>"
            yield f"<td>{escape(parameter['in'])}</td><td>{_type_of(parameter['schema'])}</td>"
            yield f"<td>{_prose(parameter.get('description', ''))}</td></tr>"
        yield "</table>"
    if "requestBody" in operation:
        yield f"<p>Body: {_content(operation['requestBody'])}</p>"
    yield f"<p>Answer: {_content(operation['responses']['200'])}</p>"
    errors = ", ".join(status for status in operation["responses"] if status >= "400")
    yield f"<p>Errors: {escape(errors)}</p></section>"


def _content(part: Mapping[str, Any]) -> str:
    content = part["content"]
    if EVENT_STREAM in content:
        return f"events with the data of {_type_of(content[EVENT_STREAM]['x-event-data'])}"
    return _type_of(content["application/json"]["schema"])


def _type_of(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(str(schema["$ref"]).rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_type_of(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"<code>{escape(str(one))}</code>" for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type_of(schema.get('items', {}))}"
    return escape(str(schema.get("format") or schema.get("type") or "any"))


def _prose(text: str) -> str:
    """Escaped text, in which what stands between backticks is code."""
    parts = escape(text).split("`")
    return "".join(
        f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts)
    )
