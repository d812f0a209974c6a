"""What nobody can mean is refused with 400 and the shape of all errors, and nothing fails."""

from __future__ import annotations

import io
import json
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.web.api.values import cursor_of
from bot.web.reading import parse_json, unstorable_texts
from bot.web.request_errors import InvalidJson
from core.domain.actor import Role
from core.domain.paging import PageKey
from core.store.sessions import sessions
from core.store.sessions.transcripts import Transcripts
from tests.api import CONSOLE, ApiHarness
from tests.database import NOW, missing_table, new_session, stored_run

START = f"{CONSOLE}/run/fix"
RAW = {"Content-Type": "application/json"}


@pytest.fixture
async def token(api: ApiHarness) -> str:
    return await api.token(role=Role.ADMIN)


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe",
        b'{"message": NaN}',
        b'{"message": "x", "max_turns": ' + b"9" * 5000 + b"}",
        b'{"message": "x", "max_turns": 1e400}',
        b'{"message": "x", "max_turns": 99999999999999999999999999}',
        b'{"message": "x", "max_turns": 0}',
        b'{"message": "x", "max_turns": true}',
        b'{"message": "x", "timeout": 1e30}',
        b'{"message": "x", "budget_usd": -1}',
        b'{"message": "x", "budget_usd": 1e400}',
        b'{"message": "x", "budget_usd": "NaN"}',
        b'{"message": "x", "user_id": 99999999999999999999999999}',
        b'{"message": "x", "session_id": "nonsense"}',
        b'{"message": "x", "session_name": ""}',
        b'{"message": "x\\u0000y"}',
        b'{"message": "\\ud800"}',
        b'{"message": "x", "extra\\udc00": 1}',
        b'{"message": "x", "extra": [{"deep": ["\\u0000"]}]}',
        b'{"message": "x", "repository_url": "ext::sh -c id"}',
        b'{"message": "x", "repository_url": "--upload-pack=id"}',
        b'{"message": ""}',
        b'{"message": "   "}',
        b"{}",
        b"[" * 100_000,
    ],
    ids=lambda raw: raw[:40].decode(errors="replace"),
)
async def test_a_wrong_body_is_refused(api: ApiHarness, token: str, raw: bytes) -> None:
    reply = await api.call("POST", START, token, data=raw, headers=RAW)

    assert reply.status == 400, reply.text
    assert reply.error


@pytest.mark.parametrize(
    "address",
    [
        "/runs?limit=0",
        "/runs?limit=1000000000000000000000000",
        "/runs?limit=ten",
        "/runs?limit=1&limit=2",
        "/runs?staus=failed",
        "/runs?status=lost",
        "/runs?branch=%00",
        "/runs?branch=",
        "/runs?since=yesterday",
        "/runs?since=2026-01-01T00:00:00",
        "/runs?since=9999-12-31T23:59:59-23:59",
        "/runs?since=0001-01-01T00:00:00%2B23:59",
        "/runs?since=1e30",
        "/runs?cursor=nonsense",
        "/runs?cursor=%00",
        "/runs?cursor=" + "A" * 201,
        "/run/run_1/events?after=-1",
        "/run/run_1/events?after=99999999999999999999",
        "/run/run_1/events?kind=nothing",
        "/run/run_1/transcript?subpath=%00",
        "/run/%00/status",
        "/run/" + "x" * 101 + "/status",
    ],
)
async def test_a_wrong_address_is_refused(api: ApiHarness, token: str, address: str) -> None:
    reply = await api.get(f"http://{api.host}/api/v1{CONSOLE}{address}", token)

    assert (reply.status, reply.error) == (400, "invalid_request"), reply.text
    assert reply.body["details"]["problems"]


async def test_what_aiohttp_refuses_itself_has_the_same_shape(api: ApiHarness, token: str) -> None:
    nothing = await api.get("/nothing", token)
    outside = await api.get(f"http://{api.host}/nothing/at/all")
    wrong_method = await api.call("DELETE", f"{CONSOLE}/runs", token)
    large = io.BytesIO(json.dumps({"message": "x" * 1_100_000}).encode())
    too_large = await api.call("POST", START, token, data=large, headers=RAW)
    form = await api.call("POST", START, token, data={"message": "x"})
    zipped = await api.call(
        "POST", START, token, data=b"{}", headers={**RAW, "Content-Encoding": "gzip"}
    )

    assert (nothing.status, nothing.error) == (404, "no_such_route")
    assert (outside.status, outside.error) == (404, "no_such_route")
    assert (wrong_method.status, wrong_method.error) == (405, "method_not_allowed")
    assert "GET" in wrong_method.headers["Allow"]
    assert (too_large.status, too_large.error) == (413, "too_large")
    assert (form.status, form.error) == (415, "unsupported_media_type")
    assert (zipped.status, zipped.error) == (415, "unsupported_media_type")


