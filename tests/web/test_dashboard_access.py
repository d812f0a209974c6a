"""Cookies, origins and tokens of the dashboard, as browsers and attackers send them."""

from __future__ import annotations

import re
from http import HTTPStatus
from urllib.parse import quote, unquote

import pytest

from bot.web.cookies import CSRF_HEADER
from core.domain.actor import Actor, Origin, Role
from core.domain.sign_in import csrf_token_of
from core.store import audit
from core.store.database.engine import Database
from tests.api import CONSOLE, ApiHarness, open_api
from tests.database import stored_run

_INLINE = re.compile(r"<script(?![^>]* src=)|<style| style=| on[a-z]+=|javascript:")
OWN = "https://signalbox.example.com"


def slack_actor(name: str = "U1", role: Role = Role.OPERATOR) -> Actor:
    return Actor(role=role, origin=Origin.SLACK, external_id=name, team_id="T1", name="Ada")


async def sign_in(api: ApiHarness, name: str = "U1", role: Role = Role.OPERATOR) -> str:
    """The secret of a session, taken from the cookie."""
    api.members.roles[name] = role
    link = await api.sign_ins.make_link(by=slack_actor(name, role))
    answer = await api.client.post(
        "/sign-in", data={"key": link}, headers={"Origin": OWN}, allow_redirects=False
    )
    assert answer.status == HTTPStatus.SEE_OTHER, await answer.text()
    (header,) = answer.headers.getall("Set-Cookie")
    assert "__Host-signalbox_session=" in header
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= {
        part.strip() for part in header.split(";")
    }
    found = re.search(r"__Host-signalbox_session=([^;]+)", header)
    assert found is not None
    return found[1]


def cookie(secret: str, **headers: str) -> dict[str, str]:
    return {"Cookie": f"__Host-signalbox_session={secret}", **headers}


async def test_a_session_reads_and_acts_like_its_member(api: ApiHarness) -> None:
    secret = await sign_in(api)
    run = await stored_run(api.database)
    acting = cookie(secret, Origin=OWN, **{CSRF_HEADER: csrf_token_of(secret)})

    listed = await api.get(f"{CONSOLE}/runs", headers=cookie(secret))
    killed = await api.post(f"{CONSOLE}/run/{run.run_id}/kill", body={}, headers=acting)

    assert [one["run_id"] for one in listed.body["runs"]] == [run.run_id]
    assert killed.status == HTTPStatus.OK, killed.text
    async with api.database.sessions() as session:
        entry = next(one for one in await audit.recent(session, 10) if one.action == "kill")
    assert (entry.actor.origin, entry.actor.name, entry.actor.token) == (
        Origin.DASHBOARD,
        "Ada",
        None,
    )


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": OWN},
        {"Origin": OWN, CSRF_HEADER: "0" * 32},
        {"Origin": "https://evil.example", CSRF_HEADER: "own"},
        {"Origin": "null", CSRF_HEADER: "own"},
        {CSRF_HEADER: "own"},
        {"Origin": "https://[", CSRF_HEADER: "own"},
        {"Origin": "https://signalbox.example.com.evil.example", CSRF_HEADER: "own"},
    ],
    ids=repr,
)
async def test_another_site_makes_no_browser_act(api: ApiHarness, headers: dict[str, str]) -> None:
    secret = await sign_in(api)
    run = await stored_run(api.database)
    token = csrf_token_of(secret)
    sent = {name: token if value == "own" else value for name, value in headers.items()}

    refused = await api.post(
        f"{CONSOLE}/run/{run.run_id}/kill", body={}, headers=cookie(secret, **sent)
    )

    assert (refused.status, refused.error) == (HTTPStatus.FORBIDDEN, "cross_site_request")
    status = await api.get(f"{CONSOLE}/run/{run.run_id}/status", headers=cookie(secret))
    assert status.body["status"] == "pending"


async def test_a_session_counts_in_its_cookie_only(api: ApiHarness) -> None:
    secret = await sign_in(api)

    as_token = await api.get(f"{CONSOLE}/runs", secret)
    as_key = await api.get(f"{CONSOLE}/runs", headers={"x-api-key": secret})
    odd = await api.get(f"{CONSOLE}/runs", headers=cookie("sbd_" + "x" * 1000))
    foreign = await api.get(f"{CONSOLE}/runs", headers={"Cookie": "signalbox_session=sbx_1"})

    assert [one.status for one in (as_token, as_key, odd, foreign)] == [401] * 4


