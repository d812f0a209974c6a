"""The page of the history: its figures, its links, and its export."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from html import unescape
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import pytest

from core.domain.actor import Role
from core.domain.runs.outcome import Outcome
from core.domain.runs.run import StopReason
from core.domain.sessions.ledger import EntrySource
from core.store import users
from tests.api import ApiHarness, Reply
from tests.database import NOW
from tests.history_rows import PastRun, some_past_runs, store_past_runs

DAY = NOW.date()
PERIOD = f"from={DAY - timedelta(days=6)}&to={DAY}"
API_REPOSITORY = "https://github.com/acme/api"


@pytest.fixture
async def token(api: ApiHarness) -> str:
    return await api.token(role=Role.VIEWER)


@pytest.fixture
async def ann(api: ApiHarness) -> UUID:
    async with api.database.sessions.begin() as session:
        return (await users.add(session, "Ann", now=NOW)).id


async def page(api: ApiHarness, token: str, query: str = PERIOD) -> str:
    reply = await api.get(f"http://{api.host}/analytics?{query}", token)
    assert reply.status == 200, reply.text
    return reply.text


async def export(api: ApiHarness, token: str, query: str) -> tuple[Reply, list[dict[str, str]]]:
    reply = await api.get(f"http://{api.host}/analytics.csv?{query}", token)
    rows = list(csv.DictReader(io.StringIO(reply.text.removeprefix("\ufeff"))))
    return reply, rows


def table(html: str) -> dict[str, list[tuple[str, str | None]]]:
    """The rows of the table by their names: each cell's words and its link."""
    body = (
        html.split('<table class="analytics">')[1]
        .split("<tbody>")[1]
        .split("</table>", maxsplit=1)[0]
    )
    found = {}
    for row in body.split("<tr data-row>")[1:]:
        name = unescape(re.sub("<[^>]*>", "", row.split("</th>")[0])).strip()
        cells = re.findall(r'<td class="number">(?:<a href="([^"]*)">)?([^<]*)', row)
        found[name] = [(unescape(words), unescape(url) or None) for url, words in cells]
    return found


def words(html: str) -> str:
    return " ".join(unescape(re.sub("<[^>]*>", " ", html)).split())


def filters(url: str | None) -> Mapping[str, str]:
    assert url is not None
    assert urlsplit(url).path == "/runs"
    return dict(parse_qsl(urlsplit(url).query))


RUNS: Sequence[PastRun] = (
    PastRun(day=DAY, seconds=100, cost="2.50"),
    PastRun(day=DAY, seconds=300, cost="0.50", source=EntrySource.ESTIMATED),
    PastRun(day=DAY, outcome=Outcome.ATTENTION, cost=None),
    PastRun(day=DAY, workflow="fix", reason=StopReason.AGENT_ERROR, repository=API_REPOSITORY),
    PastRun(day=DAY - timedelta(days=1), workflow="fix", reason=StopReason.KILLED, kill_ms=900),
)


async def test_days_have_the_figures_of_their_runs(api: ApiHarness, token: str) -> None:
    await store_past_runs(api.database, RUNS)

    html = await page(api, token)

    rows = table(html)
    assert list(rows) == [str(DAY), str(DAY - timedelta(days=1))]
    today = [text for text, _ in rows[str(DAY)]]
    assert today[:7] == ["4", "2", "1", "1", "", "25.0 %", "~$4.00"]
    shown = words(html)
    assert "Runs ended 5" in shown
    assert "1 of 4 judged runs" in shown
    assert "$4.50 reported by 3 runs; $0.50 estimated for 1 run; not known for 1 run" in shown
    # Nothing is known of the time before.
    assert "Too few runs in the 7 days before to compare" in shown


async def test_each_figure_leads_to_the_list_of_its_runs(
    api: ApiHarness, token: str, ann: UUID
) -> None:
    await store_past_runs(
        api.database,
        [*RUNS, PastRun(day=DAY, workflow="fix", person=ann, repository=API_REPOSITORY)],
    )

    by_day = table(await page(api, token))[str(DAY)]
    by_workflow = table(await page(api, token, f"{PERIOD}&by=workflow"))
    by_repository = table(await page(api, token, f"{PERIOD}&by=repository&workflow=fix"))
    by_person = table(await page(api, token, f"{PERIOD}&by=person"))

    days = {"from": str(DAY - timedelta(days=6)), "to": str(DAY)}
    assert filters(by_day[2][1]) == {"from": str(DAY), "to": str(DAY), "outcome": "attention"}
    assert filters(by_workflow["fix"][4][1]) == {**days, "workflow": "fix", "status": "killed"}
    assert filters(by_repository[API_REPOSITORY][0][1]) == {
        **days, "workflow": "fix", "repository": API_REPOSITORY,
    }  # fmt: skip
    assert filters(by_person["Ann"][0][1]) == {**days, "owner": "Ann"}
    # The list of runs cannot show these alone.
    assert {url for _, url in [*by_repository["no repository"], *by_person["nobody"]]} == {None}


