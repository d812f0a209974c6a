"""Restarts through the API."""

from __future__ import annotations

from core.domain.actor import Role
from tests.api import CONSOLE, ApiHarness
from tests.database import running_run
from tests.restart_rows import ended, with_checkpoint


async def test_a_preview_tells_all_and_starts_nothing(api: ApiHarness) -> None:
    token = await api.token(role=Role.OPERATOR)
    old = await ended(api.database)
    await with_checkpoint(api.database, old)
    path = f"{CONSOLE}/run/{old.run_id}/restart"

    reply = await api.post(path, token, {"checkpoint": 1, "preview": True})

    assert reply.status == 200
    assert reply.body["run_id"] is None
    preview = reply.body["preview"]
    assert preview["is_possible"]
    assert [step["name"] for step in preview["discarded_steps"]] == ["Step 2", "Step 3"]
    assert [one["number"] for one in preview["checkpoints"]] == [1]
    assert (preview["spent"], preview["spent_after"]) == (0.3, 0.2)
    assert preview["text"].startswith(f"Restart {old.run_id} from checkpoint 1")


async def test_a_restart_answers_the_new_run_and_a_repeated_one_the_same(api: ApiHarness) -> None:
    token = await api.token(role=Role.OPERATOR)
    old = await ended(api.database)
    await with_checkpoint(api.database, old)
    path = f"{CONSOLE}/run/{old.run_id}/restart"

    first = await api.post(path, token, {"checkpoint": 1})
    again = await api.post(path, token, {"checkpoint": 1})

    assert first.status == again.status == 200
    assert first.body["run_id"] == again.body["run_id"] != old.run_id
    assert (first.body["is_new"], again.body["is_new"]) == (True, False)
    assert first.body["restarted_run_id"] == old.run_id
    assert first.body["session_id"] != str(old.session_id)
    assert "Restarted from checkpoint 1" in first.body["message"]
    status = await api.get(f"{CONSOLE}/run/{first.body['run_id']}/status", token)
    origin = {"run_id": old.run_id, "mode": "fork", "checkpoint": 1, "step": "Write the module"}
    assert status.body["restarted_from"] == origin
    status = await api.get(f"{CONSOLE}/run/{old.run_id}/status", token)
    assert status.body["restarted_from"] is None


async def test_what_is_in_the_way_is_told(api: ApiHarness) -> None:
    token = await api.token(role=Role.OPERATOR)
    live = await running_run(api.database)
    old = await ended(api.database)
    await with_checkpoint(api.database, old, message_uuid=None)

    refused = await api.post(f"{CONSOLE}/run/{live.run_id}/restart", token, {})
    unknown = await api.post(f"{CONSOLE}/run/{old.run_id}/restart", token, {"checkpoint": 9})
    blocked = await api.post(f"{CONSOLE}/run/{old.run_id}/restart", token, {"checkpoint": 1})

    assert (refused.status, refused.body["error"]) == (409, "run_still_live")
    assert refused.body["details"] == {"run_id": live.run_id}
    assert (unknown.status, unknown.body["error"]) == (404, "checkpoint_not_found")
    assert (blocked.status, blocked.body["error"]) == (409, "not_restartable")
    assert "had not said anything" in blocked.body["message"]


async def test_a_runner_restarts_no_run_of_others(api: ApiHarness) -> None:
    token = await api.token(role=Role.RUNNER)
    old = await ended(api.database)

    reply = await api.post(f"{CONSOLE}/run/{old.run_id}/restart", token, {})

    assert (reply.status, reply.body["error"]) == (403, "not_allowed")
