"""The page of a run, without a browser: what it says, what it shows to whom, what it reads."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path

import pytest
from sqlalchemy import event

from core.domain.actor import Role
from core.domain.resources.sample import (
    OwnedSample,
    OwnedUsage,
    Sample,
    SampleSource,
    Usage,
)
from core.domain.runs.outcome import Outcome, OutcomeReason
from core.domain.runs.run import Run, StopReason
from core.store.resources import samples
from tests.api import CONSOLE, ApiHarness
from tests.database import stored_run
from tests.diff_rows import changed_run
from tests.run_story import RunStory, recently
from tests.web.test_dashboard_access import cookie, sign_in
from tests.web.test_failures import waiting_run

_PLAN = ("Read the code", "Write the bucket", "Cover it with tests")


async def page_of(api: ApiHarness, run: Run | str, *, role: Role = Role.OPERATOR) -> str:
    """The HTML of a run's page."""
    secret = await sign_in(api, f"U{role.name}", role)
    run_id = run if isinstance(run, str) else run.run_id
    answer = await api.client.get(f"/runs/{run_id}", headers=cookie(secret))
    assert answer.status == HTTPStatus.OK, await answer.text()
    return await answer.text()


def words(html: str) -> str:
    """The text of a page."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


async def three_legs(api: ApiHarness) -> list[Run]:
    story = RunStory(api.database, recently(hours=5))
    for number in range(3):
        run = await story.leg(None if number == 0 else f"Go on, part {number + 1}")
        await story.calls(run, 20)
        await story.plan(run, _PLAN, done=number + 1)
        await story.checkpoint(run, _PLAN[number])
        await story.end(run, StopReason.MAX_TURNS, result=f"Stopped in part {number + 1}.")
        story.wait(hours=1)
    assert story.legs is not None
    return story.legs


async def test_a_page_has_the_words_and_numbers_of_the_api(api: ApiHarness) -> None:
    run = (await three_legs(api))[-1]
    status = (await api.get(f"{CONSOLE}/run/{run.run_id}/status", await api.token())).body

    shown = words(await page_of(api, run))

    assert status["headline"] in shown
    assert f"{status['turns']} /60" in shown
    assert f"~${Decimal(str(status['cost'])):.2f}" in shown
    for step in status["step_by_step_results"]:
        assert step["name"] in shown
    assert "leg 3" in shown
    assert "Add rate limiting to the API" in shown
    assert "Stopped in part 1." in shown
    assert "Go on, part 2" in shown


async def test_an_older_leg_leads_to_the_newest_and_continues_nothing(api: ApiHarness) -> None:
    first, _, newest = await three_legs(api)

    older, last = await page_of(api, first), await page_of(api, newest)

    assert f'href="/runs/{newest.run_id}"' in older
    assert "+20 turns" not in older
    assert "Send and continue" not in older
    assert "+20 turns" in last
    assert "Send and continue" in last


async def test_viewers_see_no_acts_and_runners_only_those_of_their_own_runs(
    api: ApiHarness,
) -> None:
    run = (await three_legs(api))[-1]

    seen = {role: await page_of(api, run, role=role) for role in (Role.VIEWER, Role.RUNNER)}

    for html in seen.values():
        assert "/continue" not in html
        assert "/restart" not in html
        assert "restart-dialog" not in html
    assert "Run again" in seen[Role.RUNNER]
    assert "Run again" not in seen[Role.VIEWER]
    assert "+20 turns" in await page_of(api, run)


async def test_hostile_texts_stay_texts(api: ApiHarness) -> None:
    story = RunStory(
        api.database, recently(minutes=5), task="<script>alert(1)</script> \u202e \x00"
    )
    bad = '"><img src=x onerror=alert(1)>{{ 7 * 7 }}'
    run = await story.leg(git_repo="javascript:alert(1)", git_branch=bad, ai_model=bad)
    await story.calls(run, 4)
    await story.plan(run, [bad, "x" * 5_000, "\ud800"], done=1)
    await story.checkpoint(run, bad)
    await story.end(run, StopReason.AGENT_ERROR, error_message=bad, result=f"# {bad}\n`{bad}`")

    html = await page_of(api, run)

    assert "<script>alert" not in html
    assert "<img" not in html
    assert "javascript:" not in (href for href in re.findall(r'href="([^"]*)"', html))
    assert "\u202e" not in html
    assert "{{ 7 * 7 }}" in words(html)


async def test_commits_lead_to_the_repositorys_host(api: ApiHarness, tmp_path: Path) -> None:
    run = await changed_run(api.database, tmp_path)

    html = await page_of(api, run)

    assert re.search(
        r'<a href="https://github\.com/acme/api/commit/([0-9a-f]{7})[0-9a-f]{33}" '
        r'rel="noreferrer"><code>\1</code>',
        html,
    )


async def test_a_run_of_500_calls_is_drawn_with_few_marks(api: ApiHarness) -> None:
    story = RunStory(api.database, recently(minutes=40))
    run = await story.leg()
    await story.calls(run, 500)

    html = await page_of(api, run)

    assert html.count('<rect class="call') < 200
    assert "500 tool calls" in words(html)


async def test_a_run_that_needs_a_look_says_why(api: ApiHarness) -> None:
    story = RunStory(api.database, recently(minutes=5))
    run = await story.leg()
    await story.end(
        run,
        StopReason.SUCCESS,
        result="Done.",
        outcome=Outcome.ATTENTION,
        outcome_reasons=(OutcomeReason.STEPS_LEFT,),
    )

    shown = words(await page_of(api, run))

    assert "Finished, steps left" in shown


async def test_a_kill_shows_its_phases_and_its_proof(api: ApiHarness) -> None:
    story = RunStory(api.database, recently(minutes=5))
    run = await story.leg()
    await story.kill(run)
    await story.end(run, StopReason.KILLED)

    shown = words(await page_of(api, run))

    assert "Killed, nothing left running" in shown
    assert "interrupted agent asked to stop 135 ms 900 ms" in shown
    assert "the kernel has ended" in shown
    assert "4 processes ended in 1.2 s." in shown


async def test_a_queued_run_says_why_it_waits(api: ApiHarness) -> None:
    run = await stored_run(api.database, task_input="Later")

    shown = words(await page_of(api, run))

    assert "Queued, next in line" in shown
    assert "No worker is up" in shown


async def test_what_the_processes_used_is_shown_once_there_are_samples(api: ApiHarness) -> None:
    run = await RunStory(api.database, recently(minutes=5)).leg()
    at = recently(minutes=4)
    sample = Sample(
        at=at,
        seconds=5.0,
        cpu_seconds=2.5,
        cpu_peak=0.5,
        memory_bytes=48_000_000,
        memory_peak_bytes=64_000_000,
        processes=7,
    )
    totals = Usage(
        source=SampleSource.CGROUP,
        sampled_from=at - timedelta(seconds=5),
        sampled_until=at,
        cpu_seconds=2.5,
        cpu_peak=0.5,
        memory_peak_bytes=64_000_000,
        processes_peak=7,
    )

    assert "Memory, most" not in words(await page_of(api, run))
    await samples.add(
        api.database.reads,
        [OwnedSample(worker_id="w1", sample=sample, run=run.id, attempt=1)],
        [OwnedUsage(run=run.id, attempt=1, worker_id="w1", usage=totals)],
    )
    shown = words(await page_of(api, run))

    assert "CPU, most 0.50 cores Memory, most 64.0 MB Processes, most 7" in shown
    assert "its own control group" in shown


async def test_a_run_that_waits_for_its_next_attempt_says_when_and_can_be_cancelled(
    api: ApiHarness,
) -> None:
    run = await waiting_run(api)

    html = await page_of(api, run)

    shown = words(html)
    assert "The model's API is overloaded, trying again soon" in shown.replace("&#39;", "'")
    assert "Next attempt 2099-11-21 12:05 UTC" in shown
    assert "6 of the last 8 such retries on this workflow helped" in shown
    assert "Cancel… " in shown
    assert "Let it wait" in shown


async def test_an_unknown_run_is_not_found(api: ApiHarness) -> None:
    secret = await sign_in(api)

    answer = await api.client.get("/runs/run_000000000000", headers=cookie(secret))

    assert answer.status == HTTPStatus.NOT_FOUND


async def test_how_much_a_page_reads_does_not_grow_with_the_run(api: ApiHarness) -> None:
    story = RunStory(api.database, recently(hours=1))
    small = await story.leg()
    legs = await three_legs(api)
    counts: list[int] = []
    secret = await sign_in(api)
    for run in (small, legs[-1]):
        begun: list[str] = []
        engine = api.database.engine.sync_engine

        def note(
            _: object, __: object, statement: str, *___: object, of: list[str] = begun
        ) -> None:
            of.append(statement)

        event.listen(engine, "before_cursor_execute", note)
        await api.client.get(f"/runs/{run.run_id}", headers=cookie(secret))
        event.remove(engine, "before_cursor_execute", note)
        counts.append(len(begun))

    assert counts[1] <= counts[0] + 2
    assert counts[1] < 30


@pytest.mark.parametrize("role", [Role.RUNNER, Role.VIEWER])
async def test_only_runners_may_open_the_form_of_a_new_run(api: ApiHarness, role: Role) -> None:
    secret = await sign_in(api, "U7", role)

    answer = await api.client.get("/runs/new", headers=cookie(secret))

    assert (answer.status == HTTPStatus.OK) == (role is Role.RUNNER)


async def test_the_form_of_a_new_run_is_filled_in_by_its_address(api: ApiHarness) -> None:
    story = RunStory(api.database, recently(hours=1), task="\nKeep my newlines\n")
    run = await story.leg(
        timeout=timedelta(minutes=90), budget_usd=Decimal("2.50"), ai_model="opus", max_turns=7
    )
    secret = await sign_in(api)

    again = await api.client.get(f"/runs/new?again={run.run_id}", headers=cookie(secret))
    given = await api.client.get(
        f"/runs/new?again={run.run_id}&turns=9&task=Other&workflow=review", headers=cookie(secret)
    )

    html, other = await again.text(), await given.text()
    assert 'value="https://github.com/acme/api"' in html
    assert 'name="max_turns"' in html
    assert 'value="7"' in html
    assert 'value="2.5"' in html
    assert 'value="90"' in html
    assert 'value="opus"' in html
    # The first newline of a text area is not part of its text.
    assert ">\n\nKeep my newlines\n</textarea>" in html
    assert 'value="9"' in other
    assert ">Other</textarea>" in other
    assert '<option value="review" selected>' in other
