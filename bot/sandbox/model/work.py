"""Ordinary work for any task in any repository, with a report of what really happened."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bot.sandbox.model.conversation import without_directives
from bot.sandbox.model.drafts import Draft, draft_for
from bot.sandbox.model.plan import PlanStep, create_plan, update_plan
from bot.sandbox.model.script import (
    Conversation,
    Play,
    ToolCall,
    ToolResult,
    Turn,
    bash,
    play_in_order,
    strip_tags,
    write,
)

STEPS = (
    PlanStep("Look at the repository", "Looking at the repository"),
    PlanStep("Write the module", "Writing the module"),
    PlanStep("Test it", "Testing it"),
    PlanStep("Commit the work", "Committing the work"),
)
# Turns of the script, named after their tool calls.
PLAN, INSPECT, MODULE, TEST, RUN_TESTS, REPAIR, RERUN_TESTS, COMMIT = range(8)
_INSPECT_COMMAND = (
    "git status --short --branch 2>&1 | head -n 20; echo '--- log';"
    " git log --oneline -n 5 2>&1 | head -n 5; echo '--- files'; ls -A | head -n 200"
)
_RAN = re.compile(r"^Ran (\d+) tests? in", re.MULTILINE)
_OK = re.compile(r"^OK\b", re.MULTILINE)
_FAILED = re.compile(r"^FAILED \((.+)\)", re.MULTILINE)


def work_play(*, flawed: bool = False, repairs: bool = True, commits: bool = True) -> Play:
    """Plan, look, write, test, commit, report.

    Args:
        flawed: Whether the first version has a mistake, so its test fails.
        repairs: Whether the mistake is repaired; otherwise the work ends with a failing test.
        commits: Whether the result is committed when its tests pass.
    """

    def write_module(conversation: Conversation) -> Turn:
        draft = _draft(conversation)
        return Turn(
            text=f"I'll put this into `{draft.path}`, beside what is there.",
            calls=(
                *update_plan(conversation, STEPS, done=1),
                write(draft.path, draft.flawed if flawed else draft.code),
            ),
        )

    def commit(conversation: Conversation) -> Turn:
        if not commits or not _has_passed(conversation) or _is_outside_git(conversation):
            return _report(conversation)
        return Turn(
            text="The tests pass. Committing.",
            calls=(*update_plan(conversation, STEPS, done=3), _commit_call(conversation)),
        )

    stages: list[Turn | Play] = [_plan, _inspect, write_module, _write_test, _run_tests]
    stages += [_repair if flawed and repairs else commit]
    if flawed and repairs:
        stages += [_rerun_tests, commit]
    stages += [_report]
    return play_in_order(*stages)


def _plan(conversation: Conversation) -> Turn:
    task = without_directives(conversation.task)
    quoted_task = f"“{task[:120]}{'…' if len(task) > 120 else ''}”" if task else "the task"
    return Turn(text=f"I'll take {quoted_task} in four steps.", calls=create_plan(STEPS))


def _inspect(conversation: Conversation) -> Turn:
    return Turn(
        text="First a look at what is here.",
        calls=(
            *update_plan(conversation, STEPS, done=0),
            bash(_INSPECT_COMMAND, "Look at the repository"),
        ),
    )


def _write_test(conversation: Conversation) -> Turn:
    draft = _draft(conversation)
    return Turn(
        text="Now a test that says what it should do.",
        calls=(*update_plan(conversation, STEPS, done=2), write(draft.test_path, draft.test)),
    )


def _run_tests(conversation: Conversation) -> Turn:
    return Turn(text="Running the tests.", calls=(_test_call(_draft(conversation)),))


def _repair(conversation: Conversation) -> Turn:
    draft = _draft(conversation)
    edit = {"file_path": draft.path, "old_string": draft.mistake, "new_string": draft.remedy}
    return Turn(
        text="A test fails: one expression is wrong. Fixing it.", calls=(ToolCall("Edit", edit),)
    )


def _rerun_tests(conversation: Conversation) -> Turn:
    return Turn(text="And once more.", calls=(_test_call(_draft(conversation)),))


def _test_call(draft: Draft) -> ToolCall:
    # -B leaves no __pycache__ behind in the user's repository.
    return bash(f"python3 -B -m unittest -v test_{draft.module} 2>&1", "Run the tests")


def _commit_call(conversation: Conversation) -> ToolCall:
    draft = _draft(conversation)
    subject = (without_directives(conversation.task) or "Add a module")[:60].strip()
    quoted = "'" + subject.replace("'", "'\\''") + "'"
    return bash(
        f"git add -- {draft.path} {draft.test_path} && git commit -q -m {quoted}"
        " && git log -1 --format='committed %h: %s'",
        "Commit the work",
    )


def _report(conversation: Conversation) -> Turn:
    """The final summary, made from the tools' real results."""
    lines = ["## Summary", ""]
    task = without_directives(conversation.task)
    lines += [f"Task: {task[:300]}" if task else "Task: none given", "", *_facts(conversation)]
    if conversation.follow_ups:
        lines += [
            "",
            "Messages received in the meantime:",
            *(f"- “{words[:200]}”" for words in conversation.follow_ups),
        ]
    done = len(STEPS) if _commit_line(conversation) else 3 if _has_passed(conversation) else 2
    calls = () if conversation.position > COMMIT + 1 else _complete_plan(conversation, done)
    if calls:
        return Turn(text="That was the last step.", calls=calls)
    return Turn(text="\n".join(lines))


