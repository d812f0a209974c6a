"""The dashboard's pages that list things: what they say, and to whom."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlencode

import pytest

from bot.web.dashboard.pages.runs import RunsQuery
from core.domain.actor import SYSTEM, Role
from core.domain.alerts.kinds import AlertKind
from core.domain.audit import AuditEntry, AuditSearch
from core.domain.fleet.workers import Caps, QueueReason
from core.domain.runs.request import Place
from core.domain.runs.run import StopReason, WaitingOn
from core.domain.sessions.ledger import EntrySource
from core.services.audit import AuditService
from core.services.fleet.admission import AdmissionService
from core.store import audit
from core.store.fleet import pending
from core.store.runs import runs
from tests.alerts.world import AlertWorld
from tests.api import CONSOLE, ApiHarness
from tests.database import NOW, running_run, stored_run
from tests.ledger_rows import spent
from tests.web.pages import signed_in

PATHS = (
    "/",
    "/runs",
    "/sessions",
    "/alerts",
    "/subscriptions",
    "/subscriptions/new",
    "/workers",
    "/workflows",
    "/workflows/implement",
    "/audit",
    "/settings",
)


@pytest.mark.parametrize("path", PATHS)
async def test_a_page_of_an_empty_installation_is_drawn(api: ApiHarness, path: str) -> None:
    page = await (await signed_in(api, Role.ADMIN)).read(path)

    assert page.status == 200
    assert "<h1>" in page.html


async def test_the_overview_counts_also_what_it_does_not_list(api: ApiHarness) -> None:
    # The oldest of many live runs wait.
    for number in range(55):
        run = await running_run(
            api.database, task_input=f"Task {number}", created_at=NOW + timedelta(seconds=number)
        )
        if number < 22:
            async with api.database.sessions.begin() as session:
                await runs.change(
                    session, run.run_id, attempt=1, now=NOW, waiting_on=WaitingOn.APPROVAL
                )
    # It waits for nobody: another attempt follows by itself.
    limited = await stored_run(
        api.database,
        task_input="Limited",
        waiting_on=WaitingOn.USAGE_LIMIT,
        created_at=NOW - timedelta(seconds=1),
    )
    reader = await signed_in(api, Role.VIEWER)

    page = await reader.read("/")
    waiting = await reader.read("/runs?waiting=true")
    token = await api.token(role=Role.VIEWER)
    listed = (await api.get(f"{CONSOLE}/runs?waiting=true&limit=2", token)).body

    assert "Needs a person 22 Waiting for an approval Task 21" in page.words
    assert "2 more runs wait for a person" in page.words
    assert "Live 56" in page.words
    assert "6 more live runs" in page.words
    assert page.html.count("<tr data-row") == 50
    assert "22 runs" in waiting.words
    assert "Task 0" in waiting.words
    assert limited.task_input not in waiting.words
    assert [one["task"] for one in listed["runs"]] == ["Task 21", "Task 20"]
    assert listed["total_count"] == 22


@pytest.mark.parametrize(
    ("path", "role", "status"),
    [
        ("/audit", Role.OPERATOR, 403),
        ("/audit.csv", Role.OPERATOR, 403),
        ("/subscriptions/new", Role.VIEWER, 403),
        ("/subscriptions", Role.VIEWER, 200),
        ("/settings", Role.VIEWER, 200),
        ("/sessions/none-like-it", Role.VIEWER, 404),
        ("/alerts/00000000-0000-0000-0000-000000000000", Role.VIEWER, 404),
        ("/workflows/none", Role.VIEWER, 404),
        ("/runs?range=yesterday", Role.VIEWER, 400),
        ("/runs?status=odd", Role.VIEWER, 400),
    ],
)
async def test_pages_are_refused_with_words(
    api: ApiHarness, path: str, role: Role, status: int
) -> None:
    assert (await (await signed_in(api, role)).read(path)).status == status


async def test_settings_are_for_admins_and_browsers_for_everybody(api: ApiHarness) -> None:
    await api.token("deploy")
    viewer = await (await signed_in(api, Role.VIEWER, "U0BEN")).read("/settings")
    admin = await (await signed_in(api, Role.ADMIN)).read("/settings")

    assert "Signed-in browsers 1" in viewer.words
    assert "SIGNALBOX_PORT" not in viewer.words
    assert "deploy" not in viewer.words
    assert "Signed-in browsers 2" in admin.words
    assert "SIGNALBOX_PORT 8765 default" in admin.words
    assert "deploy" in admin.words


async def test_a_session_shows_its_costs_as_the_api_does(api: ApiHarness) -> None:
    reader = await signed_in(api, Role.OPERATOR)
    run = await running_run(api.database, task_input="Fix <i>it</i>", turns=3)
    await spent(api.database, run, "1.4468734")
    second = replace(run, attempt=2)
    await spent(api.database, second, "0.25", EntrySource.ESTIMATED)
    token = await api.token(role=Role.VIEWER)
    answer = (await api.get(f"/sessions/{run.session_id}/legs", token)).body

    page = await reader.read(f"/sessions/{run.session_id}")
    listed = await reader.read("/sessions")

    assert "Fix <i>it</i>" in page.words
    assert "<i>it</i>" not in page.html
    shown = "$1.45" if answer["spent"]["reported"] is not None else "~$0.25"
    assert f"Cost {shown}" in page.words
    assert run.run_id in page.words
    assert "Fix <i>it</i>" in listed.words


async def test_open_alerts_come_first_and_the_most_urgent_first(api: ApiHarness) -> None:
    world = AlertWorld(api.database)
    await world.worker()
    await world.ended_run(StopReason.MAX_TURNS, task_input="limit")
    await world.ended_run(task_input="finished")
    failed = await world.ended_run(StopReason.API_ERROR, task_input="broken <b>build</b>")
    await world.evaluate()
    reader = await signed_in(api, Role.RUNNER)

    page = await reader.read("/alerts")
    failures = await reader.read("/alerts?kind=failed&severity=warning")
    none = await reader.read("/alerts?severity=critical&open=true")
    alert = await world.only(AlertKind.FAILED)
    one = await reader.read(f"/alerts/{alert.id}")

    order = [page.words.index(words) for words in ("broken <b>build</b>", "History")]
    assert order == sorted(order)
    assert page.words.index("limit") < page.words.index("History")
    assert "broken" in failures.words
    assert "limit" not in failures.words.split("Reset all filters")[1]
    assert "No open alert matches" in none.words
    assert "Told as warning" in one.words
    assert failed.run_id in one.html


async def test_subscriptions_are_told_in_words_by_channel(api: ApiHarness) -> None:
    world = AlertWorld(api.database)
    await world.subscribe("C0123ABCD", kinds=frozenset({AlertKind.FAILED}))
    reader = await signed_in(api, Role.RUNNER)

    page = await reader.read("/subscriptions")
    ada = await api.members.actor_of("U0ADA")
    (one,) = await world.subscriptions.all(by=ada)
    world.now = api.context.clock()
    place = Place(team_id="T1", channel_id="C0123ABCD")
    await world.subscriptions.mute(place, duration=timedelta(hours=1), by=ada)
    muted = await reader.read("/subscriptions")
    form = await reader.read(f"/subscriptions/{one.id}")

    assert "C0123ABCD" in page.words
    assert "It would come at once. All of the example is made up" in page.words
    assert "It would come" not in muted.words
    assert "it would be told then" in muted.words
    assert "failed" in page.words
    assert 'value="failed" data-type="list" checked' in form.html
    assert 'value="killed" data-type="list" checked' not in form.html


async def test_the_queue_says_why_each_run_waits(api: ApiHarness) -> None:
    world = AlertWorld(api.database, now=api.context.clock())
    reader = await signed_in(api, Role.OPERATOR)
    ada = await api.members.actor_of("U0ADA")
    without_worker = await stored_run(api.database, user_id=ada.user_id)
    alone = await reader.read("/workers")
    await world.worker()
    await running_run(api.database, user_id=ada.user_id)
    await AdmissionService(api.context).set_caps(Caps(person=1))
    async with api.database.sessions.begin() as session:
        await pending.set_queue_reasons(session, {without_worker.run_id: QueueReason.PERSON})

    page = await reader.read("/workers")

    assert "No worker is up" in alone.words
    assert "one of Ada's runs" in page.words
    assert "Cap on runs of a person 1" in page.words
    assert without_worker.run_id in page.words


async def test_a_workflow_says_how_its_runs_went(api: ApiHarness) -> None:
    world = AlertWorld(api.database, now=api.context.clock())
    await world.ended_run(workflow_name="fix")
    await world.ended_run(StopReason.API_ERROR, workflow_name="fix")
    reader = await signed_in(api, Role.VIEWER)

    page = await reader.read("/workflows/fix")
    listed = await reader.read("/workflows")

    assert "Ended, last 30 days 2" in page.words
    assert "Clean 50 %" in page.words
    assert "Start a run" not in page.words
    assert "50 %" in listed.words


async def test_the_audit_log_is_filtered_and_exported(api: ApiHarness) -> None:
    run = await stored_run(api.database)
    ben = replace(SYSTEM, name="=HYPERLINK(1)", role=Role.RUNNER)
    async with api.database.sessions.begin() as session:
        for number in range(3):
            await audit.record(
                session,
                AuditEntry(
                    at=NOW + timedelta(minutes=number),
                    actor=ben,
                    action="kill",
                    allowed=number > 0,
                    run_id=run.id,
                    reason="+1, <b>no</b>",
                ),
            )
    reader = await signed_in(api, Role.ADMIN)

    refused = await reader.read("/audit?action=kill&allowed=false")
    token = await api.token(role=Role.ADMIN)
    answer = (await api.get("/audit?action=kill&allowed=false&person=%3DHYPERLINK(1)", token)).body
    export = await reader.read("/audit.csv?action=kill")
    rows = list(csv.DictReader(export.html.removeprefix("\ufeff").splitlines()))

    assert refused.words.count("+1, <b>no</b>") == 1
    assert run.run_id in refused.words
    assert [one["allowed"] for one in answer["entries"]] == [False]
    assert len(rows) == 3
    assert {row["person"] for row in rows} == {"'=HYPERLINK(1)"}
    assert {row["reason"] for row in rows} == {"'+1, <b>no</b>"}
    assert {row["run_id"] for row in rows} == {run.run_id}


async def test_the_list_of_runs_offers_acts_only_to_those_who_may(api: ApiHarness) -> None:
    token = await api.token()
    started = await api.post(f"{CONSOLE}/run/fix", token, {"message": "Do it"})
    assert started.status == 200

    viewer = await (await signed_in(api, Role.VIEWER)).read("/runs")
    operator = await (await signed_in(api, Role.OPERATOR, "U0BEN")).read("/runs")

    assert "data-mark" not in viewer.html
    assert "data-own" in operator.html
    assert "No worker is up" in operator.words


async def test_a_remembered_filter_for_a_workflow_that_is_gone_finds_nothing(
    api: ApiHarness,
) -> None:
    page = await (await signed_in(api, Role.VIEWER)).read("/runs?workflow=long-gone")

    assert page.status == 200
    assert "No run matches" in page.words
    assert "workflow long-gone" in page.words


async def test_a_page_of_the_audit_log_goes_on_where_its_window_ended(api: ApiHarness) -> None:
    service = AuditService(api.context)
    async with api.database.sessions.begin() as session:
        for number in range(8):
            action = "kill" if number in (0, 6) else "view"
            at = NOW + timedelta(minutes=number)
            entry = AuditEntry(at=at, actor=SYSTEM, action=action, allowed=True)
            await audit.record(session, entry)
    search = AuditSearch(action="kill", window=3)

    pages = [await service.page(search, by=SYSTEM, before_id=None, limit=5)]
    while pages[-1].next is not None:
        pages.append(await service.page(search, by=SYSTEM, before_id=pages[-1].next, limit=5))
    whole = await service.page(
        AuditSearch(since=NOW + timedelta(minutes=5)), by=SYSTEM, before_id=None, limit=2
    )

    assert [len(page.entries) for page in pages] == [1, 0, 1]
    assert len(whole.entries) == 2
    assert whole.next == whole.entries[-1].id


async def test_every_filter_of_runs_can_be_taken_away(api: ApiHarness) -> None:
    given = {
        "status": "failed",
        "workflow": "fix",
        "session_id": "8b99235a-e9ee-447c-a529-ea6c13de5c3d",
        "mine": "true",
        "waiting": "true",
        "owner": "ada",
        "q": "50% <off>",
        "repository": "https://github.com/acme/api",
        "branch": "main",
        "stop_reason": "budget",
        "outcome": "clean",
        "range": "7d",
        "from": "2026-11-01",
        "to": "2026-11-02",
    }
    names = [field.alias or name for name, field in RunsQuery.model_fields.items()]
    assert set(given) == set(names) - {"cursor"}
    # In the order of the address.
    given = {name: given[name] for name in names if name in given}

    page = await (await signed_in(api, Role.VIEWER)).read(f"/runs?{urlencode(given)}")

    assert page.status == 200
    assert page.html.count('title="Take this filter away"') == len(given)
    assert "“50% <off>”" in page.words
    for name in given:
        rest = {key: value for key, value in given.items() if key != name}
        assert f'href="/runs?{urlencode(rest).replace("&", "&amp;")}"' in page.html
