"""Colours of source code, as names of classes.

Lexers are made of regular expressions, and a file can be written to keep them busy.  So only the
usual ones are used, on pieces that are small, and for a limited time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import PurePosixPath

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import STANDARD_TYPES, Token
from pygments.util import ClassNotFound

from bot.web.dashboard.diff.hunks import DiffLine, Sign

# A part of a line, and its class.
Coloured = tuple[int, int, str]

_MAX_CHARS = 40_000
_MAX_LINE_CHARS = 500
# Names, operators and what a lexer does not know look like the text.
_PLAIN = frozenset({"w", "err", "n", "nx", "nn", "o", "p", "x", "ni"})
_LEXERS: Mapping[str, str] = {
    **dict.fromkeys(("py", "pyi"), "python"),
    **dict.fromkeys(("js", "mjs", "cjs", "jsx"), "javascript"),
    **dict.fromkeys(("ts", "tsx", "mts"), "typescript"),
    **dict.fromkeys(("c", "h"), "c"),
    **dict.fromkeys(("cc", "cpp", "cxx", "hpp", "hh"), "cpp"),
    **dict.fromkeys(("sh", "bash", "zsh"), "bash"),
    **dict.fromkeys(("yml", "yaml"), "yaml"),
    **dict.fromkeys(("html", "htm", "svg", "xml"), "html"),
    **dict.fromkeys(("md", "markdown"), "markdown"),
    **dict.fromkeys(("ini", "cfg", "conf"), "ini"),
    "css": "css", "cs": "csharp", "go": "go", "java": "java", "json": "json", "kt": "kotlin",
    "lua": "lua", "php": "php", "proto": "protobuf", "rb": "ruby", "rs": "rust",
    "scala": "scala", "scss": "scss", "sql": "sql", "swift": "swift", "tf": "terraform",
    "toml": "toml", "vue": "html", "ex": "elixir", "exs": "elixir", "zig": "zig",
}  # fmt: skip
_NAMES: Mapping[str, str] = {"Makefile": "make", "Dockerfile": "docker", "CMakeLists.txt": "cmake"}


class Clock:
    """How long there is for the colours of a page."""

    def __init__(self, seconds: float = 0.4) -> None:
        self._until = time.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        """Whether the rest stays without colours."""
        return time.monotonic() > self._until


@lru_cache(maxsize=64)
def lexer_for(path: str) -> Lexer | None:
    """The lexer for a file of this name; `None` if it gets no colours."""
    name = PurePosixPath(path).name
    alias = _NAMES.get(name) or _LEXERS.get(name.rpartition(".")[2].lower())
    if alias is None:
        return None
    try:
        return get_lexer_by_name(alias, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


def coloured(
    lines: Sequence[DiffLine], lexer: Lexer | None, clock: Clock
) -> dict[int, list[Coloured]]:
    """The parts of a hunk's lines that have a class, by the line's place.

    The lines before and those after are read one after the other, so that what is removed has its
    own colours.
    """
    if lexer is None or clock.is_over:
        return {}
    found: dict[int, list[Coloured]] = {}
    for side in (Sign.REMOVED, Sign.ADDED):
        places = [at for at, line in enumerate(lines) if line.sign in (side, Sign.SAME)]
        if any(lines[at].sign is side for at in places) or side is Sign.ADDED:
            found |= _side(lines, places, lexer, clock)
    return found


def _side(
    lines: Sequence[DiffLine], places: Sequence[int], lexer: Lexer, clock: Clock
) -> dict[int, list[Coloured]]:
    texts = [lines[at].text for at in places]
    is_too_long = sum(map(len, texts)) > _MAX_CHARS
    if is_too_long or any(len(text) > _MAX_LINE_CHARS or "\r" in text for text in texts):
        return {}
    found: dict[int, list[Coloured]] = {}
    row = start = 0
    for _, kind, value in lexer.get_tokens_unprocessed("\n".join(texts)):
        if clock.is_over:
            break
        name = _class_of(kind)
        for number, part in enumerate(value.split("\n")):
            if number:
                row, start = row + 1, 0
            if part and name and row < len(places):
                found.setdefault(places[row], []).append((start, start + len(part), name))
            start += len(part)
    return found


@lru_cache(maxsize=512)
def _class_of(kind: object) -> str:
    """The short name that Pygments' stylesheets use; empty for text."""
    while kind is not None and kind is not Token:
        name = STANDARD_TYPES.get(kind)  # type: ignore[call-overload]
        if name:
            return "" if name in _PLAIN else str(name)
        kind = kind.parent  # type: ignore[attr-defined]
    return ""
