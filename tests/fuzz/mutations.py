"""Mutations of deliveries: of their structure, of their bytes, and of the headers around them."""

from __future__ import annotations

import copy
import gzip
import json
import random
from collections.abc import Callable, Iterator, MutableMapping, MutableSequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlencode

from tests.fuzz.seeds import Document, Seed

_MAX_CHARS = 300_000
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
_CONTENT_TYPES = (
    JSON, FORM, "", "text/plain", "application/json; charset=utf-16", "application/json; charset=",
    "application/json; charset=klingon", "application/x-www-form-urlencoded; charset=latin-1",
    "multipart/form-data", "multipart/form-data; boundary=x", "application/json;;;", "/", "a" * 300,
    'application/json; charset="utf-8', "application/xml",
)  # fmt: skip
_TIMESTAMPS = ("", "-1", "0", "now", "1e9", "9" * 12, "9" * 40, "١٢٣", "1.5", " 1", "+1", "0x10")
_SIGNATURES = ("", "v0=", "v0=" + "0" * 64, "v0=" + "é" * 64, "v1=" + "0" * 64, "0" * 5000)


@dataclass(frozen=True)
class Request:
    """One request to `/slack/events`.

    Attributes:
        timestamp: The header; `None` for the present time.
        signature: The header; `None` for the right signature.
    """

    body: bytes
    content_type: str
    content_encoding: str | None = None
    timestamp: str | None = None
    signature: str | None = None
    is_chunked: bool = False


def mutated_request(seed: Seed, chance: random.Random) -> Request:
    """A request with a mutated payload; some also with mutated bytes or headers."""
    payload = mutated(seed.payload, chance)
    text = as_text(payload, chance)
    content_type = JSON if seed.kind == "events_api" else FORM
    if seed.kind == "interactive":
        text = urlencode({"payload": text}, errors="surrogatepass")
    elif seed.kind == "slash_commands":
        text = _form(payload, chance)
    body = text.encode("utf-8", "surrogatepass")
    if chance.random() < 0.25:
        body = _broken_bytes(body, chance)
    if chance.random() < 0.1:
        content_type = chance.choice(_CONTENT_TYPES)
    encoding = None
    if chance.random() < 0.06:
        body, encoding = _encoded(body, chance)
    return Request(
        body=body,
        content_type=content_type,
        content_encoding=encoding,
        timestamp=chance.choice(_TIMESTAMPS) if chance.random() < 0.03 else None,
        signature=chance.choice(_SIGNATURES) if chance.random() < 0.03 else None,
        is_chunked=chance.random() < 0.05,
    )


def mutated_frame(seed: Seed, chance: random.Random) -> str:
    """A text frame of Socket Mode with a mutated envelope."""
    envelope: Document = {
        "envelope_id": f"fuzz-{chance.randrange(10**12)}",
        "type": seed.kind,
        "payload": mutated(seed.payload, chance),
        "accepts_response_payload": seed.kind != "events_api",
    }
    if chance.random() < 0.2:
        envelope = mutated(envelope, chance)
    # Of "disconnect" the SDK makes a new connection, which is not what is tested here.
    if envelope.get("type") == "disconnect":
        del envelope["type"]
    text = as_text(envelope, chance)
    if chance.random() < 0.1:
        return _broken_bytes(text.encode("utf-8", "replace"), chance).decode("utf-8", "replace")
    return text.encode("utf-8", "replace").decode()


def mutated(payload: Document, chance: random.Random) -> Document:
    """A copy with up to four mutations; one in ten has none."""
    copied = copy.deepcopy(payload)
    for _ in range(chance.choice((0, 1, 1, 1, 1, 2, 2, 2, 3, 4))):
        places = list(_places(copied))
        if not places:
            break
        container, key = chance.choice(places)
        chance.choice(_CHANGES)(container, key, chance)
    return copied


def as_text(payload: Document, chance: random.Random) -> str:
    """JSON, sometimes with what only its text can express: a duplicate key, NaN, raw letters."""
    text = json.dumps(payload, ensure_ascii=chance.random() < 0.8)
    if chance.random() < 0.05 and text.startswith("{"):
        text = '{"type":[],"user":1,' + text[1:]
    if chance.random() < 0.03:
        text = text.replace("null", "NaN").replace("true", "Infinity")
    if chance.random() < 0.02:
        text = text.replace(":", ": " + "[" * 3000, 1)
    if chance.random() < 0.01:
        text = "[" * 100_000
    return text


