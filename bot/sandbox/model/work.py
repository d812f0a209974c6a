"""A believable piece of work for any task in any repository, reported as it really went."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bot.sandbox.model.conversation import without_directives
from bot.sandbox.model.drafts import Draft, draft_for
from bot.sandbox.model.plan import PlanStep, announce, mark
from bot.sandbox.model.script import (
    Play,
    Scene,
    ToolCall,
    ToolResult,
    Turn,
    bash,
    in_order,
    plain,
    write,
)

STEPS = (
    PlanStep("Look at the repository", "Looking at the repository"),
    PlanStep("Write the module", "Writing the module"),
    PlanStep("Test it", "Testing it"),
    PlanStep("Commit the work", "Committing the work"),
)
# Turns of the script, by what they ask the tools for.
PLAN, LOOK, MODULE, TEST, TRY, REPAIR, RETRY, COMMIT = range(8)
_LOOK = (
    "git status --short --branch 2>&1 | head -n 20; echo '--- log';"
    " git log --oneline -n 5 2>&1 | head -n 5; echo '--- files'; ls -A | head -n 200"
)
_RAN = re.compile(r"^Ran (\d+) tests? in", re.MULTILINE)
_OK = re.compile(r"^OK\b", re.MULTILINE)
_FAILED = re.compile(r"^FAILED \((.+)\)", re.MULTILINE)


def piece_of_work(*, flawed: bool = False, repairs: bool = True, commits: bool = True) -> Play:
    """Plan, look, write, test, commit, report.

    Args:
        flawed: The first version has a mistake, so its test fails.
        repairs: The mistake is found and mended; else the work ends with a failing test.
        commits: Whether the result is committed, if its tests pass.
    """

    def write_module(scene: Scene) -> Turn:
        draft = _draft(scene)
        return Turn(
            text=f"I'll put this into `{draft.path}`, beside what is there.",
            calls=(
                *mark(scene, STEPS, done=1),
                write(draft.path, draft.flawed if flawed else draft.code),
            ),
        )

    def commit(scene: Scene) -> Turn:
        if not commits or not _passed(scene) or _outside_git(scene):
            return _report(scene)
        return Turn(
            text="The tests pass. Committing.",
            calls=(*mark(scene, STEPS, done=3), _commit_call(scene)),
        )

    stages: list[Turn | Play] = [_plan, _look, write_module, _write_test, _try]
    stages += [_repair if flawed and repairs else commit]
    if flawed and repairs:
        stages += [_try_again, commit]
    stages += [_report]
    return in_order(*stages)


def _plan(scene: Scene) -> Turn:
    task = without_directives(scene.task)
    aim = f"“{task[:120]}{'…' if len(task) > 120 else ''}”" if task else "the task"
    return Turn(text=f"I'll take {aim} in four steps.", calls=announce(STEPS))


def _look(scene: Scene) -> Turn:
    return Turn(
        text="First a look at what is here.",
        calls=(*mark(scene, STEPS, done=0), bash(_LOOK, "Look at the repository")),
    )


def _write_test(scene: Scene) -> Turn:
    draft = _draft(scene)
    return Turn(
        text="Now a test that says what it should do.",
        calls=(*mark(scene, STEPS, done=2), write(draft.test_path, draft.test)),
    )


def _try(scene: Scene) -> Turn:
    return Turn(text="Running the tests.", calls=(_test_call(_draft(scene)),))


def _repair(scene: Scene) -> Turn:
    draft = _draft(scene)
    edit = {"file_path": draft.path, "old_string": draft.mistake, "new_string": draft.remedy}
    return Turn(
        text="A test fails: one expression is wrong. Mending it.", calls=(ToolCall("Edit", edit),)
    )


def _try_again(scene: Scene) -> Turn:
    return Turn(text="And once more.", calls=(_test_call(_draft(scene)),))


def _test_call(draft: Draft) -> ToolCall:
    # -B leaves no __pycache__ behind in somebody's repository.
    return bash(f"python3 -B -m unittest -v test_{draft.module} 2>&1", "Run the tests")


def _commit_call(scene: Scene) -> ToolCall:
    draft = _draft(scene)
    subject = (without_directives(scene.task) or "Add a module")[:60].strip()
    quoted = "'" + subject.replace("'", "'\\''") + "'"
    return bash(
        f"git add -- {draft.path} {draft.test_path} && git commit -q -m {quoted}"
        " && git log -1 --format='committed %h: %s'",
        "Commit the work",
    )


def _report(scene: Scene) -> Turn:
    """The final summary, drawn from what the tools really said."""
    lines = ["## Summary", ""]
    task = without_directives(scene.task)
    lines += [f"Task: {task[:300]}" if task else "Task: none given", "", *_facts(scene)]
    if scene.words:
        lines += ["", "Also heard on the way:", *(f"- “{words[:200]}”" for words in scene.words)]
    done = len(STEPS) if _committed(scene) else 3 if _passed(scene) else 2
    calls = () if scene.position > COMMIT + 1 else _last_mark(scene, done)
    if calls:
        return Turn(text="That was the last step.", calls=calls)
    return Turn(text="\n".join(lines))


def _last_mark(scene: Scene, done: int) -> tuple[ToolCall, ...]:
    """Tick what is done, once."""
    said = sum(
        result.name in ("TaskUpdate", "TodoWrite")
        and ("completed" in str(result.input.get("status") or result.input.get("todos")))
        for result in scene.results
    )
    return mark(scene, STEPS, done=done) if said < done and done == len(STEPS) else ()


def _facts(scene: Scene) -> Iterator[str]:
    draft = _draft(scene)
    written = [r for r in scene.results if r.name == "Write"]
    if any(r.is_error for r in written) or not written:
        yield f"- Nothing was written: {_first_line(written) or 'the files could not be created'}."
    else:
        yield f"- `{draft.path}`: new. It {draft.about}."
        yield f"- `{draft.test_path}`: new, {draft.test.count('def test_')} test cases."
    tried = _tries(scene)
    if len(tried) > 1:
        yield f"- The first version had a mistake ({_verdict(tried[0])}); it was mended."
    yield f"- Tests: {_verdict(tried[-1]) if tried else 'not run'}."
    yield _commit_fact(scene)
    yield ""
    yield "The change stands by itself and touches no existing file. " + (
        "It can be reviewed and merged alone. Next step: wire it to the place that needs it."
        if _passed(scene)
        else "It is not ready to be merged. Next step: look at the output of the tests above."
    )


def _commit_fact(scene: Scene) -> str:
    if committed := _committed(scene):
        return f"- Commit: {committed.strip()}."
    if _outside_git(scene):
        return "- Not committed: this directory is not a git repository."
    refused = [r for r in scene.results if "git commit" in str(r.input.get("command"))]
    if refused:
        return f"- Not committed: {_first_line(refused)}."
    why = "as asked" if _passed(scene) else "because the tests do not pass"
    return f"- Not committed, {why}; the files are in the work tree."


def _draft(scene: Scene) -> Draft:
    looked = "\n".join(r.text for r in scene.of_turn(LOOK, "Bash"))
    return draft_for(without_directives(scene.task), taken=looked.partition("--- files")[2])


def _tries(scene: Scene) -> list[ToolResult]:
    return [r for r in scene.results if "-m unittest" in str(r.input.get("command"))]


def _passed(scene: Scene) -> bool:
    tried = _tries(scene)
    return bool(tried) and _verdict(tried[-1]).endswith("passed")


def _verdict(result: ToolResult) -> str:
    ran, failed = _RAN.search(result.text), _FAILED.search(result.text)
    if ran and not failed and not result.is_error and _OK.search(result.text):
        return f"{ran[1]} run, all passed"
    if ran and failed:
        return f"{ran[1]} run, FAILED ({failed[1]})"
    return f"did not run ({_first_line([result]) or 'no output'})"


def _committed(scene: Scene) -> str | None:
    for result in scene.results:
        if "git commit" in str(result.input.get("command")) and not result.is_error:
            found = re.search(r"^committed (.+)$", result.text, re.MULTILINE)
            return found[1] if found else None
    return None


def _outside_git(scene: Scene) -> bool:
    return any("not a git repository" in r.text for r in scene.of_turn(LOOK, "Bash"))


def _first_line(results: list[ToolResult]) -> str:
    failing = [r for r in results if r.is_error] or results
    text = plain(failing[0].text) if failing else ""
    return next((line.strip()[:200] for line in text.splitlines() if line.strip()), "")
