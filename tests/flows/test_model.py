"""The scripted model drives the real `claude` program."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from claude_agent_sdk import (
    AssistantMessage,
    ClaudeAgentOptions,
    ClaudeSDKClient,
    ProcessError,
    RateLimitEvent,
    ResultMessage,
    SystemMessage,
    TextBlock,
    ToolResultBlock,
    ToolUseBlock,
    UserMessage,
)

from bot.sandbox.model.script import Failure, FailureKind, Script, Turn
from bot.sandbox.model.server import Model, open_model
from tests.limits import limit

pytestmark = [pytest.mark.timeout(600), pytest.mark.sampled(7)]


@dataclass
class Program:
    """The real program with its own directory and environment."""

    model: Model
    home: Path
    repository: Path

    def options(self, **changed: Any) -> ClaudeAgentOptions:
        settings = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "CLAUDE_CONFIG_DIR": str(self.home / "config"),
            "ANTHROPIC_BASE_URL": self.model.url,
            "ANTHROPIC_API_KEY": self.model.api_key,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
            "CLAUDE_CODE_ENABLE_TODO_TOOLS": "1",
            "DISABLE_TELEMETRY": "1",
            **changed.pop("env", {}),
        }
        given: dict[str, Any] = {
            "cwd": self.repository,
            "env": settings,
            "permission_mode": "acceptEdits",
            "allowed_tools": ["Bash"],
            "setting_sources": [],
            "verbatim_prompts": True,
            "max_buffer_size": 64 * 1024 * 1024,
            **changed,
        }
        return ClaudeAgentOptions(**given)

    async def run(self, task: str, **changed: Any) -> list[Any]:
        """All messages up to the result."""
        messages: list[Any] = []
        async with limit(45), ClaudeSDKClient(self.options(**changed)) as client:
            await client.query(task)
            messages.extend([message async for message in client.receive_response()])
        return messages

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.repository, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    repository = tmp_path / "a repository"
    repository.mkdir()
    async with open_model() as model:
        started = Program(model, tmp_path / "home", repository)
        started.git("init", "-q", "-b", "main")
        started.git("config", "user.name", "Tester")
        started.git("config", "user.email", "tester@example.org")
        yield started


def result_of(messages: list[Any]) -> ResultMessage:
    assert isinstance(messages[-1], ResultMessage)
    return messages[-1]


def texts_of(messages: list[Any]) -> str:
    return "\n".join(
        block.text
        for message in messages
        if isinstance(message, AssistantMessage)
        for block in message.content
        if isinstance(block, TextBlock)
    )


async def test_a_task_ends_in_tested_committed_work_and_a_true_report(program: Program) -> None:
    messages = await program.run("Add rate limiting to the API")

    result = result_of(messages)
    sha = program.git("log", "-1", "--format=%h")
    assert result.subtype == "success"
    assert result.result is not None
    assert result.result.startswith("## Summary")
    assert len(result.result) > 200
    assert sha in result.result
    assert "4 run, all passed" in result.result
    assert program.git("status", "--porcelain") == ""
    assert result.total_cost_usd is not None
    assert result.total_cost_usd > 0


async def test_its_plan_is_completed_step_by_step(program: Program) -> None:
    messages = await program.run("Add a checklist reader")

    updates = [
        (block.input["taskId"], block.input["status"])
        for message in messages
        if isinstance(message, AssistantMessage)
        for block in message.content
        if isinstance(block, ToolUseBlock) and block.name == "TaskUpdate"
    ]
    assert updates == [pair for n in "1234" for pair in ((n, "in_progress"), (n, "completed"))]


async def test_the_work_does_not_touch_files_of_the_repository(program: Program) -> None:
    (program.repository / "rate_limiting_api.py").write_text("theirs = True\n")
    (program.repository / "package.json").write_text("{}\n")
    program.git("add", "-A")
    program.git("commit", "-qm", "Theirs")

    await program.run("Add rate limiting to the API")

    changed = program.git("diff", "--name-status", "HEAD~1", "HEAD")
    assert changed.splitlines() == [
        "A\trate_limiting_api_2.py",
        "A\ttest_rate_limiting_api_2.py",
    ]


async def test_a_mistake_is_found_by_its_test_and_repaired(program: Program) -> None:
    result = result_of(await program.run("Fix the flaky upload"))

    assert result.result is not None
    assert "FAILED (failures=1)); it was fixed" in result.result
    assert "all passed" in result.result


async def test_failing_tests_are_never_reported_as_passed(program: Program) -> None:
    result = result_of(await program.run("Add retries [scenario: failing-tests]"))

    assert result.result is not None
    assert "FAILED (failures=1)" in result.result
    assert "passed" not in result.result
    assert program.git("status", "--porcelain") != ""


async def test_a_continue_resumes_exactly_where_the_limit_stopped(
    program: Program,
) -> None:
    session_id = str(uuid4())
    first = await program.run(
        "[scenario: max-turns] [turns: 8]", session_id=session_id, max_turns=5
    )
    program.home = program.home.with_name("another home")
    (program.home / "config").parent.mkdir()
    (program.home.with_name("home") / "config").rename(program.home / "config")

    second = await program.run("Go on.", resume=session_id, max_turns=100)

    assert result_of(first).subtype == "error_max_turns"
    assert result_of(second).subtype == "success"
    lines = (program.repository / "progress.txt").read_text().splitlines()
    assert lines == [f"piece {number} of 8" for number in range(1, 9)]


async def test_a_message_during_a_run_is_received_and_does_not_restart_the_work(
    program: Program,
) -> None:
    program.model.scripts["work"] = program.model.scripts["slow"]
    async with limit(45), ClaudeSDKClient(program.options()) as client:
        await client.query("Add a queue [delay: 300ms]")
        messages = []
        async for message in client.receive_response():
            messages.append(message)
            if len(messages) == 5:
                await client.query("And mind the umlauts")

    result = result_of(messages)
    assert result.result is not None
    assert "And mind the umlauts" in result.result
    assert texts_of(messages).count("in four steps") == 1


async def test_a_second_task_in_a_finished_session_is_new_work(program: Program) -> None:
    session_id = str(uuid4())
    await program.run("Add rate limiting to the API", session_id=session_id)

    result = result_of(await program.run("Now add retry backoff", resume=session_id))

    assert result.result is not None
    assert "`now_retry_backoff.py`: new" in result.result
    assert program.git("rev-list", "--count", "HEAD") == "2"


@pytest.mark.parametrize("scenario", ["api-500", "429", "401", "overloaded", "cut"])
async def test_the_program_retries_api_failures(program: Program, scenario: str) -> None:
    messages = await program.run(f"[scenario: {scenario}] [times: 1]")

    retries = [m for m in messages if isinstance(m, SystemMessage) and m.subtype == "api_retry"]
    assert len(retries) == 1
    assert result_of(messages).subtype == "success"


async def test_a_queued_failure_fails_one_call_of_any_task(program: Program) -> None:
    program.model.failures.append(Failure(kind=FailureKind.GARBAGE))

    result = result_of(await program.run("[scenario: long] [turns: 1]"))

    assert result.subtype == "success"
    assert program.model.requests[0].outcome == "garbage"


async def test_an_api_that_stays_broken_ends_in_an_error(program: Program) -> None:
    result = result_of(
        await program.run(
            "[scenario: api-500] [times: forever]", env={"CLAUDE_CODE_MAX_RETRIES": "1"}
        )
    )

    assert result.is_error
    assert result.api_error_status == 500


async def test_a_hanging_model_can_be_interrupted(program: Program) -> None:
    async with limit(30), ClaudeSDKClient(program.options()) as client:
        await client.query("[scenario: hang]")
        await program.model.wait_for_turn("hang", 1)
        await client.interrupt()
        messages = [message async for message in client.receive_response()]

    assert program.model.requests[-1].outcome == "hang"
    assert result_of(messages).subtype == "error_during_execution"


async def test_a_continue_after_a_stopped_tool_gets_a_report(program: Program) -> None:
    session_id = str(uuid4())
    async with (
        limit(30),
        ClaudeSDKClient(program.options(session_id=session_id)) as client,
    ):
        await client.query("[scenario: kill-me]")
        async for message in client.receive_response():
            if isinstance(message, AssistantMessage) and "sleep 600" in str(message.content):
                await client.interrupt()

    result = result_of(await program.run("Go on.", resume=session_id))

    assert result.result is not None
    assert "stopped before it ended" in result.result
    assert (program.repository / "before-the-stop.txt").exists()


@pytest.mark.parametrize(("scenario", "exit_code"), [("crash", -9), ("no-result", 143)])
async def test_the_program_can_be_made_to_end_without_a_result(
    program: Program, scenario: str, exit_code: int
) -> None:
    with pytest.raises(ProcessError) as raised:
        await program.run(f"[scenario: {scenario}]")

    assert raised.value.exit_code == exit_code


async def test_expensive_turns_reach_a_budget(program: Program) -> None:
    messages = await program.run("[scenario: budget]", max_budget_usd=2.0)

    assert result_of(messages).subtype == "error_max_budget_usd"


async def test_a_usage_limit_has_its_reset_time(program: Program) -> None:
    subscription = {"ANTHROPIC_API_KEY": "", "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-abcdef"}
    session_id = str(uuid4())

    messages = await program.run("[scenario: usage-limit]", env=subscription, session_id=session_id)
    later = await program.run("Go on.", env=subscription, resume=session_id)

    limits = [m for m in messages if isinstance(m, RateLimitEvent)]
    assert [event.rate_limit_info.status for event in limits] == ["rejected"]
    assert limits[0].rate_limit_info.resets_at is not None
    assert "the work went on" in texts_of(later)


async def test_the_older_plan_tool_works_if_the_program_has_it(
    program: Program,
) -> None:
    messages = await program.run(
        "[scenario: todo]", env={"CLAUDE_CODE_ENABLE_TASKS": "0"}, allowed_tools=["TodoWrite"]
    )

    assert "(TodoWrite) was kept" in texts_of(messages)


async def test_a_subagent_works_in_its_own_conversation(program: Program) -> None:
    messages = await program.run("[scenario: subagent]")

    assert "There are 1 entries" in texts_of(messages)
    assert [request.script for request in program.model.requests] == [
        "subagent", "helper", "helper", "subagent",
    ]  # fmt: skip


async def test_huge_output_and_answers_arrive(program: Program) -> None:
    messages = await program.run("[scenario: huge]")

    result = result_of(messages)
    assert result.result is not None
    assert len(result.result) > 299_000


async def test_letters_of_all_alphabets_survive(program: Program) -> None:
    messages = await program.run("[scenario: unicode] Füße 🦶")

    said = texts_of(messages)
    assert "Füße 🦶" in said
    assert said.count("नमस्ते 🎉🚂") >= 3


async def test_an_agent_that_may_not_write_reads_and_reports(program: Program) -> None:
    messages = await program.run("Review the change", tools=["Bash", "Read"])

    tool_errors = [
        block
        for message in messages
        if isinstance(message, UserMessage) and isinstance(message.content, list)
        for block in message.content
        if isinstance(block, ToolResultBlock) and block.is_error
    ]
    assert tool_errors == []
    assert "Changed: nothing" in texts_of(messages)


async def test_a_given_script_plays_for_every_task(program: Program) -> None:
    program.model.script = Script(
        name="mine", description="", play=lambda conversation: Turn(text="Mine.")
    )

    result = result_of(await program.run("Whatever"))

    assert result.result == "Mine."