Container = MutableMapping[str, Any] | MutableSequence[Any]


def _places(value: Any) -> Iterator[tuple[Container, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield value, key
            yield from _places(item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield value, index
            yield from _places(item)


def _delete(container: Any, key: Any, _: random.Random) -> None:
    del container[key]


def _retype(container: Any, key: Any, chance: random.Random) -> None:
    container[key] = _junk(chance)


def _nest(container: Any, key: Any, chance: random.Random) -> None:
    value = container[key]
    for _ in range(chance.choice((1, 2, 20, 150))):
        value = [value] if chance.random() < 0.5 else {chance.choice(("id", "x", "event")): value}
    container[key] = value


def _grow(container: Any, key: Any, chance: random.Random) -> None:
    value = container[key]
    if isinstance(value, str):
        container[key] = (value * chance.choice((2, 1000)))[:_MAX_CHARS]
    elif not isinstance(value, dict | list):
        container[key] = [value] * 50


def _spoil(container: Any, key: Any, chance: random.Random) -> None:
    mark = chance.choice(
        ("\x00", "\ud800", "\udfff\ud800", "\u202e", "\u200b", "\ufeff", "\x1b[2J")
    )
    value = container[key]
    if isinstance(value, str):
        at = chance.randrange(len(value) + 1)
        container[key] = value[:at] + mark + value[at:]
    elif isinstance(container, dict):
        container[mark] = value


def _wrap(container: Any, key: Any, _: random.Random) -> None:
    """A list for an object, an object for a list, a list for a text."""
    value = container[key]
    container[key] = list(value.values()) if isinstance(value, dict) else [value]


def _swap(container: Any, key: Any, chance: random.Random) -> None:
    if isinstance(container, dict):
        other = chance.choice(list(container))
        container[key], container[other] = container[other], container[key]


_CHANGES: tuple[Callable[[Any, Any, random.Random], None], ...] = (
    _delete, _delete, _retype, _retype, _retype, _nest, _grow, _spoil, _wrap, _swap,
)  # fmt: skip


def _junk(chance: random.Random) -> Any:
    return chance.choice(
        (
            None, True, False, 0, -1, 1.5, 10**18, 10**400, 1e308, "", " ", "x\n" * 10, "<@U1>",
            "{}", "[]", [], {}, [[]], [None], [1], [{}], {"": {}}, {"id": None}, {"id": []},
            {"id": {"id": "U1"}}, {"type": "event_callback"}, "run_" + "f" * 500, "é" * 3000,
            "\x00", "\ud83d", "-0", "T0ELSEWHERE", "event_callback", "block_actions",
        )
    )  # fmt: skip


def _form(payload: Document, chance: random.Random) -> str:
    fields = [
        (name, value if isinstance(value, str) else json.dumps(value))
        for name, value in payload.items()
    ]
    if chance.random() < 0.1:
        fields.append(chance.choice(fields) if fields else ("", ""))
    if chance.random() < 0.03:
        fields += [("x", str(number)) for number in range(300)]
    return urlencode(fields, errors="surrogatepass")


def _broken_bytes(body: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(body) + 1)
    return chance.choice(
        (
            b"", body[:at], body[:at] + b"\xff\xfe" + body[at:], body + b"}", b"\xef\xbb" + body,
            body[:at] + b"\x00" + body[at:], body.decode("utf-8", "replace").encode("utf-16"),
            body[:at] + b"%zz%" + body[at:], b"payload=" + body, b"payload=%7B", b"null", b"[]",
            b'"text"', b"{}", b"=&=&", body * 2, body[:at] + bytes([chance.randrange(256)]),
        )
    )  # fmt: skip


@cache
def _bomb() -> bytes:
    """20 kB that become 20 MB."""
    return gzip.compress(bytes(20_000_000), 1)


def _encoded(body: bytes, chance: random.Random) -> tuple[bytes, str]:
    return chance.choice(
        (
            (gzip.compress(body), "gzip"),
            (_bomb(), "gzip"),
            (gzip.compress(body)[:20], "gzip"),
            (body, "gzip"),
            (body, "deflate"),
            (body, "br"),
            (body, "zstd"),
            (body, "klingon"),
            (body, "identity"),
            (body, "gzip, gzip"),
        )
    )