async def test_errors_of_the_services_have_their_status_and_facts(
    api: ApiHarness, token: str
) -> None:
    unknown_run = await api.get(f"{CONSOLE}/run/run_0000/status", token)
    unknown_workflow = await api.post(f"{CONSOLE}/run/buidler", token, {"message": "x"})
    unknown_session = await api.post(START, token, {"message": "x", "session_id": str(uuid4())})
    not_allowed = await api.post(START, token, {"message": "x", "repository_url": "/etc/secrets"})
    with_password = await api.post(
        START, token, {"message": "x", "repository_url": "https://me:hunter22@example.com/a/b"}
    )

    assert (unknown_run.status, unknown_run.error) == (404, "run_not_found")
    assert (unknown_workflow.status, unknown_workflow.error) == (404, "unknown_workflow")
    assert unknown_workflow.body["details"]["nearest"] == "builder"
    assert (unknown_session.status, unknown_session.error) == (404, "session_not_found")
    assert (not_allowed.status, not_allowed.error) == (403, "repository_not_allowed")
    assert (with_password.status, with_password.error) == (400, "credentials_in_address")
    assert "hunter22" not in with_password.text


async def test_a_defect_is_500_with_a_reference_and_tells_nothing_else(
    api: ApiHarness, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with missing_table(api.database, "workflow_runs"):
        reply = await api.get(f"{CONSOLE}/runs", token)

    assert (reply.status, reply.error) == (500, "internal_error")
    assert "workflow_runs" not in reply.text
    reference = reply.body["details"]["reference"]
    (record,) = [one for one in caplog.records if getattr(one, "reference", None) == reference]
    assert record.exc_info


async def test_a_transcript_with_what_no_text_can_hold_is_answered(
    api: ApiHarness, token: str
) -> None:
    conversation = new_session()
    async with api.database.sessions.begin() as session:
        await sessions.add(session, conversation)
    run = await stored_run(api.database, session_id=conversation.id)
    await Transcripts(api.database).append(
        {"project_key": "p", "session_id": str(conversation.id)},
        [
            {"type": "user", "text": "a\x00b \ud800"},
            {"type": "user", "password": "hunter22", "text": "xoxb-1234567890-abcdefghij"},
            {"type": "assistant"},
        ],
    )

    first = await api.get(f"{CONSOLE}/run/{run.run_id}/transcript?limit=2", token)
    rest = await api.get(f"{CONSOLE}/run/{run.run_id}/transcript?after={first.body['next']}", token)

    assert [one["entry"] for one in first.body["entries"]] == [
        {"type": "user", "text": "a\ufffdb \ufffd\ufffd\ufffd"},
        {"type": "user", "password": "[redacted]", "text": "[redacted]"},
    ]
    assert first.body["has_more"] is True
    assert [one["entry"] for one in rest.body["entries"]] == [{"type": "assistant"}]
    assert rest.body["has_more"] is False


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON_VALUES)
def test_json_is_read_as_it_was_written(value: object) -> None:
    if "Infinity" in json.dumps(value):
        with pytest.raises(InvalidJson):
            parse_json(json.dumps(value).encode())
    else:
        assert parse_json(json.dumps(value).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_refused(raw: bytes) -> None:
    try:
        value: Any = parse_json(raw)
    except InvalidJson:
        return
    assert json.loads(json.dumps(value)) == value


@given(JSON_VALUES)
def test_a_text_is_found_storable_exactly_if_postgres_can_keep_it(value: object) -> None:
    def texts(one: object) -> list[str]:
        if isinstance(one, str):
            return [one]
        if isinstance(one, dict):
            return [*one, *(text for item in one.values() for text in texts(item))]
        return [text for item in one for text in texts(item)] if isinstance(one, list) else []

    is_bad = any("\x00" in text for text in texts(value))

    assert bool(list(unstorable_texts(value, "body"))) is is_bad


async def test_a_cursor_leads_to_the_place_it_was_made_of(api: ApiHarness, token: str) -> None:
    key = PageKey(at=NOW, id=uuid4())

    reply = await api.get(f"{CONSOLE}/runs?cursor={cursor_of(key)}", token)

    assert (reply.status, reply.body["runs"]) == (200, [])
