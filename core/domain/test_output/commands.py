"""Commands that only show a text: test results in their output are those of another time."""

from __future__ import annotations

import shlex

_READERS = frozenset(
    {
        *("cat", "head", "tail", "less", "more", "nl", "tac", "bat", "zcat", "grep", "egrep"),
        *("fgrep", "rg", "sed", "awk", "cut", "sort", "uniq", "wc", "ls", "find", "cd", "curl"),
        *("wget", "gh", "journalctl"),
    }
)
_GIT_READERS = frozenset({"log", "show", "diff", "grep", "blame"})
# A longer command does more than to show a text.
_MAX_CHARS = 1_000
_SEPARATORS = frozenset({"|", "||", "&&", ";", "&", "|&", ";;"})


def only_shows_text(command: object) -> bool:
    """Whether a shell command only reads files, logs or history: `cat test.log | tail -3`.

    In doubt it does more, and what it prints is a result.
    """
    if not isinstance(command, str) or len(command) > _MAX_CHARS or "<<" in command:
        return False
    lexer = shlex.shlex(command.replace("\n", " ; "), posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError:
        return False
    parts: list[list[str]] = [[]]
    for word in words:
        if word in _SEPARATORS:
            parts.append([])
        else:
            parts[-1].append(word)
    programs = [part for part in parts if part]
    return bool(programs) and all(_is_reader(part) for part in programs)


def _is_reader(words: list[str]) -> bool:
    if words[0] == "git":
        return len(words) > 1 and words[1] in _GIT_READERS
    return words[0] in _READERS
