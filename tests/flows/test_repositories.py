"""What may be cloned, from a command in Slack to the worker."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from core.domain.reach.repositories import DEFAULT_POLICY, RepositoryNotAllowed
from core.domain.runs.request import ContinueRequest
from core.domain.runs.run import RunStatus, StopReason
from core.store import audit
from tests.core_harness import CoreHarness, core_harness
from tests.harness import CONFIG, Harness, idle_harness, socket_harness
from tests.repositories import new_repository

__all__ = ["core_harness", "idle_harness", "socket_harness"]


async def test_a_refused_repository_starts_nothing_and_the_person_reads_what_is_allowed(
    socket_harness: Harness, tmp_path: Path
) -> None:
    for repo, reason in {
        "/etc": "it is in none of the allowed folders",
        "file:///etc": "it is in none of the allowed folders",
        "https://127.0.0.1/x": "its host is this machine or in a private network, and not listed",
        "git@localhost:acme/api": "its host is this machine or in a private network",
    }.items():
        answer = await socket_harness.command_and_wait(f"run builder --repo {repo} Go", reason)

        assert "may not be cloned" in answer
        assert "Allowed: every host with a public address" in answer
        assert str(tmp_path) in answer
        assert "An admin can list it under `[repositories]` in signalbox.toml." in answer

    assert await socket_harness.runs() == []
    assert socket_harness.run_cards() == []
    async with socket_harness.database.sessions() as session:
        lines = await audit.recent(session, 10)
    assert {(line.allowed, line.reason) for line in lines} == {(False, "repository_not_allowed")}


async def test_a_worker_refuses_a_run_that_was_queued_under_a_milder_policy(
    idle_harness: Harness, tmp_path: Path
) -> None:
    harness = idle_harness
    repository = await asyncio.to_thread(new_repository, tmp_path / "api")
    async with harness.serving(runs_worker=False):
        card = await harness.run(f"builder --repo {repository} Add it")
    await asyncio.to_thread((harness.home / "signalbox.toml").write_text, CONFIG)

    async with harness.serving():
        await card.wait_for_text("May not be cloned: ")
        advice = await card.wait_for_reply("Next:")
        await card.wait_for_reply("may not be cloned")
        await harness.settle()

    assert "`[repositories]` in signalbox.toml" in advice
    run = (await harness.run_of(card)).run
    assert (run.status, run.stop_reason) == (RunStatus.FAILED, StopReason.WORKSPACE_ERROR)
    assert not list(harness.home.glob("mirrors/*"))


async def test_a_session_does_not_continue_on_a_repository_that_is_not_allowed_any_more(
    core_harness: CoreHarness, tmp_path: Path
) -> None:
    repository = await asyncio.to_thread(new_repository, tmp_path / "api")
    async with core_harness.worker():
        run = await core_harness.start("Add it", repo=str(repository), session_name="api")
        await core_harness.wait_until_ended(run)
    stricter = replace(core_harness.backend.runs, repositories=DEFAULT_POLICY)

    with pytest.raises(RepositoryNotAllowed):
        await stricter.continue_run(
            ContinueRequest(target=run.run_id, request_key="again"), by=core_harness.operator
        )
    stricter_harness = replace(core_harness, backend=replace(core_harness.backend, runs=stricter))
    with pytest.raises(RepositoryNotAllowed):
        await stricter_harness.start("More of it", session_name="api")
