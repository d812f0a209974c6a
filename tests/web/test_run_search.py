"""Lists of runs by words and by owner, through the API and the service."""

from __future__ import annotations

from datetime import timedelta

from core.agent.definitions.catalog import load_catalog
from core.domain.actor import Role
from core.domain.runs.search import RunSearch
from core.services.runs.listing import RunListService
from tests.api import CONSOLE, ApiHarness
from tests.database import NOW, stored_run


async def test_runs_are_found_by_words_of_their_task_and_the_beginning_of_their_id(
    api: ApiHarness,
) -> None:
    token = await api.token(role=Role.VIEWER)
    wanted = await stored_run(api.database, task_input="Fix 100% of the_flaky tests")
    await stored_run(api.database, task_input="Fix 100 theXflaky tests")

    async def found(text: str) -> list[str]:
        answer = await api.get(f"{CONSOLE}/runs", token, params={"text": text})
        return [one["run_id"] for one in answer.body["runs"]]

    assert await found("THE_FLAKY") == [wanted.run_id]
    assert await found("100% of") == [wanted.run_id]
    assert await found(wanted.run_id[:12]) == [wanted.run_id]
    assert await found("nothing like it") == []


async def test_runs_are_found_by_the_name_and_the_slack_id_of_their_owner(
    api: ApiHarness,
) -> None:
    token = await api.token(role=Role.VIEWER)
    api.members.roles["U0ADA"] = Role.RUNNER
    ada = await api.members.actor_of("U0ADA")
    own = await stored_run(api.database, user_id=ada.user_id)
    await stored_run(api.database)

    for owner in ("ada", "ADA", "u0ada"):
        answer = await api.get(f"{CONSOLE}/runs?owner={owner}", token)
        assert [one["run_id"] for one in answer.body["runs"]] == [own.run_id]
    nobody = await api.get(f"{CONSOLE}/runs?owner=zoe", token)

    assert (nobody.body["runs"], nobody.body["total_count"]) == ([], 0)


async def test_a_search_for_a_text_goes_on_where_its_window_ended(api: ApiHarness) -> None:
    for number in range(8):
        task = "the needle" if number in (0, 6) else f"hay {number}"
        at = NOW + timedelta(minutes=number)
        await stored_run(api.database, task_input=task, created_at=at, updated_at=at)
    service = RunListService(api.context, load_catalog(None))
    api.members.roles["U0ADA"] = Role.VIEWER
    by = await api.members.actor_of("U0ADA")
    search = RunSearch(text="needle", text_window=3)

    pages = [await service.page(search, by=by, after=None, limit=5)]
    while pages[-1].next is not None:
        pages.append(await service.page(search, by=by, after=pages[-1].next, limit=5))

    assert [len(page.items) for page in pages] == [1, 0, 1]
    assert [page.is_total_exact for page in pages] == [False] * 3