def _complete_plan(conversation: Conversation, done: int) -> tuple[ToolCall, ...]:
    """Mark the finished steps as completed, once."""
    completed_count = sum(
        result.name in ("TaskUpdate", "TodoWrite")
        and ("completed" in str(result.input.get("status") or result.input.get("todos")))
        for result in conversation.results
    )
    return (
        update_plan(conversation, STEPS, done=done)
        if completed_count < done and done == len(STEPS)
        else ()
    )


def _facts(conversation: Conversation) -> Iterator[str]:
    draft = _draft(conversation)
    written = [r for r in conversation.results if r.name == "Write"]
    if any(r.is_error for r in written) or not written:
        yield f"- Nothing was written: {_first_line(written) or 'the files could not be created'}."
    else:
        yield f"- `{draft.path}`: new. It {draft.description}."
        yield f"- `{draft.test_path}`: new, {draft.test.count('def test_')} test cases."
    test_runs = _test_runs(conversation)
    if len(test_runs) > 1:
        yield f"- The first version had a mistake ({_test_summary(test_runs[0])}); it was fixed."
    yield f"- Tests: {_test_summary(test_runs[-1]) if test_runs else 'not run'}."
    yield _commit_fact(conversation)
    yield ""
    yield "The change is self-contained and touches no existing file. " + (
        "It can be reviewed and merged alone. Next step: wire it to the place that needs it."
        if _has_passed(conversation)
        else "It is not ready to be merged. Next step: look at the output of the tests above."
    )


def _commit_fact(conversation: Conversation) -> str:
    if committed := _commit_line(conversation):
        return f"- Commit: {committed.strip()}."
    if _is_outside_git(conversation):
        return "- Not committed: this directory is not a git repository."
    refused = [r for r in conversation.results if "git commit" in str(r.input.get("command"))]
    if refused:
        return f"- Not committed: {_first_line(refused)}."
    reason = "as asked" if _has_passed(conversation) else "because the tests do not pass"
    return f"- Not committed, {reason}; the files are in the work tree."


def _draft(conversation: Conversation) -> Draft:
    listing = "\n".join(r.text for r in conversation.results_of_turn(INSPECT, "Bash"))
    return draft_for(without_directives(conversation.task), taken=listing.partition("--- files")[2])


def _test_runs(conversation: Conversation) -> list[ToolResult]:
    return [r for r in conversation.results if "-m unittest" in str(r.input.get("command"))]


def _has_passed(conversation: Conversation) -> bool:
    test_runs = _test_runs(conversation)
    return bool(test_runs) and _test_summary(test_runs[-1]).endswith("passed")


def _test_summary(result: ToolResult) -> str:
    ran, failed = _RAN.search(result.text), _FAILED.search(result.text)
    if ran and not failed and not result.is_error and _OK.search(result.text):
        return f"{ran[1]} run, all passed"
    if ran and failed:
        return f"{ran[1]} run, FAILED ({failed[1]})"
    return f"did not run ({_first_line([result]) or 'no output'})"


def _commit_line(conversation: Conversation) -> str | None:
    for result in conversation.results:
        if "git commit" in str(result.input.get("command")) and not result.is_error:
            found = re.search(r"^committed (.+)$", result.text, re.MULTILINE)
            return found[1] if found else None
    return None


def _is_outside_git(conversation: Conversation) -> bool:
    return any(
        "not a git repository" in r.text for r in conversation.results_of_turn(INSPECT, "Bash")
    )


def _first_line(results: list[ToolResult]) -> str:
    failing = [r for r in results if r.is_error] or results
    text = strip_tags(failing[0].text) if failing else ""
    return next((line.strip()[:200] for line in text.splitlines() if line.strip()), "")
