"""What is not valid HTTP, or not what a server can use, gets the shape of all errors, too."""

from __future__ import annotations

import asyncio
import gzip
import random
from collections import Counter

import pytest

from bot.web.route import API_ROOT
from core.domain.actor import Role
from tests.api import CONSOLE, ApiHarness
from tests.web.raw_http import PAUSE_SECONDS, request, send

START = f"{API_ROOT}{CONSOLE}/run/fix"


@pytest.fixture
async def token(api: ApiHarness) -> str:
    return await api.token(role=Role.ADMIN)


NOT_HTTP = {
    "words": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no target": request(b"GET"),
    "unknown method": request(b"BREW /healthz HTTP/1.1"),
    "unknown version": request(b"GET /healthz HTTP/9.9"),
    "NUL in the method": request(b"G\x00T /healthz HTTP/1.1"),
    "NUL in the target": request(b"GET /health\x00z HTTP/1.1"),
    "space in the target": request(b"GET /health z HTTP/1.1"),
    "no colon": request(headers=[b"no colon"]),
    "no name": request(headers=[b": value"]),
    "space in a name": request(headers=[b"na me: value"]),
    "control character": request(headers=[b"X: \x01"]),
    "NUL in a header": request(headers=[b"X: a\x00b"]),
    "folded header": request(headers=[b"X: a", b" b"]),
    "length below 0": request(headers=[b"Content-Length: -1"]),
    "length in words": request(headers=[b"Content-Length: five"]),
    "length with a sign": request(headers=[b"Content-Length: +5"]),
    "two lengths": request(headers=[b"Content-Length: 5", b"Content-Length: 6"]),
    "length and chunks": request(headers=[b"Content-Length: 5", b"Transfer-Encoding: chunked"]),
    "unknown transfer encoding": request(headers=[b"Transfer-Encoding: klingon"]),
    "long target": request(b"GET /" + b"x" * 9_000 + b" HTTP/1.1"),
    "long header": request(headers=[b"X: " + b"y" * 9_000]),
    "long name": request(headers=[b"X" * 9_000 + b": y"]),
    "many headers": request(headers=[b"X: y"] * 300),
}


@pytest.mark.parametrize("raw", NOT_HTTP.values(), ids=NOT_HTTP)
async def test_what_is_not_http_is_one_line_in_the_log_and_400(
    api: ApiHarness, caplog: pytest.LogCaptureFixture, raw: bytes
) -> None:
    caplog.set_level("INFO")

    reply = await send(api, raw)

    assert reply is not None
    assert (reply.status, reply.error) == (400, "bad_request")
    assert reply.headers["x-content-type-options"] == "nosniff"
    (record,) = [
        one for one in caplog.records if getattr(one, "event", "") == "http_request.malformed"
    ]
    assert record.exc_info is None
    assert len(record.getMessage()) < 200
    assert "\n" not in record.getMessage()


def headers_of(token: str, *more: bytes) -> list[bytes]:
    return [f"x-api-key: {token}".encode(), b"Content-Type: application/json", *more]


BROKEN_BODIES = {
    "no chunk": [b"zz\r\n"],
    "no chunk, later": [b"2\r\n{}\r\n", b"zz\r\n"],
    "wrong length": [b"2\r\n{}x\r\n0\r\n\r\n"],
    "negative length": [b"-2\r\n{}\r\n"],
    "huge length": [b"f" * 40 + b"\r\n{}"],
}