async def test_a_sign_in_from_another_page_is_refused(api: ApiHarness) -> None:
    api.members.roles["U1"] = Role.VIEWER
    link = await api.sign_ins.make_link(by=slack_actor())

    for origin in ({}, {"Origin": "https://evil.example"}):
        answer = await api.client.post("/sign-in", data={"key": link}, headers=origin)
        assert answer.status == HTTPStatus.FORBIDDEN
        assert "Set-Cookie" not in answer.headers
    # It was not used up.
    await api.sign_ins.preview(link)


async def test_pages_may_load_nothing_from_elsewhere(api: ApiHarness) -> None:
    secret = await sign_in(api)

    for path in ("/", "/runs", "/sign-in?key=none", "/runs?status=none"):
        answer = await api.client.get(path, headers=cookie(secret))
        policy = answer.headers["Content-Security-Policy"]
        text = await answer.text()
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["Cache-Control"] == "no-store"
        assert _INLINE.findall(text) == []
        for asset in re.findall(r'(?:src|href)="(/static/[^"]+)"', text):
            file = await api.client.get(asset)
            assert file.status == HTTPStatus.OK
            assert "immutable" in file.headers["Cache-Control"]


async def test_a_page_says_what_is_wrong(api: ApiHarness) -> None:
    secret = await sign_in(api)

    nobody = await api.client.get("/runs")
    wrong = await api.client.get("/runs?status=tired", headers=cookie(secret))
    missing = await api.client.get("/static/0/app.css")

    assert (nobody.status, wrong.status, missing.status) == (401, 400, 404)
    assert "/workflow dashboard" in await nobody.text()
    assert "query.status" in await wrong.text()


async def test_the_stream_of_a_page_ends_with_its_session(database: Database) -> None:
    async with open_api(database) as api:
        secret = await sign_in(api)
        answer = await api.client.get("/live/runs", headers=cookie(secret))
        assert answer.status == HTTPStatus.OK
        first = await answer.content.readuntil(b"event: current")
        assert b"event: section" in first
        (session,) = await api.sign_ins.list_sessions(by=slack_actor())

        await api.sign_ins.end_session(session.id, by=slack_actor())

        # The rest, until the server ends it.
        await answer.content.read()
        assert answer.content.at_eof()
        again = await api.client.get("/live/runs", headers=cookie(secret))
        assert again.status == HTTPStatus.UNAUTHORIZED


@pytest.mark.parametrize(
    ("asked", "next_page"),
    [
        ("/runs?status=failed&range=7d", "/runs?status=failed&range=7d"),
        ("/", "/"),
        (None, "/"),
    ],
)
async def test_a_browser_comes_back_to_the_page_it_asked_for(
    api: ApiHarness, asked: str | None, next_page: str
) -> None:
    api.members.roles["U1"] = Role.VIEWER
    link = await api.sign_ins.make_link(by=slack_actor())
    headers = {"Origin": OWN}
    if asked is not None:
        refused = await api.client.get(asked)
        (header,) = refused.headers.getall("Set-Cookie")
        headers["Cookie"] = header.partition(";")[0]

    answer = await api.client.post(
        "/sign-in", data={"key": link}, headers=headers, allow_redirects=False
    )

    assert answer.headers["Location"] == next_page


@pytest.mark.parametrize(
    "page", ["//evil.example", "/\\evil.example", "https://evil.example", "/%0d%0aX: 1", "x", "/ü"]
)
async def test_a_browser_is_sent_to_no_other_site(api: ApiHarness, page: str) -> None:
    api.members.roles["U1"] = Role.VIEWER
    link = await api.sign_ins.make_link(by=slack_actor())
    headers = {"Origin": OWN, "Cookie": f"signalbox_page={quote(unquote(page), safe='')}"}

    answer = await api.client.post(
        "/sign-in", data={"key": link}, headers=headers, allow_redirects=False
    )

    assert answer.headers["Location"] == "/"
