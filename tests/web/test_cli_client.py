"""The commands' client against odd servers, over real HTTP on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot.cli.client.api import ApiClient, open_client
from bot.cli.client.completion import _suggestions
from bot.cli.client.connection import Connection
from bot.cli.client.errors import ApiRefusal, ApiUnavailable, NotSignalbox, ServerUnreachable
from bot.cli.client.following import Follower
from tests.limits import limit, patient

RUN = "/api/v1/workflows/claude-code/run/run_1"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class OddServer:
    """A server whose answers a test chooses, in order; the last one stays.

    Attributes:
        seen: Method, path and idempotency key of each request.
    """

    answers: list[Answer]
    url: str = ""
    seen: list[tuple[str, str, str | None]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        key = request.headers.get("Idempotency-Key")
        self.seen.append((request.method, request.raw_path, key))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(request)


def reply(body: object, status: int = 200, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(text=text, status=status, headers=headers)

    return answer


async def hang_up(request: web.Request) -> web.StreamResponse:
    """End the connection after the request was read."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@asynccontextmanager
async def serving(*answers: Answer) -> AsyncIterator[tuple[OddServer, ApiClient]]:
    server = OddServer(list(answers))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    connection = Connection(url=server.url, token="sbx_x", token_source="a test")
    try:
        async with open_client(connection) as client:
            yield server, client
    finally:
        await runner.cleanup()


def refuse(unexpected: object) -> None:
    pytest.fail(f"not expected: {unexpected}")


async def test_an_act_whose_answer_was_lost_is_repeated_with_the_same_key() -> None:
    async with serving(hang_up, reply({"run_id": "run_1"})) as (server, client):
        answer = await client.post("/x", {})

    assert answer.body == {"run_id": "run_1"}
    (_, _, first), (_, _, second) = server.seen
    assert first == second
    assert first


async def test_two_acts_have_different_keys() -> None:
    async with serving(reply({})) as (server, client):
        await client.post("/x", {})
        await client.post("/x", {})

    assert len({key for _, _, key in server.seen}) == 2


async def test_an_act_is_given_up_after_its_second_answer_is_lost() -> None:
    async with serving(hang_up) as (server, client):
        with pytest.raises(ServerUnreachable) as lost:
            await client.post("/x", {})

    assert lost.value.may_have_arrived
    assert server.url in lost.value.user_message
    assert len(server.seen) == 2


async def test_the_token_follows_no_redirect() -> None:
    async with serving(reply("", 302, Location="http://127.0.0.1:9/")) as (server, client):
        with pytest.raises(NotSignalbox):
            await client.get("/x")

    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ("<html>It works</html>", 200, NotSignalbox),
        ("[1]", 200, NotSignalbox),
        ("Not found", 404, NotSignalbox),
        ({"error": "no_such_route", "message": "No."}, 404, NotSignalbox),
        ("\xff", 500, NotSignalbox),
        ("Bad gateway", 502, ServerUnreachable),
        ({"error": "run_not_found", "message": "No."}, 404, ApiRefusal),
        ({"error": "x", "message": "No.", "details": [1]}, 409, ApiRefusal),
        ({"error": "database_unavailable", "message": "No."}, 503, ApiUnavailable),
        ({"error": 5}, 400, NotSignalbox),
    ],
)
async def test_each_odd_answer_has_its_own_error(
    body: object, status: int, error: type[Exception]
) -> None:
    async with serving(reply(body, status)) as (_, client):
        with pytest.raises(error) as raised:
            await client.get("/x")

    assert type(raised.value) is error


async def test_nobody_listening_says_the_address_and_how_to_start_one() -> None:
    connection = Connection(url="http://127.0.0.1:9", token="sbx_x", token_source="a test")
    async with open_client(connection) as client:
        with pytest.raises(ServerUnreachable) as refused:
            await client.post("/x", {})

    assert not refused.value.may_have_arrived
    assert refused.value.user_message.startswith(
        "No Signalbox answers at http://127.0.0.1:9 (Connection refused). Start one there"
    )


async def test_a_session_whose_name_has_a_slash_is_one_part_of_the_path() -> None:
    async with serving(reply({"run_id": "run_1"})) as (server, client):
        await client.get(f"/run/{'a%2Fb%20c'}/status", [("q", "x y&z")])

    assert server.seen[0][1] == "/api/v1/run/a%2Fb%20c/status?q=x+y%26z"


