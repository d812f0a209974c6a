"""Which tool calls are critical sections, and how long a kill waits for them."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest

from core.agent.critical import DEFAULT_RULES, CriticalCalls, CriticalRules, compile_patterns

COMMIT = {"command": "git commit -q -m 'Add it'"}
SOON = timedelta(seconds=5)


def calls() -> CriticalCalls:
    return CriticalCalls(DEFAULT_RULES, secrets=("hunter2222",))


async def call_before_tool(critical: CriticalCalls, tool_use_id: str = "t1") -> object:
    given = {"hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_input": COMMIT}
    return await critical.pre_tool_use(given, tool_use_id, {"signal": None})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "command",
    [
        "git commit -m x",
        "cd sub && git -C . -c user.name=x --no-pager commit",
        "git add . && git push --force origin main",
        "git cherry-pick abc",
        "git am < mail.patch",
        "alembic upgrade head",
        "alembic -c other.ini upgrade head",
        "python manage.py migrate",
        "npx prisma migrate deploy",
        "npm publish",
        "twine upload dist/*",
        "cargo publish",
        "docker push registry/image",
        "terraform apply -auto-approve",
        "kubectl apply -f deployment.yml",
        "echo first\nmake build\ngit rebase main",
    ],
)
def test_commands_that_must_not_be_interrupted_are_critical(command: str) -> None:
    assert DEFAULT_RULES.find("Bash", {"command": command}) is not None


@pytest.mark.parametrize(
    "command",
    [
        "git status",
        "git log --oneline",
        "git diff",
        "ls",
        "sleep 600",
        "grep -r commit .",
        "alembic current",
        "npm install",
        "docker build .",
        "terraform plan",
        "gitcommit",
    ],
)
def test_other_commands_are_not_critical(command: str) -> None:
    assert DEFAULT_RULES.find("Bash", {"command": command}) is None


def test_the_critical_line_is_shown() -> None:
    found = DEFAULT_RULES.find("Bash", {"command": "make\n  git push origin main  \nls"})

    assert found is not None
    assert found[1] == "git push origin main"


def test_a_tool_of_an_mcp_server_is_found_by_its_name() -> None:
    rules = CriticalRules(patterns=compile_patterns([r"^mcp__deploy__"]))

    assert rules.find("mcp__deploy__ship", {"to": "production"}) is not None
    assert rules.find("mcp__notes__add", {"text": "mcp__deploy__"}) is None


@pytest.mark.full_speed
def test_hostile_commands_are_matched_quickly() -> None:
    began = time.process_time()
    for piece in ("git -c ", "git - ", "git --a=", "alembic -a ", "git  ", "alembic - -"):
        DEFAULT_RULES.find("Bash", {"command": piece * 20_000})
    DEFAULT_RULES.find("Bash", {"command": "git " + "-c " * 20_000})
    DEFAULT_RULES.find("Bash", {"command": "alembic " + "-c x " * 20_000})

    assert time.process_time() - began < 2


def test_an_invalid_pattern_is_named() -> None:
    with pytest.raises(ValueError, match=re.escape("'git (commit' is not a regular")):
        compile_patterns(["git (commit"])


async def test_a_kill_waits_until_an_open_call_returns() -> None:
    critical = calls()
    assert await call_before_tool(critical) == {}

    critical.close_gate()
    assert list(critical.running) == ["t1"]
    waiting = asyncio.create_task(critical.drain(SOON, force_requested=asyncio.Event()))
    await asyncio.sleep(0)
    critical.end("t1")
    (waited,) = await waiting

    assert waited.finished
    assert waited.tool == "Bash"
    assert waited.summary == "git commit -q -m 'Add it'"
    assert re.search(waited.pattern, waited.summary)


async def test_nothing_begins_once_the_gate_is_closed() -> None:
    critical = calls()

    critical.close_gate()
    assert not critical.running
    answer = await call_before_tool(critical)

    assert "'permissionDecision': 'deny'" in str(answer)
    assert await critical.drain(SOON, force_requested=asyncio.Event()) == ()


async def test_a_kill_stops_waiting_for_a_long_call() -> None:
    critical = calls()
    await call_before_tool(critical)
    limit = timedelta(milliseconds=50)

    (waited,) = await critical.drain(limit, force_requested=asyncio.Event())

    assert not waited.finished
    assert waited.milliseconds >= 50


async def test_force_ends_the_wait() -> None:
    critical = calls()
    await call_before_tool(critical)
    force_requested = asyncio.Event()
    waiting = asyncio.create_task(
        critical.drain(timedelta(seconds=60), force_requested=force_requested)
    )
    await asyncio.sleep(0)

    force_requested.set()
    (waited,) = await waiting

    assert not waited.finished


async def test_a_kill_does_not_wait_for_an_ended_agent() -> None:
    critical = calls()
    await call_before_tool(critical)
    waiting = asyncio.create_task(critical.drain(SOON, force_requested=asyncio.Event()))
    await asyncio.sleep(0)

    critical.discard_all()
    (waited,) = await waiting

    assert not waited.finished


async def test_a_kill_waits_for_two_calls() -> None:
    critical = calls()
    # A subagent works in parallel to the agent that started it.
    critical.begin("t1", "Bash", COMMIT)
    critical.begin("t2", "Bash", COMMIT, parent_tool_use_id="t0")
    waiting = asyncio.create_task(critical.drain(SOON, force_requested=asyncio.Event()))
    await asyncio.sleep(0)

    critical.end("t2")
    critical.end("t1")

    assert [one.finished for one in await waiting] == [True, True]


async def test_secrets_in_a_command_are_redacted() -> None:
    critical = calls()
    critical.begin("t1", "Bash", {"command": "git push https://me:hunter2222@host/r.git"})

    (waited,) = await critical.drain(timedelta(0), force_requested=asyncio.Event())

    assert "git push" in waited.summary
    assert "hunter2222" not in waited.summary


async def test_a_kill_does_not_wait_for_a_call_that_has_not_begun() -> None:
    critical = calls()
    critical.begin("t1", "Bash", {"command": "sleep 600"})
    critical.begin("t2", "Bash", COMMIT)
    assert not critical.running

    critical.end("t1")

    assert list(critical.running) == ["t2"]


async def test_a_call_without_a_result_delays_nothing() -> None:
    critical = calls()
    critical.begin("t1", "Bash", {"command": "ls"}, message_id="m1")
    critical.begin("s1", "Bash", COMMIT, parent_tool_use_id="t0", message_id="m2")
    critical.begin("t2", "Bash", COMMIT, message_id="m3")

    assert list(critical.running) == ["s1", "t2"]


async def test_a_flood_of_calls_is_forgotten_but_for_the_last() -> None:
    critical = calls()

    for number in range(2_000):
        critical.begin(f"t{number}", "Bash", COMMIT, parent_tool_use_id=f"agent {number}")

    assert list(critical.running) == [f"t{number}" for number in range(1_500, 2_000)]


async def test_calls_of_one_answer_are_open_together() -> None:
    critical = calls()
    critical.begin("t1", "Bash", COMMIT, message_id="m1")
    critical.begin("t2", "Bash", {"command": "ls"}, message_id="m1")

    assert list(critical.running) == ["t1"]


async def test_a_call_reported_before_its_hook_is_one_call() -> None:
    critical = calls()
    critical.begin("t1", "Bash", COMMIT, parent_tool_use_id="t0")
    await call_before_tool(critical, "t1")

    critical.end("t1")

    assert not critical.running


def gated_calls(tmp_path: Path) -> CriticalCalls:
    critical = CriticalCalls(DEFAULT_RULES, gate=tmp_path / "a gate")
    critical.open_gate()
    return critical


def shell(critical: CriticalCalls, command: str) -> subprocess.CompletedProcess[str]:
    # The agent program's shells have a socket for their input.
    ours, theirs = socket.socketpair()
    with ours, theirs:
        return subprocess.run(
            ["bash", "-c", command],
            env={"PATH": os.environ["PATH"], **critical.environment},
            stdin=theirs.fileno(),
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )


def test_shells_begin_until_the_gate_is_closed(tmp_path: Path) -> None:
    critical = gated_calls(tmp_path)
    before = shell(critical, "echo begun")

    critical.close_gate()
    critical.close_gate()
    after = shell(critical, "echo begun")

    assert (before.returncode, before.stdout, before.stderr) == (0, "begun\n", "")
    assert (after.returncode, after.stdout) == (126, "")
    assert "being stopped" in after.stderr


def test_a_started_shell_continues_after_the_gate_is_closed(tmp_path: Path) -> None:
    critical = gated_calls(tmp_path)
    hook = tmp_path / "hook"
    hook.write_text("#!/usr/bin/env bash\necho hooked\n")
    hook.chmod(0o755)

    # Like a commit whose hook begins after the kill.
    done = shell(critical, f"rm '{tmp_path}/a gate'; '{hook}'; bash -c 'echo inner'; env")

    assert done.stdout.startswith("hooked\ninner\n")
    assert "BASH_ENV" not in done.stdout
    assert "SIGNALBOX_GATE" not in done.stdout


def test_without_patterns_there_is_no_gate(tmp_path: Path) -> None:
    critical = CriticalCalls(CriticalRules(), gate=tmp_path / "gate")
    critical.open_gate()

    assert critical.environment == {}
    assert not (tmp_path / "gate").exists()


def test_without_bash_the_hook_checks_shells_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not re.search(gated_calls(tmp_path).matcher, "Bash")
    monkeypatch.setenv("PATH", str(tmp_path))

    without = CriticalCalls(DEFAULT_RULES, gate=tmp_path / "gate")

    assert re.search(without.matcher, "Bash")
    assert without.environment == {}
