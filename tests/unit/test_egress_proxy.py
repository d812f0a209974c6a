"""The forward proxy of an attempt, over real sockets."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from core.agent.egress.resolve import ForbiddenAddress, is_forbidden, resolve_listed
from core.agent.egress.targets import Endpoint
from core.agent.egress.upstream import ParentProxies
from core.domain.runs.event import HostRefused
from tests.egress_harness import open_origin, open_proxy, open_server
from tests.limits import limit


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def body_of(answer: bytes) -> str:
    return answer.partition(b"\r\n\r\n")[2].decode()


async def test_a_listed_host_is_reached_by_plain_http_in_origin_form() -> None:
    async with open_origin() as origin, open_proxy(f"api.example.test:{origin.port}") as proxy:
        where = f"api.example.test:{origin.port}"

        answer = await proxy.ask(
            f"GET http://{where}/path?q=1 HTTP/1.1\r\nHost: evil.test\r\nX-Kept: 1\r\n"
            "Connection: keep-alive, X-Dropped\r\nX-Dropped: 1\r\nProxy-Authorization: secret\r\n"
            "Proxy-Connection: keep-alive\r\nUpgrade: h2c\r\n\r\n".encode()
        )

        assert status_of(answer) == 200
        assert body_of(answer) == "hello"
        head = origin.received[0].decode().lower()
        assert head.startswith(f"get /path?q=1 http/1.1\r\nhost: {where}\r\n")
        assert "x-kept: 1" in head
        for dropped in ("evil", "x-dropped", "secret", "keep-alive", "h2c"):
            assert dropped not in head
        assert proxy.refused == []


async def test_a_tunnel_carries_bytes_both_ways_and_half_closes() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # It answers only after the end of the client's direction.
        writer.write(b"<" + await reader.read() + b">")
        writer.close()

    async with open_server(echo) as port, open_proxy(f"api.example.test:{port}") as proxy:
        request = f"CONNECT api.example.test:{port} HTTP/1.1\r\nHost: evil.test\r\n\r\n"

        answer = await proxy.ask(request.encode() + b"\x16\x03\x01 early", half_close=True)

    assert status_of(answer) == 200
    assert answer.endswith(b"\r\n\r\n<\x16\x03\x01 early>")


@pytest.mark.parametrize("method", ["GET", "CONNECT", "HEAD", "POST"])
async def test_a_host_that_is_not_listed_is_refused_and_told(method: str) -> None:
    async with open_origin() as origin, open_proxy("api.example.test") as proxy:
        target = f"evil.test:{origin.port}"
        url = target if method == "CONNECT" else f"http://{target}/"

        answer = await proxy.ask(f"{method} {url} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

        assert status_of(answer) == 403
        if method != "HEAD":
            assert f"Signalbox refuses {target}: this run may not reach it." in body_of(answer)
            assert "An administrator" in body_of(answer)
            assert body_of(answer).count("\n") == 1
        assert origin.received == []
        assert proxy.refused == [HostRefused(host="evil.test", port=origin.port)]


async def test_with_no_host_listed_only_the_model_is_reached() -> None:
    async with open_origin() as origin:
        model = Endpoint(host="127.0.0.1", port=origin.port)
        async with open_proxy(model=model) as proxy:
            to_model = await proxy.ask(
                f"GET http://127.0.0.1:{origin.port}/v1 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            )
            elsewhere = await proxy.ask(
                f"GET http://localhost:{origin.port}/v1 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            )

    assert (status_of(to_model), status_of(elsewhere)) == (200, 403)


@pytest.mark.parametrize(
    "request_text",
    [
        "GET http://api.example.test@evil.test:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://user:pw@api.example.test:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://api.example.test\\@evil.test:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://evil.test:{port}#@api.example.test/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://[::1%25lo]:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://api.example.test:{port}:80/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET https://api.example.test:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET ftp://api.example.test:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: api.example.test:{port}\r\n\r\n",
        "GET http:///path HTTP/1.1\r\nHost: api.example.test:{port}\r\n\r\n",
        "CONNECT api.example.test HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT api.example.test:0 HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT api.example.test:99999 HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT http://api.example.test:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT x@api.example.test:{port} HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT api.example.test:{port}\x00evil HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT api.example.test:{port} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
        (
            "POST http://api.example.test:{port}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
            "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        (
            "POST http://api.example.test:{port}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
            "Content-Length: 4\r\n\r\nabcd"
        ),
        "GET http://api.example.test:{port}/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET http://api.example.test:{port}/ HTTP/1.1\r\n Host: a\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "SSH-2.0-OpenSSH_9.6\r\n",
        "\x05\x01\x00",
    ],
)
async def test_what_can_be_read_in_two_ways_is_no_request(request_text: str) -> None:
    async with open_origin() as origin, open_proxy(f"api.example.test:{origin.port}") as proxy:
        request = request_text.replace("{port}", str(origin.port)).encode("latin-1")

        answer = await proxy.ask(request, half_close=True)

        assert answer == b"" or status_of(answer) == 400
        assert origin.received == []


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "127.0.0.1."])
async def test_another_notation_of_an_address_is_refused(host: str) -> None:
    async with open_origin() as origin, open_proxy(f"127.0.0.1:{origin.port}") as proxy:
        answer = await proxy.ask(
            f"CONNECT {host}:{origin.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        )

        assert status_of(answer) == 403
        assert origin.received == []


async def test_a_second_request_in_the_same_connection_is_not_forwarded() -> None:
    async with open_origin() as origin, open_proxy(f"api.example.test:{origin.port}") as proxy:
        one = f"GET http://api.example.test:{origin.port}/%s HTTP/1.1\r\nHost: x\r\n\r\n"

        answer = await proxy.ask((one % "first" + one % "second").encode())

        assert answer.count(b"HTTP/1.1 200") == 1
        assert b"connection: close" in answer.lower()
        assert b"second" not in b"".join(bytes(one) for one in origin.received)


async def test_a_body_and_a_chunked_answer_pass_whole() -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    body = b"x" * 300_000
    async with open_origin(answer) as origin, open_proxy(f"127.0.0.1:{origin.port}") as proxy:
        head = (
            f"POST http://127.0.0.1:{origin.port}/ HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n"
        )

        shown = await proxy.ask(head.encode() + body)

        assert body_of(shown) == "abcde"
        assert b"".join(bytes(one) for one in origin.received).startswith(b"POST / HTTP/1.1\r\n")


async def test_a_head_that_is_too_long_is_refused() -> None:
    async with open_proxy("api.example.test") as proxy:
        answer = await proxy.ask(b"GET http://api.example.test/ HTTP/1.1\r\nX: " + b"a" * 70_000)

    assert status_of(answer) == 431


async def test_a_listed_host_that_does_not_answer_is_a_bad_gateway() -> None:
    async with open_proxy("unknown.test", "127.0.0.1:1") as proxy:
        unknown = await proxy.ask(b"CONNECT unknown.test:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        silent = await proxy.ask(b"GET http://127.0.0.1:1/ HTTP/1.1\r\nHost: x\r\n\r\n")

        assert status_of(unknown) == 502
        assert "the name unknown.test was not found" in body_of(unknown)
        assert status_of(silent) == 502
        assert proxy.refused == []


async def test_a_server_that_speaks_no_http_is_a_bad_gateway() -> None:
    async with (
        open_origin(b"220 smtp ready\r\n", ends=True) as origin,
        open_proxy(f"127.0.0.1:{origin.port}") as proxy,
    ):
        answer = await proxy.ask(
            f"GET http://127.0.0.1:{origin.port}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        )

    assert status_of(answer) == 502


async def test_a_listed_name_may_not_lead_to_this_machine() -> None:
    async def resolve(host: str, port: int) -> list[tuple[str, int]]:
        raise ForbiddenAddress(host, "169.254.169.254")

    async with open_proxy("api.example.test", resolve=resolve) as proxy:
        answer = await proxy.ask(b"CONNECT api.example.test:443 HTTP/1.1\r\nHost: x\r\n\r\n")

    assert status_of(answer) == 403
    assert "leads to 169.254.169.254" in body_of(answer)
    assert proxy.refused == [
        HostRefused(host="api.example.test", port=443, address="169.254.169.254")
    ]


async def test_only_localhost_and_addresses_lead_to_this_machine() -> None:
    async def lookup(host: str, port: int) -> list[tuple[str, int]]:
        found = {"inside.test": ["::1", "127.0.0.1"], "both.test": ["127.0.0.1", "10.0.0.7"]}
        return [(address, port) for address in found[host]]

    assert ("127.0.0.1", 80) in await resolve_listed("localhost", 80)
    assert await resolve_listed("127.0.0.1", 80) == [("127.0.0.1", 80)]
    assert await resolve_listed("both.test", 80, lookup=lookup) == [("10.0.0.7", 80)]
    with pytest.raises(ForbiddenAddress, match=r"inside\.test leads to ::1"):
        await resolve_listed("inside.test", 80, lookup=lookup)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("0.0.0.0", True),
        ("169.254.169.254", True),
        ("100.100.100.200", True),
        ("168.63.129.16", True),
        ("224.0.0.1", True),
        ("255.255.255.255", True),
        ("::", True),
        ("::1", True),
        ("fe80::1%eth0", True),
        ("::ffff:127.0.0.1", True),
        ("64:ff9b::7f00:1", True),
        ("fd00:ec2::254", True),
        ("10.0.0.7", False),
        ("192.168.1.1", False),
        ("93.184.216.34", False),
        ("fd12:3456::1", False),
        ("2606:2800:220:1::1", False),
        ("64:ff9b::5db8:d822", False),
    ],
)
def test_this_machine_its_link_and_metadata_services_are_forbidden(
    address: str, expected: bool
) -> None:
    assert is_forbidden(address) is expected


async def test_each_refused_host_is_told_once_and_counted() -> None:
    async with open_proxy() as proxy:
        for _ in range(3):
            await proxy.ask(b"CONNECT evil.test:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert proxy.refused == [HostRefused(host="evil.test", port=443)]

        proxy.proxy.tell_counts()

    assert proxy.refused[1:] == [HostRefused(host="evil.test", port=443, count=3)]


async def test_a_storm_of_hosts_is_told_as_fifty_and_one() -> None:
    async with open_proxy() as proxy:
        for number in range(60):
            await proxy.ask(f"CONNECT h{number}.test:443 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        proxy.proxy.tell_counts()

    assert len(proxy.refused) == 52
    assert proxy.refused[50] == HostRefused()
    assert proxy.refused[51] == HostRefused(count=10)


async def test_connections_beyond_the_limit_wait_for_a_free_place() -> None:
    async with (
        open_origin() as origin,
        open_proxy(f"127.0.0.1:{origin.port}", max_connections=2) as proxy,
    ):
        one = f"GET http://127.0.0.1:{origin.port}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode()

        answers = await asyncio.gather(*(proxy.ask(one) for _ in range(20)))

    assert [status_of(answer) for answer in answers] == [200] * 20


async def test_closing_the_proxy_ends_open_tunnels_and_refuses_new_ones() -> None:
    async with open_origin(b"") as origin:
        async with open_proxy(f"127.0.0.1:{origin.port}") as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(f"CONNECT 127.0.0.1:{origin.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")

        async with limit(30):
            with suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", proxy.port)


async def test_the_worker_s_own_proxy_is_used_for_both_kinds_of_requests() -> None:
    async with open_origin(b"HTTP/1.1 200 OK\r\n\r\nhello", ends=True) as parent:
        parents = ParentProxies.parse(
            https=f"http://user:p%40ss@127.0.0.1:{parent.port}",
            http=f"127.0.0.1:{parent.port}",
            exceptions="direct.test",
        )
        async with open_proxy("api.example.test", parents=parents) as proxy:
            tunnel = await proxy.ask(
                b"CONNECT api.example.test:443 HTTP/1.1\r\nHost: x\r\n\r\n", half_close=True
            )
            plain = await proxy.ask(b"GET http://api.example.test/a HTTP/1.1\r\nHost: x\r\n\r\n")
            await proxy.ask(b"CONNECT evil.test:443 HTTP/1.1\r\nHost: x\r\n\r\n")

    assert (body_of(tunnel), status_of(plain)) == ("hello", 200)
    assert len(parent.received) == 2
    assert parent.received[0].startswith(b"CONNECT api.example.test:443 HTTP/1.1\r\n")
    assert b"Basic dXNlcjpwQHNz" in parent.received[0]
    assert parent.received[1].startswith(b"GET http://api.example.test/a HTTP/1.1\r\n")


def test_hosts_in_no_proxy_and_this_machine_need_no_parent() -> None:
    parents = ParentProxies.parse(
        https="http://proxy.test:3128",
        http=None,
        exceptions=".internal.test, 10.0.0.0/8 other.test:8443,[2001:db8::1]",
    )

    def is_direct(host: str, port: int = 443) -> bool:
        return parents.for_host(host, port, is_tunnel=True) is None

    for host in ("a.internal.test", "internal.test", "10.1.2.3", "2001:db8::1", "localhost", "::1"):
        assert is_direct(host)
    assert is_direct("other.test", 8443)
    assert not is_direct("other.test")
    assert not is_direct("example.test")
    assert not is_direct("notinternal.test")
    assert parents.for_host("example.test", 80, is_tunnel=False) is None


@pytest.mark.parametrize("url", ["socks5://proxy.test:1080", "http://@", "http://proxy.test:x"])
def test_a_bad_address_of_a_proxy_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"must be the address of a proxy") as refused:
        ParentProxies.parse(https=url, http=None, exceptions=None)

    assert url not in str(refused.value)