async def test_a_follower_reports_each_line_once_and_waits_for_the_saved_work() -> None:
    page = {"lines": [{"id": 1, "text": "one"}], "next": 1, "has_more": True}
    rest = {"lines": [{"id": 2, "text": "two"}], "next": 2, "has_more": False}
    none: dict[str, Any] = {"lines": [], "next": 2, "has_more": False}
    late = {"lines": [{"id": 3, "text": "three"}], "next": 3, "has_more": False}
    ended = {"run_id": "run_1", "status": "completed", "exit_code": 0}
    lines: list[int] = []
    async with serving(
        reply(page),
        reply(rest),
        reply({"status": "running", "exit_code": None}, ETag='W/"1"'),
        reply(none),
        reply("", 304),
        reply(none),
        reply(ended),
        reply(late),
        reply(ended | {"is_saving_work": True}),
        reply(ended | {"is_saving_work": False, "outcome": "clean"}),
    ) as (server, client):
        follower = Follower(
            client=client, on_line=lambda line: lines.append(line["id"]), on_silence=refuse
        )
        async with limit(20):
            status = await follower.follow("run_1")

    assert lines == [1, 2, 3]
    assert status.body["outcome"] == "clean"
    asked = [path for _, path, _ in server.seen]
    assert asked[:2] == [f"{RUN}/logs?after=0&limit=500", f"{RUN}/logs?after=1&limit=500"]


async def test_a_follower_outlasts_a_server_that_is_away_for_a_moment() -> None:
    none: dict[str, Any] = {"lines": [], "next": 0, "has_more": False}
    silences: list[Exception] = []
    away = reply({"error": "database_unavailable", "message": "No."}, 503)
    async with serving(
        away, hang_up, reply(none), reply({"exit_code": 1}), reply(none), reply({"exit_code": 1})
    ) as (_, client):
        follower = Follower(client=client, on_line=refuse, on_silence=silences.append)
        async with limit(20):
            await follower.follow("run_1")

    assert [type(error) for error in silences] == [ApiUnavailable]


async def complete(words: str, home: Path, **variables: str) -> tuple[str, str, float]:
    """What a shell is told while this is typed, and how many seconds that took."""
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from bot.cli.main import app; app(prog_name='signalbox')",
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "SIGNALBOX_HOME": str(home),
            "SIGNALBOX_TOKEN": "sbx_x",
            "_SIGNALBOX_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
            **variables,
        },
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(patient(20)):
        out, problems = await process.communicate()
    return out.decode(), problems.decode(), time.monotonic() - started


def test_a_suggestion_has_nothing_that_a_shell_would_run_or_fail_at() -> None:
    evil = "\\$(touch /tmp/x) `id` ' \" [/bold] ;:\n\x1b[2J &|<>(){}*?!~#"

    found = _suggestions([("run_1", evil), ("run_$(id)", ""), ("run_ 2", ""), (None, "")], "run_")

    assert [word for word, _ in found] == ["run_1"]
    assert set(found[0][1]) <= set(" /abcdefghijklmnopqrstuvwxyzJ2")


async def test_a_shell_completes_ids_and_names_and_hears_nothing_of_failures(
    tmp_path: Path,
) -> None:
    runs = {"runs": [{"run_id": "run_1a"}, {"run_id": "run_2b", "task": "x"}, "odd"]}
    workflows = {"workflows": [{"name": "fix", "description": "Finds a defect"}, {"name": "pr"}]}

    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(patient(60))
        return web.Response()

    async with serving(reply(runs), reply(workflows), reply("<html>"), hang) as (server, _):
        at = {"SIGNALBOX_URL": server.url}
        ids, _, _ = await complete("signalbox status run_2", tmp_path, **at)
        names, _, _ = await complete("signalbox run f", tmp_path, **at)
        odd = await complete("signalbox status run_", tmp_path, **at)
        slow = await complete("signalbox status run_", tmp_path, **at)
    nobody = await complete("signalbox kill run_", tmp_path, SIGNALBOX_URL="http://127.0.0.1:9")

    assert ids.split() == ["run_2b"]
    assert names.split() == ["fix"]
    for out, problems, took in (odd, slow, nobody):
        assert (out.strip(), problems) == ("", "")
        assert took < patient(20)