@pytest.mark.parametrize("parts", BROKEN_BODIES.values(), ids=BROKEN_BODIES)
async def test_broken_chunks_are_400(
    api: ApiHarness, token: str, parts: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    head = request(
        f"POST {START} HTTP/1.1".encode(), headers_of(token, b"Transfer-Encoding: chunked")
    )

    together = await send(api, head + b"".join(parts))
    apart = await send(api, head, *parts)

    for reply in (together, apart):
        assert reply is not None
        assert reply.status == 400
        assert reply.error in ("bad_request", "unreadable_body")
    assert [one for one in caplog.records if one.levelname == "ERROR"] == []


async def test_a_client_that_leaves_in_the_middle_leaves_no_error(
    api: ApiHarness, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    line = f"POST {START} HTTP/1.1".encode()
    host, _, port = api.host.partition(":")
    for more in (b"Content-Length: 100", b"Transfer-Encoding: chunked"):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(request(line, headers_of(token, more), b"5\r\n{"))
        await writer.drain()
        await asyncio.sleep(PAUSE_SECONDS)
        writer.close()
        await writer.wait_closed()

    reply = await api.get("/openapi.json")

    assert reply.status == 200
    assert [one for one in caplog.records if one.levelname in ("ERROR", "CRITICAL")] == []


async def test_a_body_over_the_limit_is_413_before_it_is_read(api: ApiHarness, token: str) -> None:
    line = f"POST {START} HTTP/1.1".encode()
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"

    announced = await send(
        api, request(line, headers_of(token, b"Content-Length: 99999999999"), b"{")
    )
    chunked = await send(
        api, request(line, headers_of(token, b"Transfer-Encoding: chunked"), chunk * 17)
    )

    for reply in (announced, chunked):
        assert reply is not None
        assert (reply.status, reply.error) == (413, "too_large")


REFUSED = {
    "unknown path": (request(b"GET /nothing HTTP/1.1"), 404),
    "not ASCII": (request("GET /é HTTP/1.1".encode()), 400),
    "escaped bytes": (request(b"GET /%ff%00 HTTP/1.1"), 404),
    "another server": (request(b"GET http://elsewhere/x HTTP/1.1"), 404),
    "everything": (request(b"OPTIONS * HTTP/1.1"), 404),
    "two slashes": (request(b"GET //healthz HTTP/1.1"), 404),
    "dots": (request(b"GET /api/../../etc HTTP/1.1"), 404),
    "wrong method": (request(b"PATCH /healthz HTTP/1.1"), 405),
    "another wrong method": (request(b"PROPFIND /healthz HTTP/1.1"), 405),
    "expectation": (request(headers=[b"Expect: a miracle"]), 417),
}


@pytest.mark.parametrize(("raw", "status"), REFUSED.values(), ids=REFUSED)
async def test_what_nothing_serves_has_the_shape(
    api: ApiHarness, raw: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    reply = await send(api, raw)

    assert reply is not None
    assert reply.status == status
    assert reply.error
    assert [one for one in caplog.records if one.levelname == "ERROR"] == []


async def test_bodies_of_other_types_and_encodings_are_415(api: ApiHarness, token: str) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    sent = [
        (b"Content-Encoding: gzip", bomb),
        (b"Content-Encoding: deflate", b"\x78\x9c"),
        (b"Content-Encoding: br, gzip", b"x"),
        (b"Content-Type: text/plain", b"{}"),
        (b"Content-Type: multipart/form-data; boundary=x", b"--x--"),
        (b"Content-Type: a/b/c; \xff", b"{}"),
        (b"Content-Type: ", b"{}"),
    ]

    for header, body in sent:
        lines = [f"x-api-key: {token}".encode(), header, f"Content-Length: {len(body)}".encode()]
        reply = await send(api, request(f"POST {START} HTTP/1.1".encode(), lines, body))
        assert reply is not None
        assert (reply.status, reply.error) == (415, "unsupported_media_type"), header


async def test_headers_that_are_no_text_are_refused_as_what_they_are(
    api: ApiHarness, token: str
) -> None:
    line = f"GET {API_ROOT}/workers HTTP/1.1".encode()
    key = request(line, [b"x-api-key: sbx_\xff\xfe"])
    bearer = request(line, [b"Authorization: Bearer \xc3\x28"])
    query = request(line.replace(b"workers", b"workers?x=%ff"), headers_of(token))
    repeated = request(
        f"POST {START} HTTP/1.1".encode(),
        headers_of(token, b"Idempotency-Key: \xff", b"Content-Length: 15"),
        b'{"message":"x"}',
    )

    replies = [await send(api, raw) for raw in (key, bearer, query, repeated)]

    assert [reply and (reply.status, reply.error) for reply in replies] == [
        (401, "unauthenticated"),
        (401, "unauthenticated"),
        (400, "invalid_request"),
        (400, "invalid_request"),
    ]


LINES = (b"GET / HTTP/1.1", f"POST {START} HTTP/1.1".encode(), b"BREW /healthz HTTP/1.0", b"G E T")
PIECES = (
    b"Content-Length: 3",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Expect: 100-continue",
    b"Upgrade: websocket",
    b"Connection: close, upgrade",
    b"Content-Type: application/json",
    b"X: \xff",
    b": ",
    b"",
)


def anything(chance: random.Random) -> bytes:
    """A request that is mostly, but not quite, one."""
    pieces = [
        chance.choice(PIECES) if chance.random() < 0.8 else chance.randbytes(20)
        for _ in range(chance.randrange(5))
    ]
    return request(chance.choice(LINES), pieces, chance.randbytes(chance.randrange(30)))


async def test_whatever_is_sent_an_answer_has_the_shape(
    api: ApiHarness, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(12)
    statuses: Counter[int | None] = Counter()
    for _ in range(200):
        raw = anything(chance)
        reply = await send(api, raw, is_all=True)
        statuses[None if reply is None else reply.status] += 1
        if reply is not None:
            assert 400 <= reply.status < 500, (raw, reply)
            # At `/` is a page of the dashboard, which is no part of the API.
            is_page = reply.headers["content-type"].startswith("text/html")
            assert (reply.status == 401 and b"Sign in" in reply.body) if is_page else reply.error

    assert statuses[400] > 20
    assert statuses[401] >= 1
    assert [one for one in caplog.records if one.levelname in ("ERROR", "CRITICAL")] == []