async def test_a_linked_list_has_the_runs_of_its_days(api: ApiHarness, token: str) -> None:
    await store_past_runs(api.database, RUNS)
    _, url = table(await page(api, token))[str(DAY - timedelta(days=1))][0]

    listed = await api.get(f"http://{api.host}{url}", token)

    assert listed.text.count("<tr data-row") == 1
    assert f"from {DAY - timedelta(days=1)}" in words(listed.text)


async def test_the_table_is_ordered_as_the_address_says(api: ApiHarness, token: str) -> None:
    past = [
        PastRun(day=DAY, workflow=name, cost=cost, seconds=seconds)
        for name, cost, seconds in [("b", "3", 10), ("a", "20", 30), ("c", "1", 20), ("b", "1", 1)]
    ]
    await store_past_runs(api.database, past)

    async def order(sort: str) -> list[str]:
        return list(table(await page(api, token, f"{PERIOD}&by=workflow{sort}")))

    assert await order("") == ["b", "a", "c"]
    assert await order("&sort=-spend") == ["a", "b", "c"]
    assert await order("&sort=spend") == ["c", "b", "a"]
    assert await order("&sort=name") == ["a", "b", "c"]
    assert await order("&sort=-median") == ["a", "c", "b"]
    # What no kill was timed of stands at the end, whichever way.
    assert await order("&sort=kill_p95") == ["b", "a", "c"]


async def test_the_figures_are_those_of_the_api(api: ApiHarness, token: str, ann: UUID) -> None:
    await store_past_runs(api.database, some_past_runs(DAY, 20, [ann]))

    for by in ("day", "workflow", "repository", "person"):
        answer = (await api.get(f"/analytics?{PERIOD}&by={by}", token)).body
        _, rows = await export(api, token, f"{PERIOD}&by={by}&sort=name")

        expected = {str(one[by] or ""): one for one in answer["groups"]}
        assert {row[by] for row in rows} == set(expected)
        for row in rows:
            one = expected[row[by]]
            assert int(row["runs"]) == one["runs"]
            assert int(row["killed"]) == one["by_status"].get("killed", 0)
            assert float(row["reported_usd"]) == pytest.approx(one["spend"]["reported"])
            assert float(row["estimated_usd"]) == pytest.approx(one["spend"]["estimated"])
            assert float(row["seconds_p95"]) == pytest.approx(one["seconds"]["p95"])
            assert int(row["kills"]) == one["kills"]["count"]
        shown = words(await page(api, token, f"{PERIOD}&by={by}"))
        assert f"Runs ended {answer['total']['runs']}" in shown


async def test_the_export_is_a_file_without_formulas(api: ApiHarness, token: str) -> None:
    hostile = [
        '=HYPERLINK("http://x.example")',
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        'plain "quoted", ok',
    ]
    await store_past_runs(
        api.database, [PastRun(day=DAY, repository=one, cost="0.1234567") for one in hostile]
    )

    reply, rows = await export(api, token, f"{PERIOD}&by=repository")

    assert reply.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert reply.headers["Content-Disposition"] == (
        f'attachment; filename="signalbox-repository-{DAY - timedelta(days=6)}-{DAY}.csv"'
    )
    assert {row["repository"] for row in rows} == {
        *(f"'{one}" for one in hostile[:-1]),
        hostile[-1],
    }
    assert {row["reported_usd"] for row in rows} == {"0.1234567"}
    # Unknown is not 0.
    assert {row["kill_ms_p95"] for row in rows} == {""}


async def test_an_empty_history_says_so(api: ApiHarness, token: str) -> None:
    html = await page(api, token)
    _, rows = await export(api, token, PERIOD)

    assert "No run ended in these days" in html
    assert "data-chart-spec" not in html
    assert rows == []


@pytest.mark.parametrize(
    "query",
    ["range=forever", "from=2026-11-02&to=2026-11-01", "from=2020-01-01", "by=colour", "sort=%3C"],
)
async def test_bad_addresses_are_told_apart_from_defects(
    api: ApiHarness, token: str, query: str
) -> None:
    reply = await api.get(f"http://{api.host}/analytics?{query}", token)
    exported = await api.get(f"http://{api.host}/analytics.csv?{query}", token)

    assert reply.status == 400
    assert exported.status == 400
    assert exported.error in {"invalid_request", "bad_days"}


async def test_the_history_is_for_those_who_may_see_runs(api: ApiHarness) -> None:
    for path in ("/analytics", "/analytics.csv"):
        reply = await api.get(f"http://{api.host}{path}")

        assert reply.status == 401
