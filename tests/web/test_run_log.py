"""The log page and what its script loads, over HTTP."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from core.domain.actor import Role
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.log_view import CHUNK_LINES
from core.domain.runs.run import Run, StopReason
from core.store import events
from core.store.runs import runs
from tests.api import ApiHarness, Reply
from tests.database import NOW, running_run


@dataclass
class LogReader:
    """A person who reads the log of a run."""

    api: ApiHarness
    run: Run
    token: str

    async def get(self, path: str = "") -> Reply:
        url = f"http://{self.api.host}/runs/{self.run.run_id}/log{path}"
        return await self.api.call("GET", url, self.token)

    async def add(self, *texts: str) -> None:
        async with self.api.database.sessions.begin() as session:
            records = [
                EventRecord(kind=EventKind.AGENT_TEXT, at=NOW, data={"text": one}) for one in texts
            ]
            await events.append(session, self.run.id, 1, records)


@pytest.fixture
async def reader(api: ApiHarness) -> LogReader:
    run = await running_run(api.database, task_input="Add <b>limits</b>")
    return LogReader(api, run, await api.token(role=Role.VIEWER))


async def test_the_page_of_an_ended_run_has_its_first_lines(
    api: ApiHarness, reader: LogReader
) -> None:
    await reader.add("hello <script>alert(1)</script>")
    live = await reader.get()
    async with api.database.sessions.begin() as session:
        await runs.finish(
            session, reader.run.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=NOW
        )

    ended = await reader.get()

    assert (live.status, ended.status) == (200, 200)
    # As long as lines can come, the script loads them.
    assert 'data-line="1"' not in live.text
    assert "data-live=" in live.text
    assert 'data-line="1"' in ended.text
    assert "data-live=" not in ended.text
    assert "<script>alert" not in ended.text
    assert "Add &lt;b&gt;limits" in ended.text
    assert "style=" not in ended.text


async def test_a_chunk_may_be_kept_only_when_it_is_complete(reader: LogReader) -> None:
    await reader.add(*(f"line {number}" for number in range(CHUNK_LINES + 3)))

    full, rest = await reader.get("/lines/0"), await reader.get("/lines/1")
    beyond = await reader.get("/lines/7")

    assert full.headers["Cache-Control"] == "private, max-age=600, immutable"
    assert rest.headers["Cache-Control"] == "no-store"
    assert (len(full.body["rows"]), full.body["complete"]) == (CHUNK_LINES, True)
    assert (len(rest.body["rows"]), rest.body["complete"]) == (3, False)
    assert rest.body["count"] == CHUNK_LINES + 3
    assert "line 202" in rest.body["rows"][2]
    assert beyond.body["rows"] == []


async def test_search_and_places_are_answered(reader: LogReader) -> None:
    await reader.add("one", "two", "Two and one")

    found = await reader.get("/find?q=two")
    place = await reader.get("/place?line=2&show=agent")

    assert found.body == {"count": 2, "places": [2, 3], "complete": True}
    assert place.body == {"place": 2}


async def test_the_raw_text_has_everything(reader: LogReader) -> None:
    texts = [f"line {number}\nwith more \x1b[31mred\x1b[0m" for number in range(1201)]
    await reader.add(*texts)

    raw = await reader.get(".txt")

    at = NOW.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert raw.text == "".join(f"{at} agent: {one}\n" for one in texts)
    assert raw.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert raw.headers["Content-Disposition"] == f'attachment; filename="{reader.run.run_id}.log"'
    assert raw.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "?show=everything", "/lines/-1", "/lines/99999999", "/lines/x", "/find", "/find?q=",
        f"/find?q={'x' * 201}", "/place", "/place?line=0", "/find?q=%00",
    ],
)  # fmt: skip
async def test_what_is_not_valid_is_refused(reader: LogReader, path: str) -> None:
    assert (await reader.get(path)).status == 400


async def test_a_log_is_for_those_who_may_see_it(api: ApiHarness, reader: LogReader) -> None:
    for path in ("", "/lines/0", "/find?q=x", "/place?line=1", ".txt"):
        url = f"http://{api.host}/runs/{reader.run.run_id}/log{path}"
        assert (await api.call("GET", url)).status == 401, path
        other = f"http://{api.host}/runs/run_000000000000/log{path}"
        assert (await api.call("GET", other, reader.token)).status == 404, path
