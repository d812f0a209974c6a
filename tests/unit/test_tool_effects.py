"""What an allowed tool can do, although its name says less."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.agent.definitions.tool_effects import ToolEffect, effect_of
from core.agent.policy import effect_of_definition
from core.domain.workflow import PermissionMode, WorkflowDefinition

READER = WorkflowDefinition(
    name="reader",
    description="",
    prompt="",
    allowed_tools=("Read", "Bash(ls:*)"),
    permission_mode=PermissionMode.DEFAULT,
)


@pytest.mark.parametrize(
    "rule",
    [
        *("Read", "Read(src/**)", "Glob", "Grep", "TodoWrite", "TaskCreate", "WebFetch"),
        *("WebFetch(domain:example.com)", "WebSearch", "Task"),
        *("Bash(ls:*)", "Bash(ls *)", "Bash(cat:*)", "Bash(grep -rn:*)", "Bash(wc -l README.md)"),
        *("Bash(git status:*)", "Bash(git merge-base:*)", "Bash(git ls-files)"),
        *("Bash(git log --oneline -5)", "Bash(git show HEAD)", "Bash(git diff --stat)"),
        *("Bash(find . -name x.py)", "Bash(sort names.txt)", "Bash(rg --files)"),
        "Bash(git grep -n needle)",
    ],
)
def test_a_rule_for_reading_is_known_as_such(rule: str) -> None:
    assert effect_of(rule) is ToolEffect.READS


@pytest.mark.parametrize(
    "rule",
    [
        *("Write", "Edit", "Edit(docs/**)", "NotebookEdit", "MultiEdit"),
        *("Bash(git log:*)", "Bash(git show:*)", "Bash(git diff:*)", "Bash(git blame:*)"),
        *("Bash(git show *)", "Bash(git diff --stat:*)", "Bash(git log --oneline *)"),
        *("Bash(git show --output=x HEAD)", "Bash(git show --outp x HEAD)", "Bash(git diff --o=x)"),
        *("Bash(tee:*)", "Bash(touch x)", "Bash(mkdir:*)", "Bash(rm:*)", "Bash(cp:*)"),
        *("Bash(find . -delete)", "Bash(find . -fprint x)", "Bash(tree:*)", "Bash(tree -o x)"),
        *("Bash(sort -o x y)", "Bash(sort -uox y)", "Bash(sort --output=x y)", "Bash(uniq a b)"),
    ],
)
def test_a_rule_that_writes_files_is_known_as_such(rule: str) -> None:
    assert effect_of(rule) is ToolEffect.WRITES


@pytest.mark.parametrize(
    "rule",
    [
        *("Bash", "Bash(*)", "Bash(:*)", "Bash()", "PowerShell", "Unknown", "mcp__linear"),
        *("Ba sh(", "Bash(ls", "Task List"),
        *("Bash(make test)", "Bash(make test:*)", "Bash(make check:*)", "Bash(just:*)"),
        *("Bash(npm test:*)", "Bash(npm run *)", "Bash(npx:*)", "Bash(yarn:*)", "Bash(node:*)"),
        *("Bash(pytest:*)", "Bash(python -m pytest:*)", "Bash(tox)", "Bash(uv run:*)"),
        *("Bash(go test:*)", "Bash(cargo test:*)", "Bash(mvn:*)", "Bash(gradle test)"),
        *("Bash(./gradlew:*)", "Bash(./ls)", "Bash(/bin/ls:*)", "Bash(bundle exec:*)"),
        *("Bash(sh -c:*)", "Bash(bash:*)", "Bash(xargs:*)", "Bash(env:*)", "Bash(timeout 5 ls)"),
        *("Bash(awk:*)", "Bash(sed -n 1,5p x)", "Bash(sed -i:*)", "Bash(perl:*)", "Bash(less:*)"),
        *("Bash(find:*)", "Bash(find . -exec:*)", "Bash(find . -exec x +)", "Bash(find . -ok x +)"),
        *("Bash(rg:*)", "Bash(rg --pre=x y)", "Bash(sort:*)", "Bash(sort --compress-program=x)"),
        *("Bash(git:*)", "Bash(git *)", "Bash(git -c core.pager=x log)", "Bash(git commit:*)"),
        *("Bash(git log*)", "Bash(git grep:*)", "Bash(git grep -Ox y)", "Bash(git difftool:*)"),
        *("Bash(ls; make)", "Bash(ls && make:*)", "Bash(ls | sh)", "Bash(ls > x)", "Bash(ls `x`)"),
        *("Bash(ls $(x))", "Bash(ls $X)", "Bash(PATH=. ls)", "Bash(ls 'x)", "Bash(ls\nmake)"),
        *("Bash(l*)", "Bash(* ls)", "Bash(sudo:*)", "Bash(ssh:*)", "Bash(tar:*)", "Bash(curl:*)"),
    ],
)  # fmt: skip
def test_a_rule_that_can_run_any_code_is_known_as_such(rule: str) -> None:
    assert effect_of(rule) is ToolEffect.RUNS_CODE


@pytest.mark.parametrize(
    ("change", "effect"),
    [
        ({}, ToolEffect.READS),
        ({"permission_mode": PermissionMode.ACCEPT_EDITS}, ToolEffect.WRITES),
        ({"permission_mode": PermissionMode.BYPASS}, ToolEffect.RUNS_CODE),
        ({"allowed_tools": ("Read", "Edit", "Bash")}, ToolEffect.RUNS_CODE),
        (
            {"allowed_tools": ("Read", "Edit", "Bash"), "disallowed_tools": ("Bash",)},
            ToolEffect.WRITES,
        ),
        ({"setting_sources": ("project",)}, ToolEffect.RUNS_CODE),
        ({"mcp_servers": {"linear": {"url": "https://mcp.example"}}}, ToolEffect.READS),
        ({"mcp_servers": {"linear": {"command": "linear"}}}, ToolEffect.RUNS_CODE),
    ],
)
def test_a_workflow_can_do_what_its_strongest_part_can(
    change: dict[str, object], effect: ToolEffect
) -> None:
    assert effect_of_definition(replace(READER, **change)) is effect  # type: ignore[arg-type]
