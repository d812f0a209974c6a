"""What the calls that a permission rule allows can do: read, write files, or run any code.  Pure.

The rules are those of the agent program: a tool's name, or `Bash(…)` with an exact command, with
the beginning of one (`Bash(git log:*)`), or with a `*` for any text.  A tool or a command that is
not known here runs any code: a forgotten entry is then inconvenient, but not dangerous.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

from core.domain.steps.kinds import PLAN_TOOLS


class ToolEffect(IntEnum):
    """What a call can do at most; a greater effect includes the smaller ones."""

    READS = 0
    WRITES = 1
    RUNS_CODE = 2


_RULE = re.compile(r"(?P<tool>[^()\s]+)(?:\((?P<content>.*)\))?", re.DOTALL)
# What makes more of a command than a program with arguments: operators, redirections,
# substitutions, and names that the shell completes.
_SHELL_SYNTAX = re.compile(r"[;&|<>$`(){}\n\\~?\[\]!#]")
# Short of this, the beginning of an option may be that of several ones: git and GNU programs
# accept `--outp` for `--output`.
_MIN_ABBREVIATION = len("--o")

_READING_TOOLS = PLAN_TOOLS | {
    "Agent", "AskUserQuestion", "BashOutput", "ExitPlanMode", "Glob", "Grep", "KillShell", "LS",
    "NotebookRead", "Read", "Task", "TaskOutput", "WebFetch", "WebSearch",
}  # fmt: skip
WRITING_TOOLS = frozenset({"Edit", "MultiEdit", "NotebookEdit", "Write"})

_READING_COMMANDS = frozenset(
    {
        "basename", "cat", "cmp", "comm", "cut", "df", "diff", "dirname", "du", "echo", "egrep",
        "expand", "false", "fgrep", "fold", "grep", "head", "hexdump", "id", "join", "ls",
        "md5sum", "nl", "nproc", "od", "paste", "printf", "pwd", "readlink", "realpath", "rev",
        "seq", "sha1sum", "sha256sum", "sha512sum", "sleep", "stat", "strings", "tac", "tail",
        "tr", "true", "uname", "wc", "which", "whoami",
    }
)  # fmt: skip
# Of these no option runs a program.
_WRITING_COMMANDS = frozenset(
    {
        "chmod", "chown", "cp", "dd", "ln", "mkdir", "mv", "rm", "rmdir", "tee", "touch",
        "truncate", "uniq", "xxd",
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Options:
    """The options that let a command, which otherwise reads, do more."""

    writes: tuple[str, ...] = ()
    runs_code: tuple[str, ...] = ()

    def effect(self, words: tuple[str, ...], *, is_complete: bool) -> ToolEffect:
        """What the command can do with these arguments, and any others if not complete."""
        for options, effect in (
            (self.runs_code, ToolEffect.RUNS_CODE),
            (self.writes, ToolEffect.WRITES),
        ):
            is_given = any(_is_option(word, option) for word in words for option in options)
            if options and (is_given or not is_complete):
                return effect
        return ToolEffect.READS


# Programs that git's configuration names are not counted: a clone has none.
_GIT_DIFF = _Options(writes=("--output",))
_COMMANDS_WITH_OPTIONS: Mapping[str, _Options] = MappingProxyType(
    {
        "find": _Options(
            writes=("-delete", "-fprint", "-fprint0", "-fprintf", "-fls"),
            runs_code=("-exec", "-execdir", "-ok", "-okdir"),
        ),
        "rg": _Options(runs_code=("--pre", "--hostname-bin")),
        "sort": _Options(
            writes=("-o", "--output"),
            runs_code=("--compress-program",),
        ),
        "tree": _Options(writes=("-o",)),
    }
)
_GIT_COMMANDS: Mapping[str, _Options] = MappingProxyType(
    {
        "blame": _GIT_DIFF,
        "cat-file": _Options(),
        "count-objects": _Options(),
        "describe": _Options(),
        "diff": _GIT_DIFF,
        "diff-tree": _GIT_DIFF,
        "for-each-ref": _Options(),
        "grep": _Options(runs_code=("-O", "--open-files-in-pager")),
        "log": _GIT_DIFF,
        "ls-files": _Options(),
        "ls-tree": _Options(),
        "merge-base": _Options(),
        "name-rev": _Options(),
        "rev-list": _GIT_DIFF,
        "rev-parse": _Options(),
        "shortlog": _GIT_DIFF,
        "show": _GIT_DIFF,
        "show-ref": _Options(),
        "status": _Options(),
    }
)


def effect_of(rule: str) -> ToolEffect:
    """Return what the calls that a permission rule allows can do at most."""
    found = _RULE.fullmatch(rule.strip())
    if found is None:
        return ToolEffect.RUNS_CODE
    tool, content = found["tool"], found["content"]
    if tool in _READING_TOOLS:
        return ToolEffect.READS
    if tool in WRITING_TOOLS:
        return ToolEffect.WRITES
    if tool == "Bash" and content is not None:
        return _effect_of_command(content.strip())
    return ToolEffect.RUNS_CODE


def _effect_of_command(pattern: str) -> ToolEffect:
    command = pattern.removesuffix(":*")
    is_complete = command == pattern
    if "*" in command:
        # The word with the first `*` can be any longer one, and anything can follow.
        command, _, _ = command.partition("*")
        is_complete = False
        if command and not command[-1].isspace():
            command = command.rpartition(" ")[0]
    if _SHELL_SYNTAX.search(command):
        return ToolEffect.RUNS_CODE
    try:
        words = tuple(shlex.split(command))
    except ValueError:
        return ToolEffect.RUNS_CODE
    match words:
        case ("git", subcommand, *rest) if subcommand in _GIT_COMMANDS:
            return _GIT_COMMANDS[subcommand].effect(tuple(rest), is_complete=is_complete)
        case (name, *rest) if name in _COMMANDS_WITH_OPTIONS:
            return _COMMANDS_WITH_OPTIONS[name].effect(tuple(rest), is_complete=is_complete)
        case (name, *_) if name in _READING_COMMANDS:
            return ToolEffect.READS
        case (name, *_) if name in _WRITING_COMMANDS:
            return ToolEffect.WRITES
        case _:
            return ToolEffect.RUNS_CODE


def _is_option(word: str, option: str) -> bool:
    """Whether a word can stand for an option: abbreviated, with a value, or among short ones."""
    if option.startswith("--"):
        name = word.partition("=")[0]
        return len(name) >= _MIN_ABBREVIATION and option.startswith(name)
    if len(option) == len("-o"):
        return word.startswith("-") and not word.startswith("--") and option[1] in word
    return word == option
